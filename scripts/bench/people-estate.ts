import { Agent, request } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import * as approvals from '@writ/contract/approvals'
import { DEFAULT_BUNDLE } from '@writ/policy/defaults'
import { askToken, proofKey, type ProofKey } from '../../packages/server/test/oauth-client.ts'
import type { SignedInPerson } from '../../packages/server/test/people.ts'
import type { RunningWrit, TestIdentity } from '../../packages/server/test/running-writ.ts'
import { applyTo } from './decisions-over-http.ts'

const TOOL = 'shop/note'
const ASK_FIRST = `@id("notes-are-approved")
forbid (principal, action in Writ::Action::"call", resource == Writ::Tool::"${TOOL}")
unless { context.approved };
`
const NOTE = { server: 'shop', name: 'note', effect: 'write', reversible: true, labels: [], input: { type: 'object', properties: { order: { type: 'string' } }, additionalProperties: false } }

/** What needs a person's answer, who have an hour for it, and can be taken back, so that no passkey has to sign. */
export async function applyAskFirst(writ: RunningWrit): Promise<void> {
  await applyTo(writ, { ...DEFAULT_BUNDLE, 'notes.cedar': ASK_FIRST, 'tools.json': JSON.stringify([NOTE]) })
  const set = await writ.operator(approvals.setApprovalRoutes, { body: { routes: [{ name: 'patient', seconds: 3600 }], version: 0, reason: 'measures' } })
  if (set.status !== 200) throw new Error(`the route was not set: ${set.text}`)
}
export const AUTHORITY = ['mcp:shop:note']
const TERMS = { purpose: 'writes notes', authorization_details: JSON.stringify([{ type: 'mcp', locations: ['shop'], actions: ['note'] }]), ttl_seconds: '3600', heartbeat_seconds: '3600', budget_calls: '1000' }
/** As in the SDK: a server that can not now is asked again. */
const MAY_PASS: readonly number[] = [408, 429, 503]
const [MOST_TRIES, PAUSE_MS] = [20, 200]
/** A token is renewed before it ends, as the SDK does. */
const RENEWED_BEFORE_MS = 60_000

/** One connection for each request that is under way: HTTP/1.1 has one answer on a connection at a time. */
export const connections = (): Agent => new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 64 })

/** A task of its own, by an access token that is bound to its key. */
export type Holder = { readonly identity: TestIdentity; readonly task: string; readonly key: ProofKey; token: string; until: number }

/** `url`: of the server that is asked; `issuer`: what proofs name. */
export type Where = Pick<RunningWrit, 'url' | 'issuer'>

export async function holderOf(writ: Where, identity: TestIdentity, more: Readonly<Record<string, string>> = TERMS): Promise<Holder> {
  const key = await proofKey()
  const { reply } = await tokenOf(writ, identity, key, more)
  return { identity, task: reply.task, key, token: reply.access_token, until: Date.now() + reply.expires_in * 1000 }
}

async function renew(writ: Where, holder: Holder): Promise<void> {
  const { reply } = await tokenOf(writ, holder.identity, holder.key, { task: holder.task })
  holder.token = reply.access_token
  holder.until = Date.now() + reply.expires_in * 1000
}

async function tokenOf(writ: Where, identity: TestIdentity, key: ProofKey, form: Readonly<Record<string, string>>): ReturnType<typeof askToken> {
  for (let tries = 1; ; tries++) {
    const got = await askToken(writ, identity, form, { proof: key.proof({ htu: `${writ.issuer}/oauth/token` }) })
    if (got.status === 200) return got
    if (!MAY_PASS.includes(got.status) || tries === MOST_TRIES) throw new Error(`no token: ${got.status} ${got.text}`)
    await pause(PAUSE_MS)
  }
}

export type Answered = { readonly status: number; readonly text: string }

type Asked = { readonly path: string; readonly body?: object }

