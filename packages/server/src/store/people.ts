import type { PersonId } from '@writ/domain/id'
import type { Role } from '@writ/domain/person'
import { epochMs, type EpochMs } from '@writ/domain/time'
import { sql, type Kysely, type SqlBool } from 'kysely'
import type { TxOf } from './change.ts'
import { fromJsonText, toJsonText } from './json.ts'
import type { PersonRow } from './people-tables.ts'
import { forUpdate } from './row-locks.ts'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

/** Who vouches for one who is known by a passkey alone. */
export const OWN_ISSUER = 'writ'

/** A human who signs in. */
export type Person = {
  readonly id: PersonId
  /** Who vouches for them, and the name that they go by there. */
  readonly issuer: string
  readonly subject: string
  readonly name: string
  /** As the provider verified it. */
  readonly email: string | null
  /** As the provider said them when they last signed in. */
  readonly groups: readonly string[]
  readonly registeredAt: EpochMs
  readonly signedInAt: EpochMs | null
  /** Since when nobody signs in as them. */
  readonly blockedAt: EpochMs | null
}

export const parsePersonRow = (row: PersonRow): Person => ({
  id: row.id as PersonId, issuer: row.issuer, subject: row.subject, name: row.name, email: row.email, groups: fromJsonText<readonly string[]>(row.group_names),
  registeredAt: epochMs(row.registered_at), signedInAt: row.signed_in_at === null ? null : epochMs(row.signed_in_at),
  blockedAt: row.blocked_at === null ? null : epochMs(row.blocked_at),
})

/** False when there is one whom this issuer calls so, also since we looked. */
export async function insertPerson(db: Db, person: Person): Promise<boolean> {
  const inserted = await db.insertInto('person').values({
    id: person.id, issuer: person.issuer, subject: person.subject, name: person.name, email: person.email, group_names: toJsonText(person.groups),
    registered_at: person.registeredAt, signed_in_at: person.signedInAt, blocked_at: person.blockedAt,
  }).onConflict((conflict) => conflict.doNothing()).executeTakeFirst()
  return inserted.numInsertedOrUpdatedRows === 1n
}

export async function findPerson(db: Db, id: string): Promise<Person | undefined> {
  const row = await db.selectFrom('person').selectAll().where('id', '=', id).executeTakeFirst()
  return row && parsePersonRow(row)
}

/** Locked until the end of the change. */
export async function lockPerson<Context>(tx: TxOf<Tables, Context>, id: string): Promise<Person | undefined> {
  const row = await forUpdate(tx, tx.db.selectFrom('person').selectAll().where('id', '=', id)).executeTakeFirst()
  return row && parsePersonRow(row)
}

/** Whom this issuer calls so, locked until the end of the change. */
export async function lockPersonBy<Context>(tx: TxOf<Tables, Context>, { issuer, subject }: Pick<Person, 'issuer' | 'subject'>): Promise<Person | undefined> {
  const row = await forUpdate(tx, tx.db.selectFrom('person').selectAll().where('issuer', '=', issuer).where('subject', '=', subject)).executeTakeFirst()
  return row && parsePersonRow(row)
}

/** By the order of their registration. */
export async function listPeople(db: Db, page: { readonly limit: number; readonly after?: string }): Promise<readonly Person[]> {
  const all = db.selectFrom('person').selectAll().orderBy('id').limit(page.limit)
  return (await (page.after === undefined ? all : all.where('id', '>', page.after)).execute()).map(parsePersonRow)
}

/** What their provider says of them now. */
export async function updatePerson(db: Db, { id, name, email, groups }: Pick<Person, 'id' | 'name' | 'email' | 'groups'>): Promise<void> {
  await db.updateTable('person').set({ name, email, group_names: toJsonText(groups) }).where('id', '=', id).execute()
}

/** `at`: null lets them sign in again. */
export async function setBlocked(db: Db, id: PersonId, at: EpochMs | null): Promise<void> {
  await db.updateTable('person').set({ blocked_at: at }).where('id', '=', id).execute()
}

/** Who of these can not sign in. */
export async function listBlocked(db: Db, people: readonly PersonId[]): Promise<ReadonlySet<PersonId>> {
  if (people.length === 0) return new Set()
  const rows = await db.selectFrom('person').select('id').where('id', 'in', people).where('blocked_at', 'is not', null).execute()
  return new Set(rows.map((row) => row.id as PersonId))
}

export async function touchSignedIn(db: Db, id: PersonId, now: EpochMs): Promise<void> {
  await db.updateTable('person').set({ signed_in_at: now }).where('id', '=', id).where((eb) => eb.or([eb('signed_in_at', 'is', null), eb('signed_in_at', '<', now)])).execute()
}

/** Whether anybody has ever signed in here. */
export async function isAnyPerson(db: Db): Promise<boolean> {
  return (await db.selectFrom('person').select('id').limit(1).executeTakeFirst()) !== undefined
}

/** Whether somebody is an administrator, by name or by a group: from then on no link makes the first operator or the first person. */
export async function isAnyAdmin(db: Db): Promise<boolean> {
  const named = db.selectFrom('person_role').innerJoin('person', 'person.id', 'person_role.person_id').select('role').where('role', '=', 'admin').where('blocked_at', 'is', null)
  if ((await named.limit(1).executeTakeFirst()) !== undefined) return true
  const groups = (await listRoleRules(db)).filter(({ roles }) => roles.includes('admin')).map(({ group }) => group)
  for (const group of groups) {
    // Where letters are compared without regard to case, more is found than is meant.
    const some = `%${JSON.stringify(group).replaceAll(/[%_!]/g, '!$&')}%`
    const rows = await db.selectFrom('person').select('group_names').where('blocked_at', 'is', null).where(sql<SqlBool>`group_names like ${some} escape '!'`).execute()
    if (rows.some((row) => fromJsonText<readonly string[]>(row.group_names).includes(group))) return true
  }
  return false
}

