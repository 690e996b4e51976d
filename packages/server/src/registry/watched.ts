import type { EventActor } from '@writ/domain/event'
import type { BackendId } from '@writ/domain/id'
import { ok, refuse } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { changeIdentityState } from '../revoke/stop-identity.ts'
import { countOpenLeases, findBackend, insertBackend, markBackendRemoved, setBackendSecret, setNextBackendSecret, takeNextBackendSecret, type Backend } from '../store/backends.ts'
import { listTriggeredBy } from '../store/identities.ts'

/** Back ends and trusted issuers: what identities hang from, and whose removal retires them (INV-5). */
export type WatchedRefusal =
  | { readonly kind: 'no_such_thing' }
  | { readonly kind: 'already_exists' }
  | { readonly kind: 'already_removed' }
  | { readonly kind: 'changed_meanwhile' }
  | { readonly kind: 'leases_open'; readonly count: number }

export type Removal = { readonly reference: string; readonly reason: string; readonly by: EventActor; readonly now: EpochMs }

export const addBackend = change('backend.add', async (tx: Tx, input: { readonly backend: Backend; readonly by: EventActor; readonly cycleMs: number }) => {
  const { backend } = input
  if ((await findBackend(tx.db, backend.name)) !== undefined) return refuse<WatchedRefusal>({ kind: 'already_exists' })
  await insertBackend(tx.db, backend)
  await append(tx, backend.addedAt, {
    type: 'backend.added', actor: input.by,
    facts: { backend: backend.id, name: backend.name, kind: backend.kind, version: backend.version, templates: backend.templates.map((one) => one.name), cycle_ms: input.cycleMs },
  })
  return ok(backend.id)
})

export const recordBackendTest = change('backend.test', async (tx: Tx, input: { readonly backend: BackendId; readonly name: string; readonly outcome: string; readonly by: EventActor; readonly now: EpochMs }) => {
  await append(tx, input.now, { type: 'backend.tested', actor: input.by, facts: { backend: input.backend, name: input.name, outcome: input.outcome } })
  return ok(null)
})

/** Kept before the back end is told, so that a crash in between locks nobody out. */
export const keepNextSecret = change('backend.keep_next_secret', async (tx: Tx, input: { readonly backend: BackendId; readonly sealed: string }) => {
  await setNextBackendSecret(tx.db, input.backend, input.sealed)
  return ok(null)
})

export const takeNextSecret = change('backend.take_next_secret', async (tx: Tx, input: { readonly backend: BackendId; readonly by: EventActor; readonly now: EpochMs }) => {
  // Whoever rotates and whoever settles a rotation may both come here: the second changes nothing.
  if (!(await takeNextBackendSecret(tx.db, input.backend, input.now))) return ok(null)
  await append(tx, input.now, { type: 'backend.secret_rotated', actor: input.by, facts: { backend: input.backend } })
  return ok(null)
})

type KeepSecretInput = { readonly backend: BackendId; readonly seen: string; readonly sealed: string; readonly by: EventActor; readonly now: EpochMs }

/** In place of one that the back end no longer takes; whoever calls this has seen it log in. */
export const keepSecret = change('backend.set_secret', async (tx: Tx, input: KeepSecretInput) => {
  // A rotation that ended meanwhile has made a secret that nobody but the store knows.
  if (!(await setBackendSecret(tx.db, input.backend, input))) return refuse<WatchedRefusal>({ kind: 'changed_meanwhile' })
  await append(tx, input.now, { type: 'backend.secret_set', actor: input.by, facts: { backend: input.backend } })
  return ok(null)
})

/** A back end with open leases stays until they are withdrawn: without it nobody could prove their end. */
export const removeBackend = change('backend.remove', async (tx: Tx, input: Removal) => {
  const backend = await findBackend(tx.db, input.reference)
  if (backend === undefined) return refuse<WatchedRefusal>({ kind: 'no_such_thing' })
  if (backend.state === 'removed') return refuse<WatchedRefusal>({ kind: 'already_removed' })
  const count = await countOpenLeases(tx.db, backend.id)
  if (count > 0) return refuse<WatchedRefusal>({ kind: 'leases_open', count })
  await markBackendRemoved(tx.db, backend.id, input.now)
  await append(tx, input.now, { type: 'backend.removed', actor: input.by, facts: { backend: backend.id, name: backend.name }, said: { reason: input.reason } })
  await fireTriggers(tx, 'backend_removed', backend.name, input.now)
  return ok(backend.id)
})

/** Retires the identities whose trigger watches this thing. */
export async function fireTriggers(tx: Tx, kind: 'backend_removed' | 'issuer_removed', on: string, now: EpochMs): Promise<void> {
  for (const identity of await listTriggeredBy(tx.db, kind, on)) {
    await changeIdentityState(tx, identity, { change: 'retire', event: 'identity.trigger_fired', by: { kind: 'writ', id: 'writ' }, reason: `${kind} ${on}`, now })
  }
}