/** One request with the task's token, and a proof of its own for each time that it is sent. */
async function ask(agent: Agent, writ: Where, holder: Holder, asked: Asked): Promise<Answered> {
  for (let tries = 1; ; tries++) {
    if (Date.now() > holder.until - RENEWED_BEFORE_MS) await renew(writ, holder)
    const answered = await send(agent, writ, holder, asked).catch((fault: NodeJS.ErrnoException) => {
      if (tries === MOST_TRIES || fault.code === undefined) throw fault
      return undefined
    })
    if (answered?.status === 401 && tries === 1) await renew(writ, holder)
    else if (answered !== undefined && (!MAY_PASS.includes(answered.status) || tries === MOST_TRIES)) return answered
    else await pause(PAUSE_MS)
  }
}

/** The same, once, with the token that there is. */
export function send(agent: Agent, { url, issuer }: Where, { key, token }: Holder, { path, body }: Asked): Promise<Answered> {
  const method = body === undefined ? 'GET' : 'POST'
  const text = body === undefined ? '' : JSON.stringify(body)
  const headers = {
    authorization: `DPoP ${token}`, dpop: key.proof({ htu: issuer + path.split('?')[0]!, htm: method, token }),
    ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
  }
  return new Promise((resolve, reject) => {
    request(url + path, { method, agent, headers }, (answer) => {
      let got = ''
      answer.setEncoding('utf8').on('data', (chunk: string) => { got += chunk }).on('end', () => { resolve({ status: answer.statusCode!, text: got }) }).on('error', reject)
    }).on('error', reject).end(text)
  })
}

function read<T>({ status, text }: Answered, what: string): T {
  if (status < 200 || status > 299) throw new Error(`${what} answered ${status}: ${text}`)
  return JSON.parse(text) as T
}

/** Tries the call: true where it is allowed, else the id of the denial. */
export async function attempt(agent: Agent, writ: Where, holder: Holder): Promise<true | string> {
  const body = { subject: { type: 'agent', id: holder.identity.spiffeId }, action: { name: 'call', properties: { order: holder.task } }, resource: { type: 'tool', id: TOOL } }
  const { decision, context } = read<{ readonly decision: boolean; readonly context: { readonly evaluation_id?: string } }>(await ask(agent, writ, holder, { path: '/access/v1/evaluation', body }), 'an evaluation')
  if (decision) return true
  if (context.evaluation_id === undefined) throw new Error('nobody could allow it')
  return context.evaluation_id
}

type AccessTask = { readonly task: { readonly id: string; readonly status: string }; readonly result?: { readonly approval: { readonly approved_at: string } } }

/** Asks people about a denial. */
export async function requestOf(agent: Agent, writ: Where, holder: Holder, denial: string): Promise<string> {
  return read<AccessTask>(await ask(agent, writ, holder, { path: '/access/v1/requests', body: { denial: { evaluation_id: denial } } }), 'a request').task.id
}

/** Waits as the SDK does, in requests of half a minute. Answers when it was approved, as the server says. */
export async function waitFor(agent: Agent, writ: Where, holder: Holder, id: string): Promise<number> {
  for (;;) {
    const { task, result } = read<AccessTask>(await ask(agent, writ, holder, { path: `/access/v1/requests/${id}?wait_seconds=30` }), 'a wait')
    if (task.status === 'approved') return Date.parse(result!.approval.approved_at)
    if (task.status !== 'pending') throw new Error(`${id} is ${task.status}`)
  }
}

/** Shown and answered, as the console does. Answers when the yes was sent. */
export async function approve(person: SignedInPerson, id: string): Promise<number> {
  const choice = { scope: 'once' as const }
  const shown = await person.api(approvals.previewApproval, { parameters: { id }, body: { choice } })
  if (shown.status !== 200) throw new Error(`${id} was not shown: ${shown.text}`)
  const sent = performance.now()
  const got = await person.api(approvals.approveApproval, { parameters: { id }, body: { choice, envelope_sha256: shown.reply.envelope_sha256 } })
  if (got.status !== 200 || got.reply.state !== 'approved') throw new Error(`${id} was not approved: ${got.text}`)
  return sent
}
