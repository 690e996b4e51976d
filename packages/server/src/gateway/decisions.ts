import { covers, textOf, type Permit } from '@writ/domain/authority'
import { exactText, type ExactRecord } from '@writ/domain/exact'
import { mintId, type DecisionId, type ServerInstanceId } from '@writ/domain/id'
import { unreachable } from '@writ/domain/outcome'
import type { Logger } from 'pino'
import { shownBefore } from '../authenticate/authenticate.ts'
import type { AuthenticateRefusal } from '../authenticate/authenticator.ts'
import { useOnce } from '../authenticate/one-time.ts'
import type { Continues } from '../decide/continued.ts'
import type { Decided } from '../decide/record-decision.ts'
import type { AtGateway } from '../evaluate/at-gateway.ts'
import type { Allowance, TooOften } from '../evaluate/allowance.ts'
import type { Asked, EvaluateRefusal } from '../evaluate/evaluate.ts'
import { evaluateWithin } from '../evaluate/evaluate-within.ts'
import { SERVER, TOOL } from '../evaluate/use.ts'
import type { Clock } from '../platform/clock.ts'
import type { Entropy } from '../platform/entropy.ts'
import type { Store } from '../record/tx.ts'
import { findTask } from '../store/tasks.ts'
import { findToken } from '../store/tokens.ts'
import type { Exchange } from './exchange.ts'
import { Refused, RPC_CODES, rpcError } from './refused.ts'
import type { McpError } from '../upstreams/upstream.ts'

export type DecisionNeeds = {
  readonly store: Pick<Store, 'read' | 'change'>
  /** How often an identity may be denied. */
  readonly allowance: Allowance
  readonly clock: Clock
  readonly entropy: Entropy
  readonly log: Logger
  /** This run of the server. */
  readonly instance: ServerInstanceId
  /** Wakes whoever ends what is due. */
  readonly wake: () => void
  readonly tellRefused: (refusal: AuthenticateRefusal, traceId: string) => void
  /** Why a decision came out as it did; null where that can't be told now. */
  readonly explain: (decision: DecisionId) => Promise<ExactRecord | null>
  /** `WWW-Authenticate` for whoever has to come with other evidence, or with more of it. */
  readonly challenge: (server: string, error: 'invalid_token' | 'insufficient_scope', scope?: string) => string
}

/** What a task wants of a server, in the words of the policies. */
export type Wanted =
  | { readonly kind: 'look'; readonly isThere: boolean }
  | { readonly kind: 'call'; readonly tool: string; readonly arguments: ExactRecord; readonly listed: string | null; readonly continues?: Continues | undefined }

/**
 * Decides, and has the decision recorded, with the attempt where there is one. What works once is used up with it, whatever comes of it.
 * Throws `Refused` for whoever has to come with other evidence.
 */
export async function decide(needs: DecisionNeeds, exchange: Exchange, wanted: Wanted): Promise<Decided> {
  const { caller, uses, traceId } = exchange
  const now = needs.clock.now()
  const asked: Asked = { ...askedOf(exchange.server, wanted, needs.instance), id: mintId('decision', now, needs.entropy.bytes(10)), task: caller.task, subject: { type: caller.kind, id: caller.spiffeId, properties: null }, claimed: '{}' }
  const answered = await evaluateWithin(needs, { asked: [asked], stopAt: 'never', by: { kind: 'identity', id: caller.identity, lease: caller.lease, workload: null }, uses, traceId, now })
  if (!answered.ok) throw await refusedBy(needs, exchange, answered.refusal)
  const decided = answered.value[0]!
  if (decided.cause === 'budget' || decided.cause === 'state') needs.wake()
  return decided
}

function askedOf(server: string, wanted: Wanted, instance: ServerInstanceId): Pick<Asked, 'action' | 'resource' | 'arguments' | 'atGateway'> {
  if (wanted.kind === 'look') return { action: 'list', resource: { type: SERVER, id: server, properties: null }, arguments: '{}', atGateway: { kind: 'look', isThere: wanted.isThere } }
  const { listed, continues } = wanted
  const atGateway: AtGateway = { kind: 'call', instance, listed, ...(continues === undefined ? {} : { continues }) }
  return { action: 'call', resource: { type: TOOL, id: `${server}/${wanted.tool}`, properties: null }, arguments: exactText(wanted.arguments), atGateway }
}

