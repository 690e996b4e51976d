import { createHash } from 'node:crypto'
import type { SignInId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { PersonCaller } from '@writ/domain/person'
import { isSecret, SECRET_PREFIX } from '@writ/domain/secret'
import { earliest, plus, seconds, type EpochMs } from '@writ/domain/time'
import type { Clock } from '../platform/clock.ts'
import { change, type Db, type Store, type Tx } from '../record/tx.ts'
import { StorageBusy, StorageUnavailable } from '../store/faults.ts'
import { findSignInBySecret, keepSignIn as keep, type SignIn, type SignInKind } from '../store/sign-ins.ts'
import { rolesOf } from './person-roles.ts'

/** Unused for so long, it ends; and after so long in any case. */
export const SIGN_IN_IDLES = seconds(30 * 60)
export const SIGN_IN_LIVES = seconds(12 * 3600)
/** However often it is used, its row is written once in this time. */
const KEPT_EVERY = seconds(60)

export type SignInRefusal =
  | { readonly kind: 'not_a_sign_in' }
  | { readonly kind: 'unknown_sign_in' }
  /** The secret of a browser came without its cookie, or one of the command line in a cookie: there the rules are others. */
  | { readonly kind: 'sign_in_of_another_kind' }
  | { readonly kind: 'sign_in_over'; readonly why: 'revoked' | 'idle' | 'ended' }

/** Whether this is meant to be one. */
export const isSignInSecret = (bearer: string): boolean => bearer.startsWith(`${SECRET_PREFIX.signIn}_`)

/** What the store keeps of it. */
export const signInSecretHash = (secret: string): Uint8Array => new Uint8Array(createHash('sha256').update(secret).digest())

/** A sign-in was used: it idles from then on. No event: it says nothing of what anyone may do. */
export const keepSignIn = change('sign_in.keep', async (tx: Tx, { signIn, idleUntil }: { readonly signIn: SignInId; readonly idleUntil: EpochMs }) => {
  await keep(tx.db, signIn, idleUntil)
  return ok(null)
})

/** `isUse`: false of what an open page asks of itself, whether anybody is there or not. */
export type ShownSignIn = { readonly kind: SignInKind; readonly isUse: boolean }

export type SignInNeeds = { readonly store: Pick<Store, 'read' | 'change'>; readonly clock: Clock }

/** Reads what a cookie or the command line presents. Whoever it is may be another one at each request: roles are asked for anew. */
export async function authenticateSignIn(secret: string, { kind, isUse }: ShownSignIn, { store, clock }: SignInNeeds): Promise<Outcome<PersonCaller, SignInRefusal>> {
  if (!isSecret(secret) || !isSignInSecret(secret)) return refuse({ kind: 'not_a_sign_in' })
  const now = clock.now()
  const found = await store.read((db) => callerBehind(db, secret))
  if (found === undefined) return refuse({ kind: 'unknown_sign_in' })
  const { signIn, caller, isBlocked } = found
  if (signIn.kind !== kind) return refuse({ kind: 'sign_in_of_another_kind' })
  const why = signIn.revokedAt !== null || isBlocked ? 'revoked' : now >= signIn.endsAt ? 'ended' : now >= signIn.idleUntil ? 'idle' : undefined
  if (why !== undefined) return refuse({ kind: 'sign_in_over', why })
  const idleUntil = idleEnd(now, signIn.endsAt)
  if (isUse && idleUntil - signIn.idleUntil >= KEPT_EVERY) await keptIfPossible(store, { signIn: signIn.id, idleUntil })
  return ok(caller)
}

/** Whoever can not be kept ends sooner: a store that takes no change can still be looked at. */
async function keptIfPossible(store: SignInNeeds['store'], input: { readonly signIn: SignInId; readonly idleUntil: EpochMs }): Promise<void> {
  try {
    await store.change(keepSignIn, input)
  } catch (error) {
    if (!(error instanceof StorageUnavailable || error instanceof StorageBusy)) throw error
  }
}

export const idleEnd = (now: EpochMs, endsAt: EpochMs): EpochMs => earliest(plus(now, SIGN_IN_IDLES), endsAt)

async function callerBehind(db: Db, secret: string): Promise<{ readonly signIn: SignIn; readonly caller: PersonCaller; readonly isBlocked: boolean } | undefined> {
  const found = await findSignInBySecret(db, signInSecretHash(secret))
  if (found === undefined) return undefined
  const { signIn, person } = found
  const roles = await rolesOf(db, person)
  return {
    signIn, isBlocked: person.blockedAt !== null,
    caller: { kind: 'person', person: person.id, name: person.name, email: person.email, groups: person.groups, roles, signIn: signIn.id, steppedUpAt: signIn.steppedUpAt },
  }
}
