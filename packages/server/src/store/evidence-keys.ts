import type { EpochMs } from '@writ/domain/time'
import type { Kysely } from 'kysely'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

/** The thumbprints under which these hashes are kept: none for a token that was never shown. */
export async function findEvidenceKeys(db: Db, hashes: readonly Uint8Array[]): Promise<readonly string[]> {
  const rows = await db.selectFrom('evidence_key').select('thumbprint').where('hash', 'in', hashes).execute()
  return rows.map((row) => row.thumbprint)
}

/** Keeps what is not kept yet; what is, stays with its first key. */
export async function keepEvidenceKeys(db: Db, hashes: readonly Uint8Array[], thumbprint: string, expiresAt: EpochMs): Promise<void> {
  await db.insertInto('evidence_key').values(hashes.map((hash) => ({ hash, thumbprint, expires_at: expiresAt })))
    .onConflict((conflict) => conflict.column('hash').doNothing()).execute()
}

export async function forgetEvidenceKeys(db: Db, now: EpochMs): Promise<void> {
  await db.deleteFrom('evidence_key').where('expires_at', '<', now).execute()
}