/** Nothing of a refused change is left, and what works once has been shown all the same. */
async function refusedBy(needs: DecisionNeeds, { uses, traceId, server }: Exchange, refusal: EvaluateRefusal | TooOften): Promise<Error> {
  if (refusal.kind !== 'replayed' && uses.length > 0) await needs.store.change(useOnce, { uses })
  switch (refusal.kind) {
    case 'replayed':
    case 'token_not_live':
    case 'no_such_task':
      needs.tellRefused(refusal.kind === 'replayed' ? shownBefore(refusal.of) : { kind: 'token_not_live', why: 'stopped' }, traceId)
      return unauthenticated(needs, server)
    case 'asks_too_often': return tooOften(refusal)
    case 'not_the_holder':
    case 'properties_not_yours': return new Error(`the gateway asked what it may not: ${refusal.kind}`)
    default: return unreachable(refusal)
  }
}

/** RFC 9110 §10.2.3 says when to come again. */
const tooOften = ({ most, seconds }: TooOften): Refused =>
  new Refused(429, rpcError(RPC_CODES.denied, `denied ${most} times within a minute: nothing is decided for another ${seconds} s`, { code: 'too_many_denied', retryable: true, retry_after_seconds: BigInt(seconds) }), { headers: { 'retry-after': String(seconds) } })

export const unauthenticated = ({ challenge }: Pick<DecisionNeeds, 'challenge'>, server: string): Refused =>
  new Refused(401, rpcError(RPC_CODES.invalidRequest, 'who you are could not be established', { code: 'unauthenticated' }), { headers: { 'www-authenticate': challenge(server, 'invalid_token') } })

/** For what is answered without a decision. */
export async function useUp(needs: DecisionNeeds, { uses, traceId, server }: Pick<Exchange, 'uses' | 'traceId' | 'server'>): Promise<void> {
  if (uses.length === 0) return
  const used = await needs.store.change(useOnce, { uses })
  if (used.ok) return
  needs.tellRefused(shownBefore(used.refusal.of), traceId)
  throw unauthenticated(needs, server)
}

/**
 * What a denial is told as: one shape, whatever stands in the way, and the reason in an explanation that only the task's holder gets. Throws
 * `Refused` where another token of the same task would do.
 */
export async function denialOf(needs: DecisionNeeds, { caller, server }: Exchange, decided: Decided, permit: Permit | 'any'): Promise<McpError> {
  const scope = decided.cause === 'grant' ? await scopeNeeded(needs, { caller, server }, permit) : undefined
  if (scope !== undefined) {
    const data = { code: 'insufficient_scope', scope, decision: decided.id }
    throw new Refused(403, rpcError(RPC_CODES.denied, 'the access token holds less than its task', data), { headers: { 'www-authenticate': needs.challenge(server, 'insufficient_scope', scope) } })
  }
  const code = decided.approvable ? 'approval_required' : 'denied'
  return rpcError(RPC_CODES.denied, decided.approvable ? 'denied: a person could allow it' : 'denied', { code, decision: decided.id, explanation: await needs.explain(decided.id) })
}

/** What another token of the same task would have to hold; undefined where none would do. `any`: whatever it may of that server. */
async function scopeNeeded({ store }: DecisionNeeds, { caller: { lease, task }, server }: Pick<Exchange, 'caller' | 'server'>, permit: Permit | 'any'): Promise<string | undefined> {
  const [token, held] = await store.read(async (db) => [await findToken(db, lease), await findTask(db, task)] as const)
  if (token === undefined || held === undefined) return undefined
  const isMeant = (one: Permit): boolean => (permit === 'any' ? one.type === 'mcp' && one.resource === server : covers([one], [permit]))
  if (token.authority.some(isMeant)) return undefined
  const missing = held.authority.filter(isMeant).map((one) => textOf({ ...one, limits: {} }))
  return missing.length === 0 ? undefined : [...new Set(missing)].join(' ')
}
