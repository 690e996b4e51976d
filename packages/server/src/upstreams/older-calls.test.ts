import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostEntropy } from '../platform/entropy.ts'
import { OLDER_LIMITS, OlderCalls } from './older-calls.ts'
import type { McpAnswer, McpMessage } from './upstream.ts'

test('how far a call has come is told also while its client is asked something, and nothing once it has ended', async () => {
  const calls = new OlderCalls({ server: 'crm', capabilities: { roots: {} }, entropy: hostEntropy, limits: OLDER_LIMITS, say: async () => {}, hear: () => {}, ask: () => undefined })
  const heard: unknown[] = []
  const notify = ({ params }: McpMessage): void => { heard.push(params['progress']) }
  const call = calls.begin(
    { method: 'tools/call', params: { name: 'search', arguments: {}, _meta: { progressToken: 'mine' } } },
    { client: { name: 'a test', version: '1', capabilities: { roots: {} } }, signal: new AbortController().signal, notify } as never,
  )
  const progress = (at: number): void => {
    calls.arrive({ kind: 'notification', message: { method: 'notifications/progress', params: { progressToken: BigInt(call.id), progress: BigInt(at) } } })
  }
  progress(1)
  calls.arrive({ kind: 'request', id: '1', message: { method: 'roots/list', params: {} } })
  assert.equal((await call.turn).kind, 'input_required')
  progress(2)
  calls.arrive({ kind: 'answer', id: String(call.id), answer: { kind: 'result', text: '{}', members: [] } })
  progress(3)
  assert.deepEqual(heard, [1n, 2n])
  calls.failAll(new Error('over'))
})

test('what a server asks while no call is on its way it may take back: whoever was asked hears that, and the server gets no answer', async () => {
  const said: string[] = []
  const asked: { readonly withdrawn: AbortSignal; readonly answer: (answer: McpAnswer) => void }[] = []
  const calls = new OlderCalls({
    server: 'crm', capabilities: { roots: {} }, entropy: hostEntropy, limits: OLDER_LIMITS, say: async (text) => { said.push(text) }, hear: () => {},
    ask: (_, withdrawn) => new Promise((answer) => { asked.push({ withdrawn, answer }) }),
  })
  const ask = (id: string): void => { calls.arrive({ kind: 'request', id, message: { method: 'roots/list', params: {} } }) }
  for (const id of ['7', '"7"', '8']) ask(id)
  calls.arrive({ kind: 'notification', message: { method: 'notifications/cancelled', params: { requestId: 7n } } })
  assert.deepEqual(asked.map(({ withdrawn }) => withdrawn.aborted), [true, false, false])
  for (const { answer } of asked.slice(0, 2)) answer({ kind: 'result', text: '{"roots":[]}' })
  await new Promise(setImmediate)
  assert.deepEqual(said.map((text) => (JSON.parse(text) as { readonly id: unknown }).id), ['7'])
  calls.failAll(new Error('over'))
  assert.equal(asked[2]!.withdrawn.aborted, true)
})
