import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hostEntropy } from '../platform/entropy.ts'
import { OLDER_LIMITS, OlderCalls } from './older-calls.ts'
import type { McpMessage } from './upstream.ts'

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
