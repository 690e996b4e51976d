import { parseExactJson } from '@writ/contract/strict-json'
import type { ExactRecord } from '@writ/domain/exact'
import { mintId, parseId, type ApprovalId } from '@writ/domain/id'
import { ok, type Outcome } from '@writ/domain/outcome'
import { toIso } from '@writ/domain/time'
import { requestApproval, type Requested, type RequestRefusal } from '../approvals/request.ts'
import { whoCanDecide } from '../approvals/say.ts'
import type { ApprovalWaiters } from '../approvals/waiting.ts'
import type { Decided } from '../decide/record-decision.ts'
import { findApproval } from '../store/approvals.ts'
import type { InputAnswers, McpError, Turn } from '../upstreams/upstream.ts'
import type { DecisionNeeds } from './decisions.ts'
import type { Exchange } from './exchange.ts'
import { isRecord } from './json-rpc.ts'

export type ApprovalNeeds = Pick<DecisionNeeds, 'store' | 'clock' | 'entropy'> & {
  /** Where people see a request, and answer it once they have signed in. */
  readonly approvalUrl: (id: ApprovalId) => string
  readonly waiters: ApprovalWaiters
}

/** With these nothing is asked again: somebody waits, or a person has said no, or has said yes and it was used. */
const STANDS: ReadonlySet<string> = new Set(['waiting', 'used', 'denied', 'lapsed', 'ran'])

/**
 * What a denial that a person could lift is told as: with the request that was made of it, or that there is. A client that can send its user to a
 * page, and come back with the same request, is asked to; every other gets an error that names the page.
 */
export async function askPerson(needs: ApprovalNeeds, exchange: Exchange, decided: Decided, denial: McpError): Promise<Turn> {
  const { approval } = decided
  if (approval?.kind === 'denied_still' || (!decided.approvable && approval === undefined)) return { kind: 'error', error: denial }
  const asked = approval !== undefined && STANDS.has(approval.kind) ? await found(needs, approval.id) : await request(needs, exchange, decided)
  if (!asked.ok) return { kind: 'error', error: refusedRequest(asked.refusal, denial) }
  const url = needs.approvalUrl(asked.value.id)
  if (asked.value.state === 'waiting' && exchange.canReturn === true && takesUrls(exchange)) return question(asked.value, url)
  return { kind: 'error', error: withApproval(denial, asked.value, url) }
}

type Asked = Requested['approval']

async function found({ store }: ApprovalNeeds, id: ApprovalId): Promise<Outcome<Asked, RequestRefusal>> {
  return ok((await store.read((db) => findApproval(db, id)))!)
}

async function request({ store, clock, entropy }: ApprovalNeeds, { caller }: Exchange, { id }: Decided): Promise<Outcome<Asked, RequestRefusal>> {
  const now = clock.now()
  const requested = await store.change(requestApproval, {
    id: mintId('approval', now, entropy.bytes(10)), decision: id, by: caller.identity, within: caller.task, lease: caller.lease, workload: null, intent: null, isExplicit: false, now,
  })
  return requested.ok ? ok(requested.value.approval) : requested
}

function refusedRequest(refusal: RequestRefusal, denial: McpError): McpError {
  if (refusal.kind !== 'too_many_waiting') return denial
  const { data } = denial
  return { ...denial, message: `denied: a person could allow it, and ${refusal.most} requests of this ${refusal.of} wait already`, data: { ...(isRecord(data) ? data : {}), code: 'too_many_waiting' } }
}

const SAID: Readonly<Record<Asked['state'], { readonly code: string; readonly say: (url: string) => string }>> = {
  waiting: { code: 'approval_required', say: (url) => `denied: a person has to approve it first, at ${url}; then send the same request again` },
  approved: { code: 'approval_void', say: () => 'denied: what was approved is not this any more' },
  used: { code: 'approval_used', say: () => 'denied: its approval was used already' },
  denied: { code: 'approval_denied', say: () => 'denied: a person has said no' },
  lapsed: { code: 'approval_lapsed', say: () => 'denied: nobody answered in time, or it was not used in time' },
  cancelled: { code: 'approval_cancelled', say: () => 'denied: the request for approval was taken back' },
}

function withApproval(denial: McpError, { id, state, route, expiresAt }: Asked, url: string): McpError {
  const { code, say } = SAID[state]
  const told: ExactRecord = { approval: id, approval_state: state, url, expires_at: toIso(expiresAt), who_can_decide: whoCanDecide(route) }
  return { ...denial, message: say(url), data: { ...(isRecord(denial.data) ? denial.data : {}), code, ...told } }
}

/** MCP 2026-07-28: only what a client declared is asked of it. */
function takesUrls({ client: { capabilities } }: Exchange): boolean {
  const { elicitation } = capabilities
  return isRecord(elicitation) && isRecord(elicitation['url'])
}

const STATE = 'writ-approval:'
const QUESTION = 'approval'

/** What a request goes on with that waits for a person, and for no server: which approval it is. */
export const approvalIn = (state: string): ApprovalId | undefined => (state.startsWith(STATE) ? parseId('approval', state.slice(STATE.length)) : undefined)

function question({ id, route, expiresAt }: Asked, url: string): Turn {
  const message = `A person has to approve this call by ${toIso(expiresAt)}. Who can: ${whoCanDecide(route)}.`
  return { kind: 'input_required', state: `${STATE}${id}`, inputs: { [QUESTION]: { method: 'elicitation/create', params: { mode: 'url', message, url, elicitationId: id } } } }
}

/** So long an answer is waited for before the client is asked to come back. */
const WAIT_MS = 20_000

/** Whether the user went to see the page; then there may be an answer soon, and it is waited for. */
export async function awaitPerson({ waiters }: Pick<ApprovalNeeds, 'waiters'>, id: ApprovalId, answers: InputAnswers, signal: AbortSignal): Promise<boolean> {
  const answer = answers[QUESTION]
  const read = answer?.kind === 'result' ? parseExactJson(answer.text) : undefined
  const hasGone = read?.ok === true && isRecord(read.value) && read.value['action'] === 'accept'
  if (hasGone) await waiters.wait(id, WAIT_MS, signal)
  return hasGone
}
