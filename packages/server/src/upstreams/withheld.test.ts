import assert from 'node:assert/strict'
import { test } from 'node:test'
import { along } from '../../test/mcp/asking.ts'
import type { McpMessage, Turn, Upstream } from './upstream.ts'
import { secretParts, withholding } from './withheld.ts'

const SECRET = 'a "strange" secret\\'
const BEARER = 'Bearer 0123456789abcdef'

/** An upstream that says of everything what the test wants it to say. */
function saying(turn: Turn, message: McpMessage): Upstream {
  return {
    description: { generation: '2026-07-28', capabilities: { x: { y: SECRET } }, info: { name: BEARER }, instructions: `use ${BEARER}` },
    request: async (_, { notify }) => {
      notify(message)
      return turn
    },
    resume: async () => turn,
    tell: async () => undefined,
    listen: (hear) => {
      hear(message)
      return () => undefined
    },
    close: async () => undefined,
  }
}

const TURNS: readonly { readonly turn: Turn; readonly left: Turn }[] = [
  { turn: { kind: 'result', text: JSON.stringify({ env: { A: SECRET, B: '0123456789abcdef', n: 1 } }) }, left: { kind: 'result', text: '{"env":{"A":"[withheld]","B":"[withheld]","n":1}}' } },
  { turn: { kind: 'error', error: { code: -1, message: `no ${BEARER}`, data: { n: 9007199254740993n, s: [SECRET] } } }, left: { kind: 'error', error: { code: -1, message: 'no [withheld]', data: { n: 9007199254740993n, s: ['[withheld]'] } } } },
  { turn: { kind: 'input_required', inputs: { a: { method: 'x', params: { s: SECRET } } }, state: 's' }, left: { kind: 'input_required', inputs: { a: { method: 'x', params: { s: '[withheld]' } } }, state: 's' } },
  { turn: { kind: 'result', text: '{ "n":9007199254740993 }' }, left: { kind: 'result', text: '{ "n":9007199254740993 }' } },
]

for (const { turn, left } of TURNS) {
  test(`a secret that comes back in a turn of kind ${turn.kind} is withheld, and nothing else is changed`, async () => {
    const notes: McpMessage[] = []
    const upstream = withholding(saying(turn, { method: 'notifications/message', params: { data: BEARER } }), secretParts([SECRET, BEARER]))
    assert.deepEqual(await upstream.request({ method: 'x', params: {} }, along({ notify: (note) => { notes.push(note) } })), left)
    assert.deepEqual(await upstream.resume({ method: 'x', params: {} }, 's', {}, along()), left)
    upstream.listen((note) => { notes.push(note) })
    assert.deepEqual(notes, Array.from({ length: 2 }, () => ({ method: 'notifications/message', params: { data: '[withheld]' } })))
    assert.deepEqual(upstream.description, { generation: '2026-07-28', capabilities: { x: { y: '[withheld]' } }, info: { name: '[withheld]' }, instructions: 'use [withheld]' })
  })
}

test('where there is no secret, or none long enough to be one, the upstream is what it was', () => {
  const upstream = saying({ kind: 'result', text: '{}' }, { method: 'x', params: {} })
  assert.equal(withholding(upstream, secretParts([])), upstream)
  assert.equal(withholding(upstream, secretParts(['short', '1'])), upstream)
})
