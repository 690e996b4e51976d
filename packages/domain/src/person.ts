import type { PersonId, SignInId } from './id.ts'
import type { EpochMs } from './time.ts'

/**
 * What a person may do here. `viewer` sees what runs; `reviewer` answers requests for approval; `owner` acts on the identities that are theirs;
 * `policy_author` writes policies; `responder` stops things; `auditor` reads all and changes nothing; `admin` decides who is what.
 */
export const ROLES = ['viewer', 'reviewer', 'owner', 'policy_author', 'responder', 'auditor', 'admin'] as const
export type Role = (typeof ROLES)[number]

/** A human who has signed in: known by the provider's issuer and subject, or by a passkey alone. Never an executor (law 11). */
export type PersonCaller = {
  readonly kind: 'person'
  readonly person: PersonId
  readonly name: string
  /** As the provider verified it; null where nobody did. Owners are named by it: `person:maya@acme.example`. */
  readonly email: string | null
  /** As the provider said them when the person signed in. */
  readonly groups: readonly string[]
  readonly roles: readonly Role[]
  readonly signIn: SignInId
  /** When a passkey last confirmed that the person is there, in this sign-in; null when none did. */
  readonly steppedUpAt: EpochMs | null
}
