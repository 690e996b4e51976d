import { covers, textOf, toAuthorizationDetails, type Authority } from '@writ/domain/authority'
import { mintId, type IdentityId, type LeaseId, type TaskId } from '@writ/domain/id'
import type { Identity } from '@writ/domain/identity'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { SpiffeId } from '@writ/domain/spiffe-id'
import { dueReason, type AskedTerms, type Task, type TermsRefusal } from '@writ/domain/task'
import { earliest, fromNumericDate, milliseconds, plus, toNumericDate, type EpochMs } from '@writ/domain/time'
import { isProofEnough, type Evidence, type OneTimeUse } from '../authenticate/authenticator.ts'
import { holderOf, type Holder } from '../authenticate/holder.ts'
import { takeUses, useOnce } from '../authenticate/one-time.ts'
import { LONGEST_TOKEN_MS, type TokenKeys } from '../keys/token-keys.ts'
import type { Clock } from '../platform/clock.ts'
import type { Entropy } from '../platform/entropy.ts'
import { failpoint } from '../platform/failpoint.ts'
import { append } from '../record/append.ts'
import { change, type Store, type Tx } from '../record/tx.ts'
import { findIdentity, lockIdentity } from '../store/identities.ts'
import { runOnce } from '../store/once.ts'
import { findActiveKid } from '../store/signing-keys.ts'
import type { KeyReused, Once } from '../store/store.ts'
import { countBeneath, findTask, lockTask, takeUpTask, touchTask } from '../store/tasks.ts'
import { findToken, findTokenStanding, insertToken, type StoredToken, type Token } from '../store/tokens.ts'
import { MOST_BENEATH } from '../revoke/close-task.ts'

/** In which task the token is to stand: an open one, or one that is opened with it. */
export type TokenTask =
  | { readonly kind: 'open'; readonly id: TaskId }
  | { readonly kind: 'new'; readonly id: TaskId; readonly purpose: string; readonly asked: AskedTerms }

export type AskedToken = {
  readonly identity: IdentityId
  readonly evidence: Evidence
  readonly task: TokenTask
  /** Null: all that the task may. */
  readonly authority: Authority | null
  /** RFC 8707 §2: for whom the token is. */
  readonly audience: string
  /** RFC 9449 §6: the key that its holder has to prove. */
  readonly jkt: string | null
  /** RFC 8693: the token that this one is asked for in exchange, and is covered by. */
  readonly inExchange: LeaseId | null
}

/** Why no task may be opened. */
export type TaskRefusal =
  | TermsRefusal
  | { readonly kind: 'identity_not_active'; readonly state: string; readonly reason: string }
  | { readonly kind: 'no_such_identity' }
  | { readonly kind: 'no_such_parent' }
  | { readonly kind: 'too_many_tasks'; readonly most: number }

type TaskOrder = {
  readonly id: TaskId; readonly identity: IdentityId; readonly parent: null; readonly purpose: string; readonly asked: AskedTerms
  readonly holder: Holder; readonly now: EpochMs
}

/** Opens a task inside the change; `locked` is its identity, which the change has locked. */
export type TaskOpening = (tx: Tx, order: TaskOrder, locked: Identity | undefined) => Promise<Outcome<Found, TaskRefusal>>

export type TokenIssueRefusal =
  | TaskRefusal
  | KeyReused
  | { readonly kind: 'replayed'; readonly of: OneTimeUse['of'] }
  | { readonly kind: 'no_such_task' }
  | { readonly kind: 'task_not_open'; readonly reason: string }
  | { readonly kind: 'token_not_covered' }
  | { readonly kind: 'token_not_live' }
  | { readonly kind: 'proof_needed' }
  | { readonly kind: 'too_many_leases'; readonly most: number }
  | { readonly kind: 'too_short' }

type IssueTokenInput = AskedToken & { readonly id: LeaseId; readonly uses: readonly OneTimeUse[]; readonly once: Once; readonly now: EpochMs }

/** A token that lives shorter than this has expired before it is used. */
const SHORTEST_TOKEN_MS = 1000

/**
 * One transaction: what works once is used up, the task is opened or found, and the token is issued in it. A repeat of the request comes
 * with evidence of its own, and that is used up too: who listens to a request can not repeat it, with the `Idempotency-Key` or without.
 */
export const issueTokenBy = (openTaskIn: TaskOpening) => change('token.issue', async (tx: Tx, input: IssueTokenInput) => {
  // Asked at once: to a database elsewhere it is one way there and back.
  const [seen, kid, locked] = await Promise.all([
    takeUses(tx.db, input.uses), findActiveKid(tx.db), input.task.kind === 'new' ? lockIdentity(tx, input.identity) : undefined,
  ])
  if (seen !== undefined) return refuse<TokenIssueRefusal>({ kind: 'replayed', of: seen })
  if (kid === undefined) throw new Error('there is no active key for access tokens')
  return runOnce(tx, { name: 'token.issue', run: issueIn }, { ...input, kid, locked, openTaskIn }, input.once)
})

