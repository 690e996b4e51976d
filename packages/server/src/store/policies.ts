import { epochMs, type EpochMs } from '@writ/domain/time'
import type { Kysely } from 'kysely'
import type { TxOf } from './change.ts'
import { fromJsonText, toJsonText } from './json.ts'
import { BY_KEY, prepared } from './prepared.ts'
import { forUpdate } from './row-locks.ts'
import type { PolicyVersionRow, Tables } from './tables.ts'

type Db = Kysely<Tables>

/** Path -> text, as in a policy directory. */
export type PolicyFiles = Readonly<Record<string, string>>

export type PolicyVersion = {
  readonly version: number
  /** SHA-256 over the files in canonical JSON, in hexadecimal digits. */
  readonly digest: string
  /** Of one that brought an older version's files back: that version. */
  readonly rolledBackTo: number | null
  readonly reason: string | null
  /** An operator's id; `writ` of the set that ships. */
  readonly appliedBy: string
  readonly appliedAt: EpochMs
}

const DESCRIBING = ['version', 'digest', 'rolled_back_to', 'reason', 'applied_by', 'applied_at'] as const

const parsePolicyVersionRow = (row: Omit<PolicyVersionRow, 'files'>): PolicyVersion => ({
  version: row.version, digest: row.digest, rolledBackTo: row.rolled_back_to, reason: row.reason, appliedBy: row.applied_by, appliedAt: epochMs(row.applied_at),
})

export type PolicyHead = { readonly version: number; readonly digest: string }

const headIn = prepared((db: Db) => db.selectFrom('policy_head').innerJoin('policy_version', 'policy_version.version', 'policy_head.version')
  .select(['policy_version.version', 'policy_version.digest']))

/** The version that decides; undefined before the first one was written. */
export async function peekPolicyHead(db: Db): Promise<PolicyHead | undefined> {
  return (await headIn(db, {})).rows[0]
}

/** The version that decides. A store without one decides nothing. */
export async function findPolicyHead(db: Db): Promise<PolicyHead> {
  const head = await peekPolicyHead(db)
  if (head === undefined) throw new Error('no policies were ever applied')
  return head
}

/** Its number alone. */
export async function findVersionInForce(db: Db): Promise<number> {
  const [row] = (await versionInForce(db, {})).rows
  if (row === undefined) throw new Error('no policies were ever applied')
  return row.version
}

const versionInForce = prepared((db: Db) => db.selectFrom('policy_head').select('version'), BY_KEY)

/** The same, locked until the end of the change: nobody else applies meanwhile. */
export async function lockPolicyHead<Context>(tx: TxOf<Tables, Context>): Promise<PolicyHead | undefined> {
  await forUpdate(tx, tx.db.selectFrom('policy_head').select('version')).executeTakeFirst()
  // INVARIANT: read after the lock was had, so that it is what whoever held it before has written.
  return peekPolicyHead(tx.db)
}

/** Of a version that is there. */
export async function findPolicyFiles(db: Db, version: number): Promise<PolicyFiles> {
  const row = await db.selectFrom('policy_version').select('files').where('version', '=', version).executeTakeFirst()
  if (row === undefined) throw new Error(`there is no version ${version} of the policies`)
  return fromJsonText<PolicyFiles>(row.files)
}

export async function findPolicyVersion(db: Db, version: number): Promise<PolicyVersion | undefined> {
  const row = await db.selectFrom('policy_version').select(DESCRIBING).where('version', '=', version).executeTakeFirst()
  return row && parsePolicyVersionRow(row)
}

/** Newest first. */
export async function listPolicyVersions(db: Db, page: { readonly limit: number; readonly before?: number }): Promise<readonly PolicyVersion[]> {
  let query = db.selectFrom('policy_version').select(DESCRIBING).orderBy('version', 'desc').limit(page.limit)
  if (page.before !== undefined) query = query.where('version', '<', page.before)
  return (await query.execute()).map(parsePolicyVersionRow)
}

/** False when there is one of this number already. The head is moved by `movePolicyHead`. */
export async function insertPolicyVersion(db: Db, version: PolicyVersion & { readonly files: PolicyFiles }): Promise<boolean> {
  const inserted = await db.insertInto('policy_version').values({
    version: version.version, digest: version.digest, files: toJsonText(version.files), rolled_back_to: version.rolledBackTo, reason: version.reason,
    applied_by: version.appliedBy, applied_at: version.appliedAt,
  }).onConflict((conflict) => conflict.column('version').doNothing()).executeTakeFirst()
  return inserted.numInsertedOrUpdatedRows === 1n
}

/** From the commit on every decision on every server is made by this version. */
export async function movePolicyHead(db: Db, version: number): Promise<void> {
  await db.insertInto('policy_head').values({ singleton: 1, version }).onConflict((conflict) => conflict.column('singleton').doUpdateSet({ version })).execute()
}
