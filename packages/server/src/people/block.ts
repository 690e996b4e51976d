import type { EventActor } from '@writ/domain/event'
import type { PersonId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { append, appendAll } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { lockOperatorsMadeBy, markOperatorRemoved } from '../store/operators.ts'
import { lockPerson, setBlocked } from '../store/people.ts'
import { lockLiveSignIns, markSignInRevoked } from '../store/sign-ins.ts'
import { isLastAdmin } from './roles.ts'

type BlockInput = { readonly person: string; readonly by: EventActor; readonly reason: string; readonly now: EpochMs }
export type BlockRefusal = { readonly kind: 'no_such_person' | 'yourself' | 'blocked_already' | 'last_admin' | 'not_blocked' }

/**
 * Nobody signs in as them from here on, by any means, whatever their provider says; where they have signed in ends, and so do operator keys
 * that they made: they may have kept them. The key that blocks them stays, whoever made it: it may be the last one.
 */
export const blockPerson = change('person.block', async (tx: Tx, { person: reference, by, reason, now }: BlockInput): Promise<Outcome<PersonId, BlockRefusal>> => {
  const person = await lockPerson(tx, reference)
  if (person === undefined) return refuse({ kind: 'no_such_person' })
  if (by.kind === 'person' && by.id === person.id) return refuse({ kind: 'yourself' })
  if (person.blockedAt !== null) return refuse({ kind: 'blocked_already' })
  if (await isLastAdmin(tx, person.id)) return refuse({ kind: 'last_admin' })
  await setBlocked(tx.db, person.id, now)
  const signIns = await lockLiveSignIns(tx, person.id, now)
  for (const { id } of signIns) await markSignInRevoked(tx.db, id, now)
  const operators = (await lockOperatorsMadeBy(tx, person.id)).filter((id) => id !== by.id)
  for (const id of operators) await markOperatorRemoved(tx.db, id, now)
  await append(tx, now, { type: 'person.blocked', actor: by, facts: { person: person.id, sign_ins: signIns.length, operators: operators.length }, said: { reason } })
  await appendAll(tx, now, signIns.map(({ id }) => ({ type: 'sign_in.revoked', actor: by, facts: { person: person.id, sign_in: id }, said: { reason } })))
  await appendAll(tx, now, operators.map((operator) => ({ type: 'operator.removed', actor: by, facts: { operator }, said: { reason } })))
  return ok(person.id)
})

/** They may sign in again, with the roles that they have by then. */
export const unblockPerson = change('person.unblock', async (tx: Tx, { person: reference, by, reason, now }: BlockInput): Promise<Outcome<PersonId, BlockRefusal>> => {
  const person = await lockPerson(tx, reference)
  if (person === undefined) return refuse({ kind: 'no_such_person' })
  if (person.blockedAt === null) return refuse({ kind: 'not_blocked' })
  await setBlocked(tx.db, person.id, null)
  await append(tx, now, { type: 'person.unblocked', actor: by, facts: { person: person.id }, said: { reason } })
  return ok(person.id)
})