type Prepared = IssueTokenInput & { readonly kid: string; readonly locked: Identity | undefined; readonly openTaskIn: TaskOpening }

async function issueIn(tx: Tx, input: Prepared): Promise<Outcome<Token, TokenIssueRefusal>> {
  const found = input.task.kind === 'open' ? await findOpen(tx, input, input.task.id) : await openNew(tx, input, input.task)
  if (!found.ok) return found
  const { task, identity } = found.value
  if (!isProofEnough(identity.class, input.jkt)) return refuse({ kind: 'proof_needed' })
  const bound = await boundOf(tx, task, input)
  if (!bound.ok) return bound
  const authority = input.authority ?? bound.value.authority
  if (!covers(bound.value.authority, authority)) return refuse({ kind: 'token_not_covered' })
  const end = earliest(plus(input.now, milliseconds(LONGEST_TOKEN_MS)), bound.value.deadline)
  const expiresAt = fromNumericDate(toNumericDate(end))
  if (expiresAt - input.now < SHORTEST_TOKEN_MS) return refuse({ kind: 'too_short' })

  const token: Token = {
    id: input.id, kid: input.kid, task: task.id, identity: identity.id, audience: input.audience, jkt: input.jkt, authority, issuedAt: input.now, expiresAt,
    ...await chainOf(tx, task, identity),
  }
  await insertToken(tx.db, token)
  await append(tx, input.now, {
    type: 'lease.minted', actor: { kind: 'identity', id: identity.id }, task: task.id, identity: identity.id, lease: input.id,
    facts: {
      backend: 'writ', backend_kind: 'access_token', audience: input.audience, jkt: input.jkt, kid: input.kid, expires_at: expiresAt,
      // Most tokens hold all that their task may; that stands in the log already.
      authority: input.authority === null && input.inExchange === null ? 'task' : authority.map(textOf),
      in_exchange: input.inExchange, evidence: input.evidence.kind, issuer: input.evidence.issuer, credential: input.evidence.credential,
    },
  })
  failpoint('token.issue.before_commit')
  return ok(token)
}

type Found = { readonly task: Task; readonly identity: Identity }

async function openNew(tx: Tx, input: Prepared, { id, purpose, asked }: Extract<TokenTask, { kind: 'new' }>): Promise<Outcome<Found, TokenIssueRefusal>> {
  return input.openTaskIn(tx, { id, purpose, asked, identity: input.identity, parent: null, holder: holderOf(input.evidence), now: input.now }, input.locked)
}

/** To ask for a token says that the holder is alive, and takes no call of the budget. */
async function findOpen(tx: Tx, input: Prepared, id: TaskId): Promise<Outcome<Found, TokenIssueRefusal>> {
  const task = await lockTask(tx, id)
  if (task === undefined || task.identity !== input.identity) return refuse({ kind: 'no_such_task' })
  const over = task.state === 'open' ? dueReason(task, input.now) : task.endReason ?? task.state
  if (over !== undefined) return refuse({ kind: 'task_not_open', reason: over })
  const identity = await findIdentity(tx.db, task.identity)
  if (identity === undefined) return refuse({ kind: 'no_such_identity' })
  if (identity.state !== 'active') return refuse({ kind: 'identity_not_active', state: identity.state, reason: identity.stateReason })
  if (input.now >= identity.endsAt) return refuse({ kind: 'identity_not_active', state: 'ended', reason: 'its end date has passed' })
  if ((await countBeneath(tx.db, task.id)) >= MOST_BENEATH) return refuse({ kind: 'too_many_leases', most: MOST_BENEATH })
  await touchTask(tx.db, { ...task, lastHeardAt: input.now })
  // What is read with its tokens, the instance that holds it has read.
  if (task.parent !== null && input.evidence.kind !== 'access_token') await takeUpTask(tx.db, task.id, holderOf(input.evidence).workload)
  return ok({ task, identity })
}

type Bound = { readonly authority: Authority; readonly deadline: EpochMs }

/**
 * What a token may at most, and until when: its task's bounds, or those of the token that it is exchanged for (laws 2 and 3). Who proves the
 * key of a bound token may go on with it until the task's deadline; a token that is bound to nobody gives nobody more time.
 */
