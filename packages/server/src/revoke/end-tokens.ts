import type { EventActor } from '@writ/domain/event'
import type { IncidentId, LeaseId } from '@writ/domain/id'
import { ok } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { failpoint } from '../platform/failpoint.ts'
import { append, appendAll } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { lockIdentity } from '../store/identities.ts'
import { lockFreeTasks, lockTask } from '../store/tasks.ts'
import {
  findToken, findTokenStanding, findTokenStandings, lockDueTokens, lockToken, markTokenAccepted, markTokensEnded, putOffToken,
  type DueToken, type StoredToken, type TokenRefusal,
} from '../store/tokens.ts'
import { insertIncident, markIncidentResolved } from '../store/watches.ts'
import { closeTaskIfDone, closeTasksIfDone } from './close-task.ts'
import { containIdentity } from './stop-identity.ts'

const WRIT: EventActor = { kind: 'writ', id: 'writ' }

/** `accepted`: tokens that were due and that the doors would still let in. `hasMore`: whether more may be due right now. */
export type EndedTokens = { readonly ended: number; readonly accepted: readonly LeaseId[]; readonly hasMore: boolean }

/**
 * Proves the end of tokens that have stopped or expired: asks what every door asks of every token, and records the refusal. Those of a task
 * that is over bring its closing. Several servers share the work; a token whose task another change holds is left for the next round.
 */
export const endDueTokens = change('token.end_due', async (tx: Tx, { now, limit }: { readonly now: EpochMs; readonly limit: number }) => {
  const due = await lockDueTokens(tx, now, limit)
  // One that expired in an open task closes nothing; whoever ends that task waits for the token.
  const isAlone = (token: DueToken): boolean => token.state === 'live' && token.isTaskOpen
  const free = await lockFreeTasks(tx, due.filter((token) => !isAlone(token)).map(({ task, root }) => ({ id: task, root })))
  const taken = due.filter((token) => isAlone(token) || free.has(token.task))

  const refused: Refused[] = []
  const accepted: LeaseId[] = []
  for (const standing of await findTokenStandings(tx.db, taken.map(({ id }) => ({ jti: id, kid: null })), now)) {
    if (standing.kind === 'live') accepted.push(standing.token.id)
    else if (standing.token !== null) refused.push({ token: standing.token, why: standing.why })
  }
  if (refused.length > 0) await recordEnds(tx, refused, now)
  await closeTasksIfDone(tx, [...new Set(refused.map(({ token }) => token.task))].filter((task) => free.has(task)), now)
  failpoint('token.ended.before_commit')
  return ok<EndedTokens>({ ended: refused.length, accepted, hasMore: due.length === limit && refused.length > 0 })
})

type Refused = { readonly token: StoredToken; readonly why: TokenRefusal }

async function recordEnds(tx: Tx, refused: readonly Refused[], now: EpochMs): Promise<void> {
  const ended = await appendAll(tx, now, refused.map(({ token, why }) => ({
    type: 'lease.ended', actor: WRIT, task: token.task, identity: token.identity, lease: token.id,
    facts: {
      backend_kind: 'access_token',
      outcome: 'proved',
      withdrawn_at: token.stopAt,
      sessions_ended: 0,
      reassigned: [],
      control_login: 'none',
      probe: { kind: 'refused', by: 'writ', code: why, message: WORDS[why] },
      refused_after_ms: Math.max(0, now - (token.stopAt ?? token.expiresAt)),
      // Who checks the signature and never asks does not learn of the end.
      residual_until: token.expiresAt,
      attempts: token.incident === null ? 1 : 2,
    },
  })))
  await markTokensEnded(tx, refused.map(({ token }, i) => ({ id: token.id, outcome: 'proved', leaf: ended[i]!.leafHash })))
  for (const { token } of refused) {
    if (token.incident === null) continue
    await markIncidentResolved(tx.db, token.incident, now)
    const { task, identity, id: lease, incident } = token
    await append(tx, now, { type: 'incident.resolved', actor: WRIT, task, identity, lease, facts: { incident } })
  }
}

const WORDS: Readonly<Record<TokenRefusal, string>> = {
  unknown: 'there is no such token',
  signing_key: 'the key that signed the token is revoked',
  stopped: 'the token was stopped',
  task_over: 'the task of the token is over',
  identity_not_active: 'the identity of the token is not active',
  expired: 'the token has expired',
}

export type AcceptedInput = { readonly token: LeaseId; readonly incident: IncidentId; readonly retryAt: EpochMs; readonly now: EpochMs }

/**
 * A token that is over and that the doors would still let in: it is stopped, an incident is open and its identity is contained. Once it is
 * refused its end is recorded as that of any other, and the incident resolved.
 */
export const recordAcceptedToken = change('token.still_accepted', async (tx: Tx, { token: id, incident, retryAt, now }: AcceptedInput) => {
  const found = await findToken(tx.db, id)
  if (found === undefined) return ok(false)
  // INVARIANT: the identity before the task, as in every change that locks both.
  await lockIdentity(tx, found.identity)
  await lockTask(tx, found.task)
  const token = await lockToken(tx, id)
  const isDue = token !== undefined && token.dueAt !== null && token.dueAt <= now
  if (!isDue || (await findTokenStanding(tx.db, { jti: id, kid: null }, now)).kind !== 'live') return ok(false)
  await putOffToken(tx.db, id, retryAt)
  if (token.incident !== null) return ok(false)
  await openIncident(tx, token, { incident, now })
  return ok(true)
})

async function openIncident(tx: Tx, token: StoredToken, { incident, now }: { readonly incident: IncidentId; readonly now: EpochMs }): Promise<void> {
  const { task, identity } = token
  const opened = await append(tx, now, {
    type: 'incident.opened', actor: WRIT, task, identity, lease: token.id,
    facts: { incident, kind: 'still_accepted', lease: token.id, attempts: 1, why_code: 'accepted' },
  })
  await insertIncident(tx.db, {
    id: incident, kind: 'still_accepted', lease: null, task, identity, why: `access token ${token.id}`, state: 'open', openedAt: now, resolvedAt: null,
  })
  await markTokenAccepted(tx.db, token.id, { incident, leaf: opened.leafHash, now })
  await containIdentity(tx, identity, `incident ${incident}: an access token was still let in after its end`, now)
  await closeTaskIfDone(tx, task, now)
}
