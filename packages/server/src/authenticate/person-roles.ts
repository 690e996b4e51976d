import { inOrder } from '@writ/contract/roles'
import type { PersonId } from '@writ/domain/id'
import type { Role } from '@writ/domain/person'
import type { Db } from '../record/tx.ts'
import { listGivenRoles, listRoleRules, type Person } from '../store/people.ts'

/** What each of them may be now: given to them, and by their groups. */
export async function rolesOfAll(db: Db, people: readonly Pick<Person, 'id' | 'groups'>[]): Promise<ReadonlyMap<PersonId, readonly Role[]>> {
  const given = await listGivenRoles(db, people.map((one) => one.id))
  const rules = people.some((one) => one.groups.length > 0) ? await listRoleRules(db) : []
  return new Map(people.map(({ id, groups }) => [id, inOrder([...given.get(id) ?? [], ...rules.filter((rule) => groups.includes(rule.group)).flatMap((rule) => rule.roles)])]))
}

export const rolesOf = async (db: Db, person: Pick<Person, 'id' | 'groups'>): Promise<readonly Role[]> => (await rolesOfAll(db, [person])).get(person.id)!
