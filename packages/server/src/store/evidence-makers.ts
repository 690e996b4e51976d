import type { HumanName } from '@writ/domain/approval'
import type { PersonId, TaskId } from '@writ/domain/id'
import type { Kysely } from 'kysely'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

/**
 * The people who, by the record, put in place what the identities of these tasks could prove themselves with, at any time since each task was
 * opened: whoever registered a key, made a binding, or said what the keys of its issuer are. What an operator key put in place, whoever made
 * that key did, however many keys up.
 */
export async function listEvidenceMakers(db: Db, tasks: readonly TaskId[]): Promise<readonly HumanName[]> {
  const makers = new Set<string>()
  let next = await listNamed(db, tasks)
  while (next.length > 0) {
    for (const one of next) makers.add(one)
    next = (await listMakersOf(db, next)).filter((one) => !makers.has(one))
  }
  if (makers.size === 0) return []
  const people = await db.selectFrom('person').select(['id', 'email', 'issuer', 'subject']).where('id', 'in', [...makers]).orderBy('id').execute()
  return people.map(({ id, ...name }) => ({ person: id as PersonId, ...name }))
}

async function listNamed(db: Db, tasks: readonly TaskId[]): Promise<readonly string[]> {
  const keys = db.selectFrom('task').innerJoin('credential', 'credential.identity_id', 'task.identity_id').select('credential.registered_by as by')
    .where('task.id', 'in', tasks).where((eb) => eb.or([eb('credential.revoked_at', 'is', null), eb('credential.revoked_at', '>=', eb.ref('task.opened_at'))]))
  const bound = db.selectFrom('task').innerJoin('binding', 'binding.identity_id', 'task.identity_id')
    .where('task.id', 'in', tasks).where((eb) => eb.or([eb('binding.revoked_at', 'is', null), eb('binding.revoked_at', '>=', eb.ref('task.opened_at'))]))
  // Of an issuer that says itself what its keys are, nobody here has said it.
  const vouched = bound.innerJoin('issuer', 'issuer.id', 'binding.issuer_id').where('issuer.key_source', '<>', 'discovery').select('issuer.keys_by as by')
  const rows = await keys.union(bound.select('binding.registered_by as by')).union(vouched).execute()
  return rows.flatMap(({ by }) => (by === null ? [] : [by]))
}

async function listMakersOf(db: Db, operators: readonly string[]): Promise<readonly string[]> {
  const rows = await db.selectFrom('operator').select('made_by').distinct().where('id', 'in', operators).where('made_by', 'is not', null).execute()
  return rows.map((row) => row.made_by!)
}
