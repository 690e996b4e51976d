import { fromAuthorizationDetails, parseGrantText, type Authority, type AuthorizationDetail } from '@writ/domain/authority'
import type { Identity } from '@writ/domain/identity'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { Owner } from '@writ/domain/owner'
import type { SpiffeId } from '@writ/domain/spiffe-id'
import { epochMs } from '@writ/domain/time'
import type { Registration } from '@writ/contract/registry'
import { parseRegisteredKey, type VerificationKey } from '../authenticate/registered-key.ts'
import type { AskedBinding } from './bindings.ts'

/** What a registration asks for, read once: plain data that crosses to the change. */
export type IdentityDraft = Omit<Identity, 'id' | 'admission' | 'state' | 'stateReason' | 'registeredAt' | 'lastUsedAt'> & {
  readonly admission: { readonly answer: 'identity' | 'delegated_token'; readonly reason: string }
  readonly key: VerificationKey | null
  /** Null where nothing was said of bindings. */
  readonly bindings: readonly AskedBinding[] | null
}

export type DraftRefusal = { readonly kind: 'bad_field'; readonly field: string; readonly message: string }

/** The contract has checked each field's shape; what is left is what only reading can tell. */
export function toDraft(registration: Registration): Outcome<IdentityDraft, DraftRefusal> {
  const authority = toAuthorityOf(registration.authority)
  if (!authority.ok) return authority
  const key = registration.key === undefined ? null : parseRegisteredKey(registration.key)
  if (key !== null && !key.ok) return refuse({ kind: 'bad_field', field: 'key', message: `not a public key that can be used: ${key.refusal.kind}` })
  return ok({
    spiffeId: registration.spiffe_id as SpiffeId,
    admission: registration.admission,
    kind: registration.kind,
    class: registration.class,
    purpose: registration.purpose,
    technicalOwner: registration.owners.technical as Owner,
    businessOwner: registration.owners.business as Owner,
    systemScope: registration.system_scope.toSorted(),
    environment: registration.environment,
    authority: authority.value,
    tasksPerHour: registration.tasks_per_hour ?? null,
    endsAt: epochMs(Date.parse(registration.ends_at)),
    trigger: registration.trigger,
    key: key === null ? null : key.value,
    bindings: registration.bindings ?? null,
  })
}

function toAuthorityOf(grants: readonly string[]): Outcome<Authority, DraftRefusal> {
  const details: AuthorizationDetail[] = []
  for (const text of grants) {
    const detail = parseGrantText(text)
    if (!detail.ok) return refuse({ kind: 'bad_field', field: 'authority', message: `\`${text}\` is no grant` })
    details.push(detail.value)
  }
  const authority = fromAuthorizationDetails(details)
  return authority.ok ? authority : refuse({ kind: 'bad_field', field: 'authority', message: authority.refusal.kind })
}
