import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventFlow } from './event-flow.ts'

test('what is said comes in order, and the last word ends it', async () => {
  const flow = eventFlow(new AbortController().signal)
  flow.say('1')
  flow.say('2')
  flow.end('3')
  flow.say('4')
  assert.equal((await Array.fromAsync(flow.texts)).join(''), ':\n\nevent: message\ndata: 1\n\nevent: message\ndata: 2\n\nevent: message\ndata: 3\n\n')
})

test('a client that does not read costs no more than a bound, and still gets the last word', async () => {
  const flow = eventFlow(new AbortController().signal)
  for (let i = 0; i < 100_000; i++) flow.say('x'.repeat(100))
  flow.end('last')
  const text = (await Array.fromAsync(flow.texts)).join('')
  assert.ok(text.length < 1_200_000 && text.endsWith('data: last\n\n'))
})

test('a quiet connection is kept, and the client that goes away ends it', async () => {
  const gone = new AbortController()
  const flow = eventFlow(gone.signal, 5)
  const texts: string[] = []
  for await (const text of flow.texts) {
    texts.push(text)
    if (texts.length === 3) gone.abort()
  }
  assert.deepEqual(texts, [':\n\n', ':\n\n', ':\n\n'])
})
