import type { Authority } from './authority.ts'
import type { AdmissionId, IdentityId } from './id.ts'
import { ok, refuse, type Outcome } from './outcome.ts'
import type { Owner } from './owner.ts'
import type { IdentityClass } from './profile.ts'
import type { SpiffeId } from './spiffe-id.ts'
import type { EpochMs } from './time.ts'

/** INV-2: every kind of non-human principal that an estate holds. */
export const IDENTITY_KINDS = [
  'agent', 'service_account', 'api_key', 'token', 'certificate', 'pipeline', 'bot', 'workload', 'background_job', 'copilot', 'third_party_app',
] as const
export type IdentityKind = (typeof IDENTITY_KINDS)[number]

export const ENVIRONMENTS = ['production', 'staging', 'development', 'test'] as const
export type Environment = (typeof ENVIRONMENTS)[number]

/** INV-5: what retires the identity when no person acts. */
export type Trigger =
  | { readonly kind: 'webhook' }
  | { readonly kind: 'backend_removed'; readonly backend: string }
  | { readonly kind: 'issuer_removed'; readonly issuer: string }
  | { readonly kind: 'unused'; readonly days: number }

export type TriggerKind = Trigger['kind']

export type IdentityState = 'active' | 'suspended' | 'retired'

export type Identity = {
  readonly id: IdentityId
  readonly spiffeId: SpiffeId
  readonly kind: IdentityKind
  readonly class: IdentityClass
  readonly purpose: string
  readonly technicalOwner: Owner
  readonly businessOwner: Owner
  /** The systems that the identity works on, by the name their owners use. */
  readonly systemScope: readonly string[]
  readonly environment: Environment
  /** The most that a task of this identity may be granted; it opens nothing by itself. */
  readonly authority: Authority
  /** How many trees of tasks it may begin in an hour; null: as many as its class (R26). */
  readonly tasksPerHour: number | null
  readonly endsAt: EpochMs
  readonly trigger: Trigger
  readonly admission: AdmissionId
  readonly state: IdentityState
  readonly stateReason: string
  readonly registeredAt: EpochMs
  readonly lastUsedAt: EpochMs | null
}

export type IdentityChange = 'suspend' | 'resume' | 'retire'
export type IdentityRefusal = { readonly kind: 'identity_retired' } | { readonly kind: 'already_in_state'; readonly state: IdentityState }

const NEXT: Readonly<Record<IdentityChange, IdentityState>> = { suspend: 'suspended', resume: 'active', retire: 'retired' }

/** registered -> suspended <-> active -> retired; retired is for ever. */
export function changeIdentity(state: IdentityState, change: IdentityChange): Outcome<IdentityState, IdentityRefusal> {
  if (state === 'retired') return refuse({ kind: 'identity_retired' })
  const next = NEXT[change]
  return next === state ? refuse({ kind: 'already_in_state', state }) : ok(next)
}
