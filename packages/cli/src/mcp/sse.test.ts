import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventsIn, type SseEvent } from './sse.ts'

async function read(...texts: readonly string[]): Promise<readonly SseEvent[]> {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for (const text of texts) yield Buffer.from(text, 'latin1')
  }
  const events: SseEvent[] = []
  for await (const event of eventsIn(chunks())) events.push(event)
  return events
}

const latin = (text: string): string => Buffer.from(text).toString('latin1')

test('events are read with their ids, whatever ends their lines and wherever they are cut', async () => {
  const one = { data: '{"a":"ü"}', id: '1-1', retryMs: undefined }
  for (const end of ['\n', '\r\n', '\r']) {
    const text = latin(`:hello${end}${end}id: 1-1${end}data: {"a":"ü"}${end}${end}`)
    assert.deepEqual((await read(text)).filter(({ data }) => data !== null), [one])
    assert.deepEqual((await read(...text.split(''))).filter(({ data }) => data !== null), [one], JSON.stringify(end))
  }
})

test('a pause and an id alone are news without text, several lines of data are one text, and what is not finished is not said', async () => {
  assert.deepEqual(await read('retry: 250\n\n', 'id: 3\ndata:\n\n', 'data: {\ndata: }\n\n', 'data: half'), [
    { data: null, id: undefined, retryMs: 250 }, { data: null, id: '3', retryMs: undefined }, { data: '{\n}', id: undefined, retryMs: undefined },
  ])
})
