import type { EventActor } from '@writ/domain/event'
import type { PasskeyId, PersonId, SignInId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { seconds, type EpochMs } from '@writ/domain/time'
import type { ChallengeUse } from '../authenticate/passkey-challenge.ts'
import { publicKeyDigest, type PasskeyCredential } from '../authenticate/passkey.ts'
import { append } from '../record/append.ts'
import { change, type Db, type Tx } from '../record/tx.ts'
import { takeProof } from '../store/installation.ts'
import { insertPasskey, listPasskeys, lockPasskey, markPasskeyRemoved } from '../store/passkeys.ts'
import { lockPerson } from '../store/people.ts'
import { findSignIn, markSteppedUp, type SignIn } from '../store/sign-ins.ts'
import { usePasskey, type PasskeyUse, type PasskeyUseRefusal } from '../authenticate/use-passkey.ts'

/** For so long after somebody proved to be there they may enrol a passkey: a cookie that was stolen later does not do. */
export const FRESH_FOR = seconds(10 * 60)

/** Whoever has a passkey confirms by one; whoever has none yet has just signed in. */
export function mayEnrol(signIn: Pick<SignIn, 'madeAt' | 'steppedUpAt'>, hasPasskey: boolean, now: EpochMs): boolean {
  const since = hasPasskey ? signIn.steppedUpAt : signIn.steppedUpAt ?? signIn.madeAt
  return since !== null && now - since <= FRESH_FOR
}

/** The same, asked before anything is made. */
export async function mayEnrolNow(db: Db, { signIn, person }: { readonly signIn: SignInId; readonly person: PersonId }, now: EpochMs): Promise<boolean> {
  const found = await findSignIn(db, signIn)
  return found !== undefined && mayEnrol(found, (await listPasskeys(db, person)).length > 0, now)
}

/** A credential whose making has been verified. */
export type NewPasskey = { readonly id: PasskeyId; readonly credential: PasskeyCredential; readonly name: string }

export type EnrolInput = { readonly person: PersonId; readonly signIn: SignInId; readonly passkey: NewPasskey; readonly challenge: ChallengeUse; readonly now: EpochMs }
export type EnrolRefusal = { readonly kind: 'replayed' | 'step_up_needed' | 'already_enrolled' }

export const enrolPasskey = change('passkey.enrol', async (tx: Tx, { person, signIn, passkey, challenge, now }: EnrolInput): Promise<Outcome<PasskeyId, EnrolRefusal>> => {
  if (!(await takeProof(tx.db, challenge.hash, challenge.until))) return refuse({ kind: 'replayed' })
  // Of two who enrol the first one at the same time, the second has to confirm by it.
  await lockPerson(tx, person)
  if (!(await mayEnrolNow(tx.db, { signIn, person }, now))) return refuse({ kind: 'step_up_needed' })
  if (!(await recordPasskey(tx, person, passkey, now))) return refuse({ kind: 'already_enrolled' })
  return ok(passkey.id)
})

/** False when the credential is enrolled already; refuse then, and nothing of it is left. */
export async function recordPasskey(tx: Tx, person: PersonId, { id, credential, name }: NewPasskey, now: EpochMs): Promise<boolean> {
  const event = await append(tx, now, {
    type: 'passkey.enrolled', actor: { kind: 'person', id: person },
    facts: { person, passkey: id, credential_id: credential.id, public_key_sha256: publicKeyDigest(credential.publicKey) }, said: { name },
  })
  return insertPasskey(tx.db, { id, person, credentialId: credential.id, publicKey: credential.publicKey, counter: credential.counter, name, enrolledEvent: event.id, enrolledAt: now })
}

export type StepUpInput = { readonly signIn: SignInId; readonly person: PersonId; readonly use: PasskeyUse; readonly challenge: ChallengeUse; readonly now: EpochMs }
export type StepUpRefusal = PasskeyUseRefusal | { readonly kind: 'replayed' | 'passkey_of_another' }

/** A passkey of the same person has confirmed that they are there. */
export const stepUp = change('person.step_up', async (tx: Tx, { signIn, person, use, challenge, now }: StepUpInput): Promise<Outcome<SignInId, StepUpRefusal>> => {
  if (!(await takeProof(tx.db, challenge.hash, challenge.until))) return refuse({ kind: 'replayed' })
  const used = await usePasskey(tx, use, now)
  if (!used.ok) return used
  if (used.value.person !== person) return refuse({ kind: 'passkey_of_another' })
  await markSteppedUp(tx.db, signIn, now)
  await append(tx, now, { type: 'person.stepped_up', actor: { kind: 'person', id: person }, facts: { person, sign_in: signIn, passkey: used.value.id } })
  return ok(signIn)
})

/** `of`: null for anybody's. */
type RemoveInput = { readonly passkey: string; readonly of: PersonId | null; readonly by: EventActor; readonly reason: string; readonly now: EpochMs }

export const removePasskey = change('passkey.remove', async (tx: Tx, { passkey: reference, of, by, reason, now }: RemoveInput): Promise<Outcome<PasskeyId, { readonly kind: 'no_such_passkey' | 'already_removed' }>> => {
  const passkey = await lockPasskey(tx, reference)
  if (passkey === undefined || (of !== null && passkey.person !== of)) return refuse({ kind: 'no_such_passkey' })
  if (passkey.removedAt !== null) return refuse({ kind: 'already_removed' })
  await markPasskeyRemoved(tx.db, passkey.id, now)
  await append(tx, now, { type: 'passkey.removed', actor: by, facts: { person: passkey.person, passkey: passkey.id, credential_id: passkey.credentialId }, said: { reason } })
  return ok(passkey.id)
})
