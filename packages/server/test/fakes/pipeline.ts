import { createHash } from 'node:crypto'
import { mintId, type IdentityId, type LeaseId, type TaskId } from '@writ/domain/id'
import { parseSpiffeId } from '@writ/domain/spiffe-id'
import { plus, seconds } from '@writ/domain/time'
import type { Exchange, GatewayCaller, Hearer, Pipeline } from '../../src/gateway/exchange.ts'
import type { FaceAnswer, FaceCall } from '../../src/gateway/face.ts'
import { readRpc } from '../../src/gateway/json-rpc.ts'
import type { InputAnswers, McpAnswer, McpMessage, Turn, UpstreamDescription } from '../../src/upstreams/upstream.ts'
import { fixedClock } from './clock.ts'

/** A pipeline that lets everything pass and answers as it is told. */
export type FakePipeline = Pipeline & {
  readonly carried: Exchange[]
  readonly resumed: { readonly exchange: Exchange; readonly state: string; readonly answers: InputAnswers }[]
  readonly told: McpMessage[]
  readonly described: Exchange[]
  /** What the server says on its own. */
  say(message: McpMessage): void
  /** What the server asks on its own; undefined where nobody is there. */
  ask(question: McpMessage, withdrawn?: AbortSignal): Promise<McpAnswer> | undefined
  /** The way to the server ends. */
  breakOff(because: Error): void
  readonly listeners: number
  answer: (exchange: Exchange) => Promise<Turn>
  goOn: (state: string, answers: InputAnswers) => Promise<Turn>
  description: UpstreamDescription
}

export const ALL_ABILITIES = { tools: { listChanged: true }, resources: { subscribe: true, listChanged: true }, prompts: { listChanged: true }, completions: {}, logging: {} }

export function fakePipeline(): FakePipeline {
  const hearers = new Set<Hearer>()
  const fake: FakePipeline = {
    carried: [], resumed: [], told: [], described: [],
    answer: async () => ({ kind: 'result', text: '{}' }),
    goOn: async () => ({ kind: 'result', text: '{}' }),
    description: { generation: '2025-11-25', capabilities: ALL_ABILITIES, info: { name: 'files', version: '1.2.3' }, instructions: 'read before you write' },
    async carry(exchange) {
      fake.carried.push(exchange)
      return fake.answer(exchange)
    },
    async resume(exchange, state, answers) {
      fake.resumed.push({ exchange, state, answers })
      return fake.goOn(state, answers)
    },
    async describe(exchange) {
      fake.described.push(exchange)
      return fake.description
    },
    async listen(_exchange, hearer) {
      const one = { ...hearer }
      hearers.add(one)
      return () => { hearers.delete(one) }
    },
    async tell({ message }) {
      fake.told.push(message)
    },
    say(message) {
      for (const { hear } of hearers) hear(message)
    },
    ask(question, withdrawn = new AbortController().signal) {
      for (const { ask } of hearers) {
        const asking = ask?.(question, withdrawn)
        if (asking !== undefined) return asking
      }
      return undefined
    },
    breakOff(because) {
      for (const { onEnd } of hearers) onEnd(because)
      hearers.clear()
    },
    get listeners() {
      return hearers.size
    },
  }
  return fake
}

const START = fixedClock().now()
const random = (text: string): Uint8Array => new Uint8Array(createHash('sha256').update(text).digest()).subarray(0, 10)

/** A workload by the names of its task, its identity and its key. */
export function gatewayCaller({ task = 'task', identity = 'agent', key = 'key', token = 'token', lives = seconds(600) } = {}): GatewayCaller {
  const spiffeId = parseSpiffeId('spiffe://example.org/agent')
  if (!spiffeId.ok) throw new Error('a SPIFFE ID that is none')
  return {
    kind: 'identity', class: 'autonomous', spiffeId: spiffeId.value, identity: mintId('identity', START, random(identity)) as IdentityId,
    task: mintId('task', START, random(task)) as TaskId, lease: mintId('lease', START, random(token)) as LeaseId, thumbprint: key === '' ? null : key,
    evidence: { kind: 'access_token', issuer: null, subject: 'agent', credential: null, binding: null, expiresAt: plus(START, lives) },
  }
}

export type ShownCall = {
  readonly method?: FaceCall['method']
  readonly server?: string
  readonly headers?: Readonly<Record<string, string>>
  /** JSON, or what becomes it. */
  readonly body?: unknown
  readonly caller?: GatewayCaller
  readonly signal?: AbortSignal
}

/** A call as the door hands it to a face; `used` counts how often its evidence was used up. */
export function faceCall({ method = 'POST', server = 'files', headers = {}, body, caller = gatewayCaller(), signal = new AbortController().signal }: ShownCall): FaceCall & { readonly used: number } {
  const read = body === undefined ? undefined : readRpc(typeof body === 'string' ? body : JSON.stringify(body))
  if (read?.ok === false) throw new Error(read.refusal.error.message)
  const call = {
    method, server, headers: { accept: method === 'GET' ? 'text/event-stream' : 'application/json, text/event-stream', ...headers }, message: read?.ok === true ? read.value : null,
    caller, uses: [], used: 0, traceId: 'trace', signal,
    useUp: async () => { call.used += 1 },
    sendTo: async () => { throw new Error('a fake keeps nothing elsewhere') },
  }
  return call
}

export type SaidEvent = { readonly id: string | null; readonly text: string; readonly retry: string | null }

/** Reads the events of an answer as they come; comments are left out. */
export async function* eventsOf(answer: Pick<FaceAnswer, 'body'>): AsyncGenerator<SaidEvent, void> {
  if (answer.body === null || typeof answer.body === 'string') throw new Error('the answer is no stream')
  for await (const frame of answer.body) {
    const field = (name: string): string | null => new RegExp(`^${name}: ?(.*)$`, 'm').exec(frame)?.[1] ?? null
    const said = { id: field('id'), text: field('data') ?? '', retry: field('retry') }
    if (said.id !== null || said.retry !== null) yield said
  }
}
