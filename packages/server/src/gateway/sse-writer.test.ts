import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventsOf, type SaidEvent } from '../../test/fakes/pipeline.ts'
import { eventStream, readEventId, type EventStream } from './sse-writer.ts'

const newStream = (more: { readonly primes?: boolean; readonly most?: { readonly events: number; readonly characters: number } } = {}): EventStream => eventStream({ id: '7', primes: true, ...more })
const never = new AbortController().signal
const connect = (stream: EventStream, after?: number, until: AbortSignal = never): AsyncGenerator<SaidEvent, void> => eventsOf({ body: stream.connect(after, until) })
async function all(events: AsyncGenerator<SaidEvent, void>): Promise<readonly SaidEvent[]> {
  return Array.fromAsync(events)
}
const texts = (events: readonly SaidEvent[]): readonly string[] => events.map(({ text }) => text).filter((text) => text !== '')

test('a stream begins with an event that has an id and no text, so that a client can come back before anything was said', async () => {
  const stream = newStream()
  stream.say('{"a":1}')
  stream.end()
  assert.deepEqual(await all(connect(stream)), [{ id: '7-0', text: '', retry: null }, { id: '7-1', text: '{"a":1}', retry: null }])
})

test('clients of older revisions get no event without text', async () => {
  const stream = newStream({ primes: false })
  stream.say('{"a":1}')
  stream.end()
  assert.deepEqual(await all(connect(stream)), [{ id: '7-1', text: '{"a":1}', retry: null }])
})

test('whoever comes back with an event gets what came after it, and nothing twice', async () => {
  const stream = newStream()
  for (const text of ['1', '2', '3']) stream.say(text)
  stream.end()
  assert.deepEqual(texts(await all(connect(stream))), ['1', '2', '3'])
  assert.deepEqual(texts(await all(connect(stream, 1))), ['2', '3'])
  assert.deepEqual(texts(await all(connect(stream, 3))), [])
  assert.equal(stream.holds(3), true)
  assert.equal(stream.holds(4), false)
})

test('what is said while nobody is connected waits for the next connection', async () => {
  const stream = newStream()
  const gone = new AbortController()
  const first = connect(stream, undefined, gone.signal)
  assert.equal((await first.next()).value?.id, '7-0')
  gone.abort()
  assert.equal((await first.next()).done, true)
  assert.equal(stream.isHeard, false)
  stream.say('1')
  stream.end()
  assert.deepEqual(texts(await all(connect(stream, 0))), ['1'])
})

test('a newer connection takes the place of the older one, which is told when to come back', async () => {
  const stream = newStream()
  const first = connect(stream)
  await first.next()
  const waiting = first.next()
  const second = connect(stream)
  await second.next()
  assert.equal((await waiting).value?.retry, '1000')
  assert.equal((await first.next()).done, true)
  stream.say('1')
  assert.equal((await second.next()).value?.text, '1')
  assert.equal(stream.isHeard, true)
  stream.end()
})

test('hanging up ends the connection and not the stream', async () => {
  const stream = newStream()
  const first = connect(stream)
  await first.next()
  stream.hangUp()
  assert.equal((await first.next()).value?.retry, '1000')
  stream.say('1')
  stream.end()
  assert.deepEqual(texts(await all(connect(stream, 0))), ['1'])
})

test('what may be lost is dropped while too much waits, and what must come comes', async () => {
  const stream = newStream({ most: { events: 4, characters: 1_000_000 } })
  for (let i = 0; i < 100; i++) stream.say(`{"progress":${i}}`, 'may')
  stream.say('{"result":{}}')
  stream.end()
  assert.deepEqual(texts(await all(connect(stream))), [0, 1, 2, 3].map((i) => `{"progress":${i}}`).concat('{"result":{}}'))
})

test('a stream that says much for long keeps little of it', async () => {
  const stream = newStream({ most: { events: 10, characters: 1000 } })
  const events = connect(stream)
  await events.next()
  for (let i = 1; i <= 1000; i++) {
    stream.say('x'.repeat(90))
    assert.equal((await events.next()).value?.id, `7-${i}`)
    assert.ok(stream.size <= 1200, String(stream.size))
  }
  assert.equal(stream.holds(1), false)
  assert.equal(stream.holds(999), true)
})

test('line feeds between the words of a JSON text do not break its event', async () => {
  const stream = newStream()
  stream.say('{\n  "a": 1,\r\n  "b": "x\\ny"\n}')
  stream.end()
  const [, event] = await all(connect(stream))
  assert.deepEqual(JSON.parse(event!.text), { a: 1, b: 'x\ny' })
})

test('a quiet connection is kept alive by comments', async () => {
  const frames = eventStream({ id: '1', primes: false, keepAliveMs: 5 }).connect(undefined, never)
  for (let i = 0; i < 3; i++) assert.equal((await frames.next()).value, ':\n\n')
  await frames.return()
})

for (const text of ['', '7', '7-', '-1', '7-1-1', '7--1', 'a-1', '7-1 ', '1e3-1', '7-99999999999']) {
  test(`\`${text}\` is no id of an event`, () => {
    assert.equal(readEventId(text), undefined)
  })
}
