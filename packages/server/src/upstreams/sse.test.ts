import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readEvents, type StreamEvent } from './sse.ts'

async function* pieces(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield part
}

async function eventsOf(text: string | Uint8Array, most = 1000, cuts: readonly number[] = []): Promise<readonly StreamEvent[]> {
  const bytes = typeof text === 'string' ? Buffer.from(text) : text
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
  const events: StreamEvent[] = []
  for await (const event of readEvents(pieces(at.slice(1).map((to, i) => bytes.subarray(at[i], to))), most)) events.push(event)
  return events
}

for (const { what, text, events } of [
  { what: 'an event', text: 'data: hello\n\n', events: [{ lastId: null, data: 'hello', retryMs: null }] },
  { what: 'lines that end in every way', text: 'data: a\r\n\r\ndata: b\r\rdata: c\n\n', events: ['a', 'b', 'c'].map((data) => ({ lastId: null, data, retryMs: null })) },
  { what: 'data in several lines', text: 'data: a\ndata:b\ndata:  c\n\n', events: [{ lastId: null, data: 'a\nb\n c', retryMs: null }] },
  { what: 'an id that stays', text: 'id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n', events: [{ lastId: '1', data: 'a', retryMs: null }, { lastId: '1', data: 'b', retryMs: null }, { lastId: '', data: 'c', retryMs: null }] },
  { what: 'an id without data', text: 'id: 7\ndata:\n\n', events: [{ lastId: '7', data: null, retryMs: null }] },
  { what: 'a wait', text: 'retry: 1500\n\ndata: a\n\nretry: soon\ndata: b\n\n', events: [{ lastId: null, data: null, retryMs: 1500 }, { lastId: null, data: 'a', retryMs: 1500 }, { lastId: null, data: 'b', retryMs: 1500 }] },
  { what: 'comments, events by name and fields that nobody knows', text: ': hello\n\nevent: message\ndata: a\nfield: x\n\n:\n\n', events: [{ lastId: null, data: 'a', retryMs: null }] },
  { what: 'an id with a zero in it', text: 'id: a\0b\ndata: x\n\n', events: [{ lastId: null, data: 'x', retryMs: null }] },
  { what: 'a mark of the byte order', text: '\ufeffdata: a\n\n', events: [{ lastId: null, data: 'a', retryMs: null }] },
  { what: 'an event that was not ended', text: 'data: a\n\ndata: b\n', events: [{ lastId: null, data: 'a', retryMs: null }] },
] as readonly { readonly what: string; readonly text: string; readonly events: readonly StreamEvent[] }[]) {
  test(`an event stream is read with ${what}`, async () => {
    assert.deepEqual(await eventsOf(text), events)
    const bytes = Buffer.from(text)
    assert.deepEqual(await eventsOf(text, 1000, Array.from(bytes, (_, i) => i)), events, 'byte by byte')
  })
}

test('it does not matter in which pieces a stream comes', async () => {
  const line = fc.constantFrom('data: é世界', 'data:', 'id: 5', 'retry: 3', ': x', '', '', 'data: 😀')
  await fc.assert(fc.asyncProperty(fc.array(fc.tuple(line, fc.constantFrom('\n', '\r\n', '\r'))), fc.array(fc.nat()), async (lines, cuts) => {
    const text = lines.map(([one, end]) => one + end).join('')
    assert.deepEqual(await eventsOf(text, 1000, cuts), await eventsOf(text))
  }))
})

for (const { what, text } of [
  { what: 'a line', text: `data: ${'x'.repeat(200)}` }, { what: 'an event of many lines', text: 'data: 0123456789\n'.repeat(20) }, { what: 'a comment', text: `: ${'x'.repeat(200)}` },
]) {
  test(`${what} beyond the bound ends the stream`, async () => {
    await assert.rejects(eventsOf(text, 100, [50, 100, 150]), { code: 'too_large' })
  })
}

test('a stream that is not UTF-8 is not read', async () => {
  await assert.rejects(eventsOf(Buffer.from([0x64, 0xff, 0x0a])), { code: 'not_utf8' })
})

test('a line of sixteen megabytes in small pieces is read in a time that grows with its length', async () => {
  const from = performance.now()
  const large = `data: ${'x'.repeat(16e6)}\n\n`
  const [event] = await eventsOf(large, 17e6, Array.from({ length: 4000 }, (_, i) => i * 4000))
  assert.equal(event!.data!.length, 16e6)
  assert.ok(performance.now() - from < 10_000)
})
