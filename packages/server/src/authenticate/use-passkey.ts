import type { PasskeyId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import type { Tx } from '../record/tx.ts'
import { lockPasskey, markPasskeyUsed, type Passkey } from '../store/passkeys.ts'

/** A signature that has been verified: by which passkey, and how often it says that it has signed. */
export type PasskeyUse = { readonly passkey: PasskeyId; readonly newCounter: number }

export type PasskeyUseRefusal =
  | { readonly kind: 'passkey_removed' }
  /** Somebody else holds a copy, or the same signature came twice (WebAuthn Level 3 §6.1.1). */
  | { readonly kind: 'counter_went_back' }

/** Inside a change, before what the signature is good for is done. */
export async function usePasskey(tx: Tx, { passkey: id, newCounter }: PasskeyUse, now: EpochMs): Promise<Outcome<Passkey, PasskeyUseRefusal>> {
  const passkey = await lockPasskey(tx, id)
  if (passkey === undefined || passkey.removedAt !== null) return refuse({ kind: 'passkey_removed' })
  const counts = newCounter > 0 || passkey.counter > 0
  if (counts && newCounter <= passkey.counter) return refuse({ kind: 'counter_went_back' })
  await markPasskeyUsed(tx.db, passkey.id, { counter: newCounter, now })
  return ok(passkey)
}