async function boundOf(tx: Tx, task: Task, { inExchange, jkt, now }: IssueTokenInput): Promise<Outcome<Bound, TokenIssueRefusal>> {
  if (inExchange === null) return ok({ authority: task.authority, deadline: task.deadline })
  const token = await findToken(tx.db, inExchange)
  // INVARIANT: looked at again under the task's lock: it may have been stopped since the door looked.
  const isGood = token?.state === 'live' && now < token.expiresAt && token.task === task.id
  if (token === undefined || !isGood) return refuse({ kind: 'token_not_live' })
  // One key holds them all: an exchange hands nothing on to somebody else.
  if (token.jkt !== null && token.jkt !== jkt) return refuse({ kind: 'proof_needed' })
  return ok({ authority: token.authority, deadline: token.jkt === null ? token.expiresAt : task.deadline })
}

type Chain = Pick<Token, 'subject' | 'subjectIssuer' | 'actors'>

/**
 * RFC 8693 §4.1: the subject is whom the whole chain of tasks acts for, a user or the identity at its top; `actors` are those who act for it,
 * the holder of the token first. An identity that acts for itself has none.
 */
async function chainOf(tx: Tx, task: Task, identity: Identity): Promise<Chain> {
  const actors: SpiffeId[] = [identity.spiffeId]
  for (let above = task.parent; above !== null;) {
    const parent = (await findTask(tx.db, above))!
    actors.push((await findIdentity(tx.db, parent.identity))!.spiffeId)
    above = parent.parent
  }
  if (task.onBehalfOf !== null) return { subject: task.onBehalfOf.subject, subjectIssuer: task.onBehalfOf.issuer, actors }
  return { subject: actors.at(-1)!, subjectIssuer: null, actors: actors.slice(0, -1) }
}

export type TokenNeeds = {
  readonly issueToken: ReturnType<typeof issueTokenBy>
  readonly store: Pick<Store, 'change' | 'read'>
  readonly keys: Pick<TokenKeys, 'sign'>
  readonly clock: Clock
  readonly entropy: Entropy
  readonly issuer: () => string
}

export type IssuedToken = { readonly token: Token; readonly jwt: string; readonly expiresIn: number }

/** Issues a token. It is signed after the commit, from its row: a repeat of the request gets the same lease, signed anew. */
export async function issueAccessToken(
  needs: TokenNeeds, asked: AskedToken & { readonly holder: SpiffeId }, more: { readonly uses: readonly OneTimeUse[]; readonly once: Once },
): Promise<Outcome<IssuedToken, TokenIssueRefusal>> {
  const { clock, store } = needs
  const { holder, ...own } = asked
  const now = clock.now()
  const issued = await store.change(needs.issueToken, { ...own, ...more, id: mintId('lease', now, needs.entropy.bytes(10)), now })
  if (!issued.ok) {
    // Nothing of a refused change is left, and what works once has been shown all the same.
    if (issued.refusal.kind !== 'replayed' && more.uses.length > 0) await store.change(useOnce, { uses: more.uses })
    return issued
  }
  const { value: token, repeated } = issued.value
  if (repeated && (await store.read((db) => findTokenStanding(db, { jti: token.id, kid: null }, now))).kind === 'not_live') return refuse({ kind: 'token_not_live' })
  const jwt = await needs.keys.sign(claimsOf(token, { issuer: needs.issuer(), holder }), token.kid)
  return ok({ token, jwt, expiresIn: Math.floor((token.expiresAt - now) / 1000) })
}

/** RFC 9068 §2.2, with what RFC 9396 §9.1, RFC 9449 §6.1 and RFC 8693 §4.1 add; `txn` is the task. */
export function claimsOf(token: Token | StoredToken, { issuer, holder }: { readonly issuer: string; readonly holder: SpiffeId }): Readonly<Record<string, unknown>> {
  return {
    iss: issuer,
    // RFC 7519 §4.1.2: unique among ours. Two issuers may have a user of one name, and neither's name is one of our identities'.
    sub: token.subjectIssuer === null ? token.subject : `${token.subjectIssuer}|${token.subject}`,
    aud: token.audience,
    client_id: holder,
    iat: toNumericDate(token.issuedAt),
    exp: toNumericDate(token.expiresAt),
    jti: token.id,
    txn: token.task,
    authorization_details: toAuthorizationDetails(token.authority),
    ...(token.jkt === null ? {} : { cnf: { jkt: token.jkt } }),
    ...(token.subjectIssuer === null ? {} : { sub_id: { format: 'iss_sub', iss: token.subjectIssuer, sub: token.subject } }),
    ...(token.actors.length === 0 ? {} : { act: actOf(token.actors) }),
  }
}

type Act = { readonly sub: string; readonly act?: Act }

/** The outermost is who acts now. */
const actOf = ([first, ...before]: readonly SpiffeId[]): Act => (before.length === 0 ? { sub: first! } : { sub: first!, act: actOf(before) })
