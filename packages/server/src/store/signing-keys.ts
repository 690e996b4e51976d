import { epochMs, type EpochMs } from '@writ/domain/time'
import type { Kysely } from 'kysely'
import { fromJsonText, toJsonText } from './json.ts'
import { prepared } from './prepared.ts'
import type { SigningKeyRow, Tables } from './tables.ts'

type Db = Kysely<Tables>

/**
 * next: published and not signed with yet. active: the one that signs. retired: signs no more, what it signed is still good.
 * revoked: nothing that it ever signed is good.
 */
export type SigningKeyState = 'next' | 'active' | 'retired' | 'revoked'

export type SigningJwk = { readonly kty: 'EC'; readonly crv: 'P-256'; readonly x: string; readonly y: string }

/** `kid` is the RFC 7638 thumbprint of the key, so that no two keys have one name. */
export type SigningKey = {
  readonly kid: string
  readonly jwk: SigningJwk
  readonly state: SigningKeyState
  readonly publishedAt: EpochMs
  readonly activatedAt: EpochMs | null
  readonly retiredAt: EpochMs | null
  readonly revokedAt: EpochMs | null
}

/** With the private part, as long as it may sign. */
export type StoredSigningKey = SigningKey & { readonly sealedPrivate: string | null }

const instant = (value: number | null): EpochMs | null => (value === null ? null : epochMs(value))

function parseRow(row: SigningKeyRow): StoredSigningKey {
  return {
    kid: row.id,
    jwk: fromJsonText<SigningJwk>(row.jwk),
    sealedPrivate: row.sealed_private,
    state: row.state as SigningKeyState,
    publishedAt: epochMs(row.published_at),
    activatedAt: instant(row.activated_at),
    retiredAt: instant(row.retired_at),
    revokedAt: instant(row.revoked_at),
  }
}

/** Newest first. */
export async function listSigningKeys(db: Db): Promise<readonly StoredSigningKey[]> {
  const rows = await db.selectFrom('signing_key').selectAll().orderBy('published_at', 'desc').orderBy('id').execute()
  return rows.map(parseRow)
}

/** The key that signs at this moment; undefined before the first start has made one. */
export async function findActiveKid(db: Db): Promise<string | undefined> {
  return (await activeKid(db, {})).rows[0]?.id
}

const activeKid = prepared((db) => db.selectFrom('signing_key').select('id').where('state', '=', 'active'))

/** False when there is one in that state already, also when another server has just made it. */
export async function insertSigningKey(db: Db, key: StoredSigningKey): Promise<boolean> {
  const inserted = await db.insertInto('signing_key').values({
    id: key.kid,
    jwk: toJsonText(key.jwk),
    sealed_private: key.sealedPrivate,
    state: key.state,
    published_at: key.publishedAt,
    activated_at: key.activatedAt,
    retired_at: null,
    revoked_at: null,
  }).onConflict((conflict) => conflict.doNothing()).executeTakeFirst()
  return inserted.numInsertedOrUpdatedRows === 1n
}

/** False when it was no longer in the state in which it was seen: another server was faster. */
export async function activateKey(db: Db, kid: string, now: EpochMs): Promise<boolean> {
  const changed = await db.updateTable('signing_key').set({ state: 'active', activated_at: now }).where('id', '=', kid).where('state', '=', 'next').executeTakeFirst()
  return changed.numUpdatedRows === 1n
}

/** It has signed its last: the private part goes with the same statement. False when it was not active. */
export async function retireKey(db: Db, kid: string, now: EpochMs): Promise<boolean> {
  const changed = await db.updateTable('signing_key').set({ state: 'retired', retired_at: now, sealed_private: null })
    .where('id', '=', kid).where('state', '=', 'active').executeTakeFirst()
  return changed.numUpdatedRows === 1n
}

/** All that there are: what they signed is worth nothing from the commit on. Answers which they were. */
export async function revokeSigningKeys(db: Db, now: EpochMs): Promise<readonly string[]> {
  const rows = await db.updateTable('signing_key').set({ state: 'revoked', revoked_at: now, sealed_private: null }).where('state', '<>', 'revoked').returning('id').execute()
  return rows.map((row) => row.id).toSorted()
}
