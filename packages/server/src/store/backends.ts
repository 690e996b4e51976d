import type { BackendId } from '@writ/domain/id'
import type { BackendSettings, Template } from '@writ/domain/template'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { Kysely } from 'kysely'
import { fromJsonText, toJsonText } from './json.ts'
import type { BackendRow, Tables } from './tables.ts'

type Db = Kysely<Tables>

export type Backend = {
  readonly id: BackendId
  readonly name: string
  readonly kind: 'postgres'
  readonly settings: BackendSettings
  readonly templates: readonly Template[]
  readonly sealedSecret: string
  /** A secret that the administrator may already have: written before the back end is told, taken over once it has worked. */
  readonly nextSealedSecret: string | null
  readonly version: string
  readonly state: 'active' | 'removed'
  readonly addedAt: EpochMs
  readonly secretRotatedAt: EpochMs | null
}

export const secretPlace = (backend: BackendId): string => `backend:${backend}:secret`

function parseBackendRow(row: BackendRow): Backend {
  return {
    id: row.id as BackendId,
    name: row.name,
    kind: row.kind as 'postgres',
    settings: fromJsonText<BackendSettings>(row.settings),
    templates: fromJsonText<readonly Template[]>(row.templates),
    sealedSecret: row.sealed_secret,
    nextSealedSecret: row.next_sealed_secret,
    version: row.version,
    state: row.state as 'active' | 'removed',
    addedAt: epochMs(row.added_at),
    secretRotatedAt: row.secret_rotated_at === null ? null : epochMs(row.secret_rotated_at),
  }
}

export async function insertBackend(db: Db, backend: Backend): Promise<void> {
  await db.insertInto('backend').values({
    id: backend.id,
    name: backend.name,
    kind: backend.kind,
    settings: toJsonText(backend.settings),
    templates: toJsonText(backend.templates),
    sealed_secret: backend.sealedSecret,
    next_sealed_secret: backend.nextSealedSecret,
    version: backend.version,
    state: backend.state,
    added_at: backend.addedAt,
    removed_at: null,
    secret_rotated_at: backend.secretRotatedAt,
  }).execute()
}

export async function findBackend(db: Db, reference: string): Promise<Backend | undefined> {
  const row = await db.selectFrom('backend').selectAll().where((eb) => eb.or([eb('id', '=', reference), eb('name', '=', reference)])).executeTakeFirst()
  return row && parseBackendRow(row)
}

export async function listBackends(db: Db): Promise<readonly Backend[]> {
  return (await db.selectFrom('backend').selectAll().orderBy('name').execute()).map(parseBackendRow)
}

export async function countOpenLeases(db: Db, backend: BackendId): Promise<number> {
  const row = await db.selectFrom('lease').select((eb) => eb.fn.countAll<number>().as('count')).where('backend_id', '=', backend).where('state', '<>', 'ended').executeTakeFirstOrThrow()
  return Number(row.count)
}

export async function markBackendRemoved(db: Db, id: BackendId, now: EpochMs): Promise<void> {
  await db.updateTable('backend').set({ state: 'removed', removed_at: now }).where('id', '=', id).execute()
}

/**
 * In place of the one that was `seen`, and one that somebody outside knows too; false when it is another by now. The next one stays: a
 * rotation that is under way will need it.
 */
export async function setBackendSecret(db: Db, id: BackendId, secret: { readonly seen: string; readonly sealed: string }): Promise<boolean> {
  const set = await db.updateTable('backend').set({ sealed_secret: secret.sealed, secret_rotated_at: null })
    .where('id', '=', id).where('sealed_secret', '=', secret.seen).where('state', '=', 'active').executeTakeFirst()
  return set.numUpdatedRows === 1n
}

export async function setNextBackendSecret(db: Db, id: BackendId, sealed: string): Promise<void> {
  await db.updateTable('backend').set({ next_sealed_secret: sealed }).where('id', '=', id).execute()
}

/** The next secret has worked: it is the secret now. False when there is none. */
export async function takeNextBackendSecret(db: Db, id: BackendId, now: EpochMs): Promise<boolean> {
  const taken = await db.updateTable('backend').set((eb) => ({ sealed_secret: eb.ref('next_sealed_secret').$notNull(), next_sealed_secret: null, secret_rotated_at: now }))
    .where('id', '=', id).where('next_sealed_secret', 'is not', null).returning('id').execute()
  return taken.length > 0
}
