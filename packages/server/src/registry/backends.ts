import type { EventActor } from '@writ/domain/event'
import { mintId, type BackendId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import type { BackendSettings } from '@writ/domain/template'
import { BackendFault, type Admission, type AdmitRefusal, type Connector, type Template } from '../connectors/connector.ts'
import type { Sealer } from '../keys/seal.ts'
import type { Clock } from '../platform/clock.ts'
import type { Entropy } from '../platform/entropy.ts'
import { failpoint } from '../platform/failpoint.ts'
import type { Connect, Reach, ReachedBackend } from '../reach/reach.ts'
import type { Store } from '../record/tx.ts'
import { findBackend, secretPlace, type Backend } from '../store/backends.ts'
import { addBackend as addBackendChange, keepNextSecret, keepSecret, recordBackendTest, takeNextSecret, type WatchedRefusal } from './watched.ts'

export type BackendNeeds = {
  readonly store: Pick<Store, 'change' | 'read'>
  readonly connect: Connect
  readonly reach: Reach
  readonly secrets: Sealer
  readonly clock: Clock
  readonly entropy: Entropy
  readonly handlePrefix: string
}

export type NewBackend = { readonly name: string; readonly settings: BackendSettings; readonly templates: readonly Template[]; readonly secret: string; readonly rotate: boolean }

export type BackendRefusal = AdmitRefusal | WatchedRefusal | { readonly kind: 'added_not_rotated'; readonly name: string; readonly code: string }

/** Runs the whole cycle on a test login before anything is accepted; rotates the administrator's secret when asked. */
export async function addBackend(needs: BackendNeeds, asked: NewBackend, by: EventActor): Promise<Outcome<BackendId, BackendRefusal>> {
  if ((await needs.store.read((db) => findBackend(db, asked.name))) !== undefined) return refuse({ kind: 'already_exists' })
  const connector = needs.connect('postgres', asked.settings, asked.secret)
  try {
    const admitted = await admit(needs, connector, asked.templates)
    if (!admitted.ok) return admitted
    const now = needs.clock.now()
    const id = mintId('backend', now, needs.entropy.bytes(10))
    const backend: Backend = {
      id, name: asked.name, kind: 'postgres', settings: asked.settings, templates: asked.templates, sealedSecret: needs.secrets.seal(asked.secret, secretPlace(id)),
      nextSealedSecret: null, version: admitted.value.version, state: 'active', addedAt: now, secretRotatedAt: null,
    }
    failpoint('backend.add.before_record')
    const added = await needs.store.change(addBackendChange, { backend, by, cycleMs: admitted.value.cycleMs })
    if (!added.ok) return added
    return asked.rotate ? await rotateNew(needs, asked.name, by) : ok(id)
  } finally {
    await connector.close()
  }
}

/** The back end stands in the store by now; that its secret is still the old one is not to go unsaid. */
async function rotateNew(needs: BackendNeeds, name: string, by: EventActor): Promise<Outcome<BackendId, BackendRefusal>> {
  try {
    return await rotateBackend(needs, name, by)
  } catch (cause) {
    if (cause instanceof BackendFault) return refuse({ kind: 'added_not_rotated', name, code: cause.code })
    throw cause
  }
}

/** A removed one is reached for the ends of its leases alone. */
async function reachActive({ store, reach }: BackendNeeds, reference: string): Promise<ReachedBackend | undefined> {
  const backend = await store.read((db) => findBackend(db, reference))
  return backend?.state === 'active' ? reach.reach(reference) : undefined
}

/** The same cycle, at any later time. */
export async function testBackend(needs: BackendNeeds, reference: string, by: EventActor): Promise<Outcome<Admission, BackendRefusal>> {
  const backend = await reachActive(needs, reference)
  if (backend === undefined) return refuse({ kind: 'no_such_thing' })
  const admitted = await admit(needs, backend.connector, backend.templates)
  const outcome = admitted.ok ? 'passed' : admitted.refusal.kind
  await needs.store.change(recordBackendTest, { backend: backend.id, name: backend.name, outcome, by, now: needs.clock.now() })
  return admitted
}

/** Gives the administrator a secret that nobody has ever seen. It is sealed into the store before the back end is told. */
export async function rotateBackend(needs: BackendNeeds, reference: string, by: EventActor): Promise<Outcome<BackendId, BackendRefusal>> {
  const backend = await reachActive(needs, reference)
  if (backend === undefined) return refuse({ kind: 'no_such_thing' })
  const secret = toSecret(SECRET_PREFIX.database, needs.entropy.bytes(32))
  await needs.store.change(keepNextSecret, { backend: backend.id, sealed: needs.secrets.seal(secret, secretPlace(backend.id)) })
  failpoint('backend.rotate.before_backend')
  await backend.connector.rotate(secret)
  failpoint('backend.rotate.before_record')
  await needs.store.change(takeNextSecret, { backend: backend.id, by, now: needs.clock.now() })
  await needs.reach.forget(backend.id)
  return ok(backend.id)
}

/** Takes a secret that was changed past Writ, as a restore or a hasty hand leaves it. Only one that logs in is kept; that is all a withdrawal needs first. */
export async function setBackendSecret(needs: BackendNeeds, reference: string, secret: string, by: EventActor): Promise<Outcome<BackendId, BackendRefusal>> {
  const backend = await needs.store.read((db) => findBackend(db, reference))
  if (backend?.state !== 'active') return refuse({ kind: 'no_such_thing' })
  const connector = needs.connect(backend.kind, backend.settings, secret)
  try {
    await connector.list(needs.handlePrefix)
  } catch (cause) {
    if (!(cause instanceof BackendFault)) throw cause
    return refuse(isLoginRefused(cause) ? { kind: 'administrator_refused', code: cause.code } : { kind: 'unreachable', why: cause.message })
  } finally {
    await connector.close()
  }
  const place = secretPlace(backend.id)
  if (needs.secrets.unseal(backend.sealedSecret, place) === secret) return ok(backend.id)
  const kept = await needs.store.change(keepSecret, { backend: backend.id, seen: backend.sealedSecret, sealed: needs.secrets.seal(secret, place), by, now: needs.clock.now() })
  if (!kept.ok) return kept
  await needs.reach.forget(backend.id)
  return ok(backend.id)
}

/** SQLSTATE class 28, invalid authorization specification. */
const isLoginRefused = ({ code }: BackendFault): boolean => code.startsWith('28')

/**
 * After a rotation that broke off either secret may be the right one: the next one is tried, and taken if it works. Run at start, before
 * anything uses the back end, and whenever the back end fails afterwards: it may have been out of reach at the start.
 */
export async function settleRotation(needs: BackendNeeds, backend: Backend): Promise<void> {
  if (backend.nextSealedSecret === null) return
  const connector = needs.connect(backend.kind, backend.settings, needs.secrets.unseal(backend.nextSealedSecret, secretPlace(backend.id)))
  try {
    await connector.list(needs.handlePrefix)
    await needs.store.change(takeNextSecret, { backend: backend.id, by: { kind: 'writ', id: 'writ' }, now: needs.clock.now() })
    await needs.reach.forget(backend.id)
  } catch (cause) {
    // Refused or out of reach: the secret in use stays. The next one is kept: a rotation that is under way will need it.
    if (!(cause instanceof BackendFault)) throw cause
  } finally {
    await connector.close()
  }
}

function admit(needs: BackendNeeds, connector: Connector, templates: readonly Template[]): Promise<Outcome<Admission, AdmitRefusal>> {
  const now = needs.clock.now()
  const testHandle = `${needs.handlePrefix}test_${Buffer.from(needs.entropy.bytes(6)).toString('hex')}`
  return connector.admit(templates, testHandle, toSecret(SECRET_PREFIX.database, needs.entropy.bytes(32)), now)
}
