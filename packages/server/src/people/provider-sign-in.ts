import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { plus, seconds, type EpochMs } from '@writ/domain/time'
import { change, type Tx } from '../record/tx.ts'
import { insertProviderSignIn, takeProviderSignIn } from '../store/sign-in-flows.ts'

/** So long may somebody take at the provider. */
export const PROVIDER_SIGN_IN_LIVES = seconds(600)

export type OfBrowser = { readonly stateHash: Uint8Array; readonly browserHash: Uint8Array; readonly now: EpochMs }

/** A browser sets out. No event: nothing is known of anybody yet. */
export const beginProviderSignIn = change('provider_sign_in.begin', async (tx: Tx, { returnTo, now, ...of }: OfBrowser & { readonly returnTo: string }) => {
  await insertProviderSignIn(tx.db, { ...of, returnTo, begunAt: now, endsAt: plus(now, PROVIDER_SIGN_IN_LIVES) })
  return ok(null)
})

/**
 * It is back: once, in time, and the very browser that set out (RFC 9700 §4.7). Used up before the provider is asked, so that of many that
 * come with one answer one goes on. Where it was to lead.
 */
export const takeProviderSignInUp = change('provider_sign_in.take', async (tx: Tx, { now, ...of }: OfBrowser): Promise<Outcome<string, { readonly kind: 'unknown_attempt' }>> => {
  const returnTo = await takeProviderSignIn(tx.db, of, now)
  return returnTo === undefined ? refuse({ kind: 'unknown_attempt' }) : ok(returnTo)
})
