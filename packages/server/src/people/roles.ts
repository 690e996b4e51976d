import { inOrder } from '@writ/contract/roles'
import type { EventActor } from '@writ/domain/event'
import type { PersonId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { Role } from '@writ/domain/person'
import type { EpochMs } from '@writ/domain/time'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { lockActiveOperators } from '../store/operators.ts'
import { deletePersonRole, deleteRoleRule, insertPersonRole, listBlocked, listRoleRules, lockHoldersOf, lockPerson, putRoleRule } from '../store/people.ts'

type RoleInput = { readonly person: string; readonly role: Role; readonly by: EventActor; readonly reason: string; readonly now: EpochMs }
export type RoleRefusal = { readonly kind: 'no_such_person' | 'has_it_already' | 'does_not_have_it' | 'last_admin' }

export const giveRole = change('role.give', async (tx: Tx, { person: reference, role, by, reason, now }: RoleInput): Promise<Outcome<PersonId, RoleRefusal>> => {
  const person = await lockPerson(tx, reference)
  if (person === undefined) return refuse({ kind: 'no_such_person' })
  if (!(await recordRole(tx, { person: person.id, role, by, reason }, now))) return refuse({ kind: 'has_it_already' })
  return ok(person.id)
})

type Given = Pick<RoleInput, 'role' | 'by' | 'reason'> & { readonly person: PersonId }

/** False when they have it. */
export async function recordRole(tx: Tx, { person, role, by, reason }: Given, now: EpochMs): Promise<boolean> {
  if (!(await insertPersonRole(tx.db, { person, role, by: by.id }, now))) return false
  await append(tx, now, { type: 'role.given', actor: by, facts: { person, role }, said: { reason } })
  return true
}

export const takeRole = change('role.take', async (tx: Tx, { person: reference, role, by, reason, now }: RoleInput): Promise<Outcome<PersonId, RoleRefusal>> => {
  const person = await lockPerson(tx, reference)
  if (person === undefined) return refuse({ kind: 'no_such_person' })
  if (role === 'admin' && await isLastAdmin(tx, person.id)) return refuse({ kind: 'last_admin' })
  if (!(await deletePersonRole(tx.db, person.id, role))) return refuse({ kind: 'does_not_have_it' })
  await append(tx, now, { type: 'role.taken', actor: by, facts: { person: person.id, role }, said: { reason } })
  return ok(person.id)
})

/** Without them nobody could say any more who is what. */
export async function isLastAdmin(tx: Tx, person: PersonId): Promise<boolean> {
  const all = await lockHoldersOf(tx, 'admin')
  const blocked = await listBlocked(tx.db, all)
  const holders = all.filter((one) => !blocked.has(one))
  if (!holders.includes(person) || holders.length > 1) return false
  if ((await lockActiveOperators(tx)).length > 0) return false
  return !(await listRoleRules(tx.db)).some((rule) => rule.roles.includes('admin'))
}

type RuleInput = { readonly group: string; readonly roles: readonly Role[]; readonly by: EventActor; readonly reason: string; readonly now: EpochMs }

/** The group's name may be a person's: it is said, and the leaf commits to it. */
export const setRoleRule = change('role_rule.set', async (tx: Tx, { group, roles, by, reason, now }: RuleInput) => {
  const brought = inOrder(roles)
  await putRoleRule(tx.db, { group, roles: brought, setBy: by.id, setAt: now })
  await append(tx, now, { type: 'role_rule.set', actor: by, facts: { roles: brought }, said: { group, reason } })
  return ok(group)
})

export const removeRoleRule = change('role_rule.remove', async (tx: Tx, { group, by, reason, now }: Omit<RuleInput, 'roles'>) => {
  if (!(await deleteRoleRule(tx.db, group))) return refuse({ kind: 'no_such_rule' } as const)
  await append(tx, now, { type: 'role_rule.removed', actor: by, facts: {}, said: { group, reason } })
  return ok(group)
})
