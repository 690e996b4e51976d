import assert from 'node:assert/strict'
import { pino } from 'pino'
import { mintId, type ServerInstanceId } from '@writ/domain/id'
import type { FaceAnswer } from '../../src/gateway/face.ts'
import type { CallBounds } from '../../src/gateway/older-call.ts'
import { olderFace, type OlderFace } from '../../src/gateway/older-face.ts'
import { Refused } from '../../src/gateway/refused.ts'
import type { Turn } from '../../src/upstreams/upstream.ts'
import { fixedClock } from './clock.ts'
import { countingEntropy } from './entropy.ts'
import { faceCall, fakePipeline, type FakePipeline, type SaidEvent, type ShownCall } from './pipeline.ts'

const HOME = mintId('serverInstance', fixedClock().now(), new Uint8Array(10).fill(7)) as ServerInstanceId
export const ALL_CLIENT = { roots: { listChanged: true }, sampling: {}, elicitation: { form: {}, url: {} } }
export const QUIET: CallBounds = { rounds: 20, questions: 16, answersMs: 600_000, quietMs: 600_000 }

export type Stage = {
  readonly older: OlderFace
  readonly pipeline: FakePipeline
  readonly clock: ReturnType<typeof fixedClock>
  /** Shows a call in the session that `begin` began. */
  readonly show: (call: ShownCall) => Promise<FaceAnswer>
  readonly begin: (more?: { readonly version?: string; readonly capabilities?: object }) => Promise<FaceAnswer>
  session: string
}

export function stage({ bounds = QUIET }: { readonly bounds?: CallBounds } = {}): Stage {
  const pipeline = fakePipeline()
  const clock = fixedClock()
  const older = olderFace({ home: HOME, clock, entropy: countingEntropy(), pipeline, log: pino({ level: 'silent' }), bounds })
  const one: Stage = {
    older, pipeline, clock, session: '',
    show: ({ headers = {}, ...call }) => older.face(faceCall({ headers: { 'mcp-session-id': one.session, ...headers }, ...call })),
    async begin({ version = '2025-11-25', capabilities = ALL_CLIENT } = {}) {
      const answer = await older.face(faceCall({ body: { jsonrpc: '2.0', id: 0, method: 'initialize', params: { protocolVersion: version, capabilities, clientInfo: { name: 'client', version: '1' } } } }))
      one.session = answer.headers['mcp-session-id'] ?? ''
      return answer
    },
  }
  return one
}

export async function begun(more: Parameters<typeof stage>[0] & Parameters<Stage['begin']>[0] = {}): Promise<Stage> {
  const one = stage(more)
  await one.begin(more)
  return one
}

export const request = (id: unknown, method = 'tools/call', params: object = { name: 'read', arguments: {} }): object => ({ jsonrpc: '2.0', id, method, params })
export type Answered = { readonly id?: unknown; readonly result?: unknown; readonly error?: { readonly code: number; readonly data?: unknown } }
export const bodyOf = ({ body }: FaceAnswer): Answered => JSON.parse(body as string) as Answered
export const refusedWith = (status: number, code?: number) => (error: unknown): boolean => {
  assert.ok(error instanceof Refused, String(error))
  assert.equal(error.status, status, error.message)
  if (code !== undefined) assert.equal(error.error.code, code)
  return true
}
export const messagesOf = (events: readonly SaidEvent[]): readonly Record<string, unknown>[] => events.filter(({ text }) => text !== '').map(({ text }) => JSON.parse(text) as Record<string, unknown>)
export async function nextMessage(events: AsyncGenerator<SaidEvent, void>): Promise<Record<string, unknown>> {
  for (;;) {
    const next = await events.next()
    assert.equal(next.done, false, 'the stream has ended')
    if ((next.value as SaidEvent).text !== '') return JSON.parse((next.value as SaidEvent).text) as Record<string, unknown>
  }
}
export const result = (text: string): Turn => ({ kind: 'result', text })
export const asks = (...names: readonly string[]): Turn => ({
  kind: 'input_required', state: 'state-1',
  inputs: Object.fromEntries(names.map((name) => [name, { method: 'elicitation/create', params: { message: name, requestedSchema: { type: 'object', properties: {} } } }])),
})