/** Whether somebody came by a one-time link, and not by a provider. */
export async function isAnyPersonByLink(db: Db): Promise<boolean> {
  return (await db.selectFrom('person').select('id').where('issuer', '=', OWN_ISSUER).limit(1).executeTakeFirst()) !== undefined
}

export type RoleRule = { readonly group: string; readonly roles: readonly Role[]; readonly setBy: string; readonly setAt: EpochMs }

export async function listRoleRules(db: Db): Promise<readonly RoleRule[]> {
  const rows = await db.selectFrom('role_rule').selectAll().orderBy('group_name').execute()
  return rows.map((row) => ({ group: row.group_name, roles: fromJsonText<readonly Role[]>(row.roles), setBy: row.set_by, setAt: epochMs(row.set_at) }))
}

/** In place of the one that there is. */
export async function putRoleRule(db: Db, { group, roles, setBy, setAt }: RoleRule): Promise<void> {
  const now = { roles: toJsonText(roles), set_by: setBy, set_at: setAt }
  await db.insertInto('role_rule').values({ group_name: group, ...now }).onConflict((conflict) => conflict.column('group_name').doUpdateSet(now)).execute()
}

/** False when there is none. */
export async function deleteRoleRule(db: Db, group: string): Promise<boolean> {
  return (await db.deleteFrom('role_rule').where('group_name', '=', group).executeTakeFirst()).numDeletedRows === 1n
}

/** False when they have it. */
export async function insertPersonRole(db: Db, given: { readonly person: PersonId; readonly role: Role; readonly by: string }, now: EpochMs): Promise<boolean> {
  const inserted = await db.insertInto('person_role').values({ person_id: given.person, role: given.role, given_by: given.by, given_at: now })
    .onConflict((conflict) => conflict.doNothing()).executeTakeFirst()
  return inserted.numInsertedOrUpdatedRows === 1n
}

/** False when they did not have it. */
export async function deletePersonRole(db: Db, person: PersonId, role: Role): Promise<boolean> {
  return (await db.deleteFrom('person_role').where('person_id', '=', person).where('role', '=', role).executeTakeFirst()).numDeletedRows === 1n
}

/** To whom a role was given, locked until the end of the change: of two whose roles take each other's one stays. */
export async function lockHoldersOf<Context>(tx: TxOf<Tables, Context>, role: Role): Promise<readonly PersonId[]> {
  const rows = await forUpdate(tx, tx.db.selectFrom('person_role').select('person_id').where('role', '=', role).orderBy('person_id')).execute()
  return rows.map((row) => row.person_id as PersonId)
}

/** What was given to each of them. */
export async function listGivenRoles(db: Db, people: readonly PersonId[]): Promise<ReadonlyMap<PersonId, readonly Role[]>> {
  if (people.length === 0) return new Map()
  const rows = await db.selectFrom('person_role').select(['person_id', 'role']).where('person_id', 'in', people).orderBy('role').execute()
  const byPerson = Map.groupBy(rows, (row) => row.person_id as PersonId)
  return new Map([...byPerson].map(([person, own]) => [person, own.map((row) => row.role as Role)]))
}

export type Invitation = { readonly codeHash: Uint8Array; readonly name: string; readonly email: string | null; readonly roles: readonly Role[]; readonly offeredBy: string }

export async function insertInvitation(db: Db, { codeHash, name, email, roles, offeredBy }: Invitation, { now, endsAt }: { readonly now: EpochMs; readonly endsAt: EpochMs }): Promise<void> {
  await db.insertInto('invitation').values({ code_hash: codeHash, name, email, roles: toJsonText(roles), offered_by: offeredBy, offered_at: now, ends_at: endsAt, used_at: null }).execute()
}

/** The one of this code, as long as it can be used: whoever was blocked has let nobody in. */
export async function findInvitation(db: Db, codeHash: Uint8Array, now: EpochMs): Promise<Invitation | undefined> {
  const row = await db.selectFrom('invitation').selectAll().where('code_hash', '=', codeHash).where('used_at', 'is', null).where('ends_at', '>', now)
    .where((eb) => eb.not(eb.exists(eb.selectFrom('person').select('id').whereRef('person.id', '=', 'invitation.offered_by').where('blocked_at', 'is not', null)))).executeTakeFirst()
  return row && { codeHash: row.code_hash, name: row.name, email: row.email, roles: fromJsonText<readonly Role[]>(row.roles), offeredBy: row.offered_by }
}

/** Uses it up; undefined when that was done before, or it has ended. */
export async function takeInvitation(db: Db, codeHash: Uint8Array, now: EpochMs): Promise<Invitation | undefined> {
  const found = await findInvitation(db, codeHash, now)
  if (found === undefined) return undefined
  const taken = await db.updateTable('invitation').set({ used_at: now }).where('code_hash', '=', codeHash).where('used_at', 'is', null).executeTakeFirst()
  return taken.numUpdatedRows === 1n ? found : undefined
}
