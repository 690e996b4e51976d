import type { PersonId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { Role } from '@writ/domain/person'
import { seconds, type EpochMs } from '@writ/domain/time'
import type { ChallengeUse } from '../authenticate/passkey-challenge.ts'
import { append } from '../record/append.ts'
import { change, type Db, type Tx } from '../record/tx.ts'
import { countOperators, findBootstrap, takeBootstrap, takeProof } from '../store/installation.ts'
import { lockOperatorsByLink, markOperatorRemoved } from '../store/operators.ts'
import { findInvitation, insertInvitation, isAnyAdmin, isAnyPersonByLink, OWN_ISSUER, takeInvitation, type Person } from '../store/people.ts'
import { recordPasskey, type NewPasskey } from './passkeys.ts'
import { recordRole } from './roles.ts'
import { recordSignIn, registerPerson, type NewSignIn, type SignedIn } from './sign-in.ts'

export const INVITATION_LIVES = seconds(24 * 3600)

type InviteInput = {
  readonly codeHash: Uint8Array
  readonly name: string
  readonly email: string | null
  readonly roles: readonly Role[]
  readonly by: PersonId
  readonly reason: string
  readonly now: EpochMs
  readonly endsAt: EpochMs
}

export const invitePerson = change('person.invite', async (tx: Tx, { codeHash, name, email, roles, by, reason, now, endsAt }: InviteInput) => {
  await insertInvitation(tx.db, { codeHash, name, email, roles, offeredBy: by }, { now, endsAt })
  await append(tx, now, { type: 'person.invited', actor: { kind: 'person', id: by }, facts: { roles, ends_at: endsAt }, said: { name, reason, ...(email === null ? {} : { email }) } })
  return ok(null)
})

type ByLinkInput = {
  readonly codeHash: Uint8Array
  readonly person: PersonId
  /** Where the link does not say whom it is for. */
  readonly name: string
  readonly passkey: NewPasskey
  readonly challenge: ChallengeUse
  readonly signIn: NewSignIn
  readonly now: EpochMs
}

/** Unknown, used and expired codes are one refusal: a guesser learns nothing. */
export type ByLinkRefusal = { readonly kind: 'bad_code' | 'replayed' | 'already_enrolled' }

/** Whether the code would be taken, for whoever is about to make a passkey for it. */
export async function isCodeOpen(db: Db, codeHash: Uint8Array, now: EpochMs): Promise<boolean> {
  return (await findInvitation(db, codeHash, now)) !== undefined || findBootstrap(db, { codeHash, beside: await isBeside(db) }, now)
}

/** Whether there is somebody already who could let others in: a link for the first one is worth nothing then. */
export const isBeside = async (db: Db): Promise<boolean> => (await countOperators(db)) > 0 || isAnyAdmin(db)

/** One with a passkey, signed in. The link of `writ up` makes an administrator; with the first of them dies every operator key that came from a link. */
export const registerByLink = change('person.register_by_link', async (tx: Tx, input: ByLinkInput): Promise<Outcome<SignedIn, ByLinkRefusal>> => {
  const { codeHash, challenge, passkey, signIn, now } = input
  if (!(await takeProof(tx.db, challenge.hash, challenge.until))) return refuse({ kind: 'replayed' })
  const invitation = await takeInvitation(tx.db, codeHash, now)
  if (invitation === undefined && (await takeBootstrap(tx.db, { codeHash, beside: await isBeside(tx.db) }, now)) === undefined) return refuse({ kind: 'bad_code' })
  const isFirst = !(await isAnyPersonByLink(tx.db))
  const { name, email, roles } = invitation ?? { name: input.name, email: null, roles: ['admin'] as const }
  const person: Person = { id: input.person, issuer: OWN_ISSUER, subject: input.person, name, email, groups: [], registeredAt: now, signedInAt: null, blockedAt: null }
  await registerPerson(tx, person)
  const by = invitation === undefined ? { kind: 'person', id: person.id } as const : { kind: 'person', id: invitation.offeredBy as PersonId } as const
  const reason = invitation === undefined ? 'came by the link of the server' : 'was invited'
  for (const role of roles) await recordRole(tx, { person: person.id, role, by, reason }, now)
  if (!(await recordPasskey(tx, person.id, passkey, now))) return refuse({ kind: 'already_enrolled' })
  await recordSignIn(tx, { person, signIn, now, steppedUp: true })
  if (isFirst && invitation === undefined) await endKeysByLink(tx, person.id, now)
  return ok({ person: person.id, signIn: signIn.id, isNew: true })
})

async function endKeysByLink(tx: Tx, by: PersonId, now: EpochMs): Promise<void> {
  for (const operator of await lockOperatorsByLink(tx)) {
    await markOperatorRemoved(tx.db, operator, now)
    await append(tx, now, { type: 'operator.removed', actor: { kind: 'person', id: by }, facts: { operator }, said: { reason: 'the first person has come, and keys that came by a link end with that' } })
  }
}
