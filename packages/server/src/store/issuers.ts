import type { IssuerKind } from '@writ/domain/binding'
import type { IssuerId } from '@writ/domain/id'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { Kysely } from 'kysely'
import type { TxOf } from './change.ts'
import { fromJsonText, toJsonText } from './json.ts'
import { forUpdate } from './row-locks.ts'
import type { IssuerRow, Tables } from './tables.ts'

type Db = Kysely<Tables>

/** A public key as the operator gave it, with what its issuer calls it. */
export type InlineKey = {
  readonly kid: string | null
  readonly alg: string
  readonly thumbprint: string
  readonly jwk: Readonly<Record<string, string>>
}

/** Where the keys of an issuer come from. */
export type KeySource =
  | { readonly kind: 'discovery' }
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'inline'; readonly keys: readonly InlineKey[] }

export type Issuer = {
  readonly id: IssuerId
  /** Exactly what `iss` says; of a SPIFFE trust domain `spiffe://` and its name. */
  readonly url: string
  readonly kind: IssuerKind
  readonly source: KeySource
  /** A certification authority in PEM, where the issuer has one of its own. */
  readonly ca: string | null
  readonly state: 'trusted' | 'removed'
  readonly trustedAt: EpochMs
  readonly changedAt: EpochMs | null
}

function parseIssuerRow(row: IssuerRow): Issuer {
  return {
    id: row.id as IssuerId, url: row.url, kind: row.kind as IssuerKind, source: sourceOf(row), ca: row.ca, state: row.state as 'trusted' | 'removed',
    trustedAt: epochMs(row.trusted_at), changedAt: row.changed_at === null ? null : epochMs(row.changed_at),
  }
}

function sourceOf(row: IssuerRow): KeySource {
  if (row.keys !== null) return { kind: 'inline', keys: fromJsonText<readonly InlineKey[]>(row.keys) }
  return row.keys_url === null ? { kind: 'discovery' } : { kind: 'url', url: row.keys_url }
}

const sourceColumns = (source: KeySource) => ({
  key_source: source.kind, keys_url: source.kind === 'url' ? source.url : null, keys: source.kind === 'inline' ? toJsonText(source.keys) : null,
})

/** False when the issuer is known, also one that was removed. */
export async function insertIssuer(db: Db, issuer: Issuer & { readonly keysBy: string }): Promise<boolean> {
  const inserted = await db.insertInto('issuer').values({
    id: issuer.id, url: issuer.url, kind: issuer.kind, ...sourceColumns(issuer.source), ca: issuer.ca, state: issuer.state,
    trusted_at: issuer.trustedAt, changed_at: null, removed_at: null, keys_by: issuer.keysBy,
  }).onConflict((conflict) => conflict.column('url').doNothing()).executeTakeFirst()
  return inserted.numInsertedOrUpdatedRows === 1n
}

const byReference = (db: Db, reference: string) =>
  db.selectFrom('issuer').selectAll().where((eb) => eb.or([eb('id', '=', reference), eb('url', '=', reference)]))

/** By id or by URL, exactly. */
export async function findIssuer(db: Db, reference: string): Promise<Issuer | undefined> {
  const row = await byReference(db, reference).executeTakeFirst()
  return row && parseIssuerRow(row)
}

/** The issuer, locked until the end of the change: nobody removes it, or binds to it, meanwhile. */
export async function lockIssuer<Context>(tx: TxOf<Tables, Context>, reference: string): Promise<Issuer | undefined> {
  const row = await forUpdate(tx, byReference(tx.db, reference)).executeTakeFirst()
  return row && parseIssuerRow(row)
}

/** The issuers that are trusted among these URLs. */
export async function findTrusted(db: Db, urls: readonly string[]): Promise<readonly Issuer[]> {
  if (urls.length === 0) return []
  return (await db.selectFrom('issuer').selectAll().where('url', 'in', urls).where('state', '=', 'trusted').execute()).map(parseIssuerRow)
}

export async function listIssuers(db: Db): Promise<readonly Issuer[]> {
  return (await db.selectFrom('issuer').selectAll().orderBy('url').execute()).map(parseIssuerRow)
}

export async function markIssuerRemoved(db: Db, id: IssuerId, now: EpochMs): Promise<void> {
  await db.updateTable('issuer').set({ state: 'removed', removed_at: now }).where('id', '=', id).execute()
}

type SaidKeys = Pick<Issuer, 'source' | 'ca'> & { readonly keysBy: string }

/** One that was removed, as a new one: nothing of what was said of its keys before is left. */
export async function trustIssuerAgain(db: Db, id: IssuerId, { source, ca, keysBy }: SaidKeys, now: EpochMs): Promise<void> {
  await db.updateTable('issuer').set({ ...sourceColumns(source), ca, state: 'trusted', trusted_at: now, removed_at: null, changed_at: null, keys_by: keysBy }).where('id', '=', id).execute()
}

export async function setKeySource(db: Db, id: IssuerId, { source, ca, keysBy }: SaidKeys, now: EpochMs): Promise<void> {
  await db.updateTable('issuer').set({ ...sourceColumns(source), ca, changed_at: now, keys_by: keysBy }).where('id', '=', id).execute()
}
