import type { EventActor } from '@writ/domain/event'
import { mintId, type PersonId, type SignInId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import { plus, type EpochMs } from '@writ/domain/time'
import type { ChallengeUse } from '../authenticate/passkey-challenge.ts'
import { rolesOf } from '../authenticate/person-roles.ts'
import { idleEnd, SIGN_IN_LIVES, signInSecretHash } from '../authenticate/sign-in.ts'
import type { Clock } from '../platform/clock.ts'
import type { Entropy } from '../platform/entropy.ts'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { takeProof } from '../store/installation.ts'
import { insertPerson, lockPerson, lockPersonBy, touchSignedIn, updatePerson, type Person } from '../store/people.ts'
import { insertSignIn, isLive, lockSignIn, markSignInRevoked, type SignIn, type SignInHow, type SignInKind } from '../store/sign-ins.ts'
import { usePasskey, type PasskeyUse, type PasskeyUseRefusal } from '../authenticate/use-passkey.ts'

/** A sign-in to be, of which the store keeps a hash. */
export type NewSignIn = { readonly id: SignInId; readonly secretHash: Uint8Array; readonly kind: SignInKind; readonly how: SignInHow }

/** `secret` goes into the cookie or to the command line, and nowhere else; `newPerson` is the id of whoever is not known yet. */
export function newSignIn(
  { clock, entropy }: { readonly clock: Clock; readonly entropy: Entropy }, { kind, how }: Pick<NewSignIn, 'kind' | 'how'>,
): { readonly secret: string; readonly signIn: NewSignIn; readonly newPerson: PersonId } {
  const secret = toSecret(SECRET_PREFIX.signIn, entropy.bytes(32))
  const now = clock.now()
  return {
    secret, signIn: { id: mintId('signIn', now, entropy.bytes(10)), secretHash: signInSecretHash(secret), kind, how }, newPerson: mintId('person', now, entropy.bytes(10)),
  }
}

/** As a provider says it; `email` only where it has been verified. */
export type Vouched = Pick<Person, 'issuer' | 'subject' | 'name' | 'email' | 'groups'>

export type SignInPersonInput = {
  /** Somebody whom a provider vouches for, or one who is known here. */
  readonly who: Vouched | { readonly person: PersonId }
  /** Whose id it is if it is somebody new. */
  readonly newPerson: PersonId
  readonly signIn: NewSignIn
  readonly now: EpochMs
}

export type SignedIn = { readonly person: PersonId; readonly signIn: SignInId; readonly isNew: boolean }

/** Registers whoever is new, takes over what the provider says of whoever is not, and signs them in. */
export const signInPerson = change('person.sign_in', async (tx: Tx, { who, newPerson, signIn, now }: SignInPersonInput): Promise<Outcome<SignedIn, { readonly kind: 'no_such_person' | 'blocked' }>> => {
  const known = 'person' in who ? await lockPerson(tx, who.person) : await lockPersonBy(tx, who)
  if (known === undefined && 'person' in who) return refuse({ kind: 'no_such_person' })
  if (known !== undefined && known.blockedAt !== null) return refuse({ kind: 'blocked' })
  const person = 'person' in who ? known! : await takeOver(tx, { who, known, newPerson, now })
  await recordSignIn(tx, { person, signIn, now })
  return ok({ person: person.id, signIn: signIn.id, isNew: known === undefined })
})

type Arrival = { readonly who: Vouched; readonly known: Person | undefined; readonly newPerson: PersonId; readonly now: EpochMs }

async function takeOver(tx: Tx, { who, known, newPerson, now }: Arrival): Promise<Person> {
  if (known === undefined) {
    const person: Person = { ...who, id: newPerson, registeredAt: now, signedInAt: null, blockedAt: null }
    if (await registerPerson(tx, person)) return person
    // Another server was first.
    return takeOver(tx, { who, known: (await lockPersonBy(tx, who))!, newPerson, now })
  }
  const changed = (['name', 'email', 'groups'] as const).filter((field) => JSON.stringify(known[field]) !== JSON.stringify(who[field]))
  if (changed.length === 0) return known
  await updatePerson(tx.db, { ...who, id: known.id })
  await append(tx, now, { type: 'person.changed', actor: { kind: 'person', id: known.id }, facts: { person: known.id, changed }, said: saidOf(who) })
  return { ...known, name: who.name, email: who.email, groups: who.groups }
}

/** False when this issuer's subject is registered by now. */
export async function registerPerson(tx: Tx, person: Person, by: EventActor = { kind: 'person', id: person.id }): Promise<boolean> {
  if (!(await insertPerson(tx.db, person))) return false
  await append(tx, person.registeredAt, { type: 'person.registered', actor: by, facts: { person: person.id, issuer: person.issuer }, said: { ...saidOf(person), subject: person.subject } })
  return true
}

const saidOf = ({ name, email, groups }: Pick<Person, 'name' | 'email' | 'groups'>): Readonly<Record<string, string>> => ({
  name, ...(email === null ? {} : { email }), ...(groups.length === 0 ? {} : { groups: groups.join('\n') }),
})

/** `steppedUp`: it was a passkey that let them in. */
export type RecordedSignIn = { readonly person: Person; readonly signIn: NewSignIn; readonly now: EpochMs; readonly steppedUp?: true }

/** Also makes the row. */
export async function recordSignIn(tx: Tx, { person, signIn, now, steppedUp }: RecordedSignIn): Promise<SignIn> {
  const { id, kind, how, secretHash } = signIn
  const endsAt = plus(now, SIGN_IN_LIVES)
  const made: SignIn = { id, person: person.id, kind, how, madeAt: now, idleUntil: idleEnd(now, endsAt), endsAt, revokedAt: null, steppedUpAt: steppedUp === true ? now : null }
  await insertSignIn(tx.db, made, secretHash)
  await touchSignedIn(tx.db, person.id, now)
  await append(tx, now, { type: 'person.signed_in', actor: { kind: 'person', id: person.id }, facts: { person: person.id, sign_in: id, kind, how, ends_at: endsAt, roles: await rolesOf(tx.db, person) } })
  return made
}

export type PasskeySignInInput = { readonly use: PasskeyUse; readonly challenge: ChallengeUse; readonly signIn: NewSignIn; readonly now: EpochMs }
export type PasskeySignInRefusal = PasskeyUseRefusal | { readonly kind: 'replayed' | 'blocked' }

/** The signature has been verified; what the database alone can tell is looked at here. */
export const signInByPasskey = change('person.sign_in_by_passkey', async (tx: Tx, { use, challenge, signIn, now }: PasskeySignInInput): Promise<Outcome<SignedIn, PasskeySignInRefusal>> => {
  if (!(await takeProof(tx.db, challenge.hash, challenge.until))) return refuse({ kind: 'replayed' })
  const used = await usePasskey(tx, use, now)
  if (!used.ok) return used
  const person = (await lockPerson(tx, used.value.person))!
  if (person.blockedAt !== null) return refuse({ kind: 'blocked' })
  await recordSignIn(tx, { person, signIn, now, steppedUp: true })
  return ok({ person: person.id, signIn: signIn.id, isNew: false })
})

/** `of`: null for anybody's. */
type RevokeInput = { readonly signIn: string; readonly of: PersonId | null; readonly by: EventActor; readonly reason: string; readonly now: EpochMs }

export const revokeSignIn = change('sign_in.revoke', async (tx: Tx, { signIn: reference, of, by, reason, now }: RevokeInput): Promise<Outcome<SignInId, { readonly kind: 'no_such_sign_in' | 'sign_in_is_over' }>> => {
  const signIn = await lockSignIn(tx, reference)
  if (signIn === undefined || (of !== null && signIn.person !== of)) return refuse({ kind: 'no_such_sign_in' })
  if (!isLive(signIn, now)) return refuse({ kind: 'sign_in_is_over' })
  await markSignInRevoked(tx.db, signIn.id, now)
  await append(tx, now, { type: 'sign_in.revoked', actor: by, facts: { person: signIn.person, sign_in: signIn.id }, said: { reason } })
  return ok(signIn.id)
})

type SignOutInput = { readonly signIn: SignInId; readonly now: EpochMs }

/** Whoever has signed out meanwhile is signed out. */
export const signOut = change('person.sign_out', async (tx: Tx, { signIn: reference, now }: SignOutInput) => {
  const signIn = await lockSignIn(tx, reference)
  if (signIn === undefined || signIn.revokedAt !== null) return ok(null)
  await markSignInRevoked(tx.db, signIn.id, now)
  await append(tx, now, { type: 'person.signed_out', actor: { kind: 'person', id: signIn.person }, facts: { person: signIn.person, sign_in: signIn.id } })
  return ok(null)
})
