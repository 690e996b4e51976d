import * as contract from '@writ/contract/people'
import type { PersonId } from '@writ/domain/id'
import { toIso, type EpochMs } from '@writ/domain/time'
import { rolesOfAll } from '../../authenticate/person-roles.ts'
import { removePasskey } from '../../people/passkeys.ts'
import { blockPerson, unblockPerson, type BlockRefusal } from '../../people/block.ts'
import { giveRole, removeRoleRule, setRoleRule, takeRole, type RoleRefusal } from '../../people/roles.ts'
import { revokeSignIn, signOut } from '../../people/sign-in.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Db, Store } from '../../record/tx.ts'
import { countPasskeys, findPasskey, listPasskeys, type Passkey } from '../../store/passkeys.ts'
import { findPerson, listGivenRoles, listPeople, listRoleRules, type Person, type RoleRule } from '../../store/people.ts'
import { findSignIn, isLive, listSignIns, type SignIn } from '../../store/sign-ins.ts'
import { actorOf, route, type AnyCaller, type HumanCaller, type Route } from '../call.ts'
import { problem, type ProblemAnswer } from '../problem.ts'
import { clearedCookie } from '../sign-in-cookie.ts'

export type PeopleRoutesNeeds = { readonly store: Store; readonly clock: Clock }

const KEY_REUSED = problem('idempotency-key-reused')
const NO_PERSON = problem('not-found', { code: 'no_such_person', detail: 'there is no such person', hint: 'writ people list' })
const NO_SIGN_IN = problem('not-found', { code: 'no_such_sign_in', detail: 'there is no such sign-in, or it is not yours' })
const NO_PASSKEY = problem('not-found', { code: 'no_such_passkey', detail: 'there is no such passkey, or it is not yours' })
const NO_RULE = problem('not-found', { code: 'no_such_rule', detail: 'there is no rule for this group', hint: 'writ people rules' })

const LAST_ADMIN = problem('conflict', { code: 'last_admin', detail: 'this is the last administrator: without them nobody could give a role', hint: 'give the role to somebody else first' })

/** Of one person; a console shows no more. */
const MOST_SIGN_INS = 200

/** Who signs in, what they may, where they have signed in, and with which passkeys. */
export function peopleRoutes(needs: PeopleRoutesNeeds): readonly Route[] {
  return [...rolesRoutes(needs), ...ownRoutes(needs)]
}

function rolesRoutes({ store, clock }: PeopleRoutesNeeds): readonly Route[] {
  const show = async (id: string): Promise<contract.PersonReply | undefined> => store.read(async (db) => {
    const person = await findPerson(db, id)
    return person && (await peopleReplies(db, [person]))[0]
  })
  return [
    route(contract.listPeople, async ({ query }) => ({
      reply: await store.read(async (db) => {
        const found = await listPeople(db, { limit: query.limit + 1, ...(query.cursor === undefined ? {} : { after: query.cursor }) })
        const shown = found.slice(0, query.limit)
        return { people: await peopleReplies(db, shown), next: found.length > query.limit ? shown.at(-1)!.id : null }
      }),
    })),
    route(contract.showPerson, async ({ parameters }) => {
      const reply = await show(parameters.id!)
      return reply === undefined ? NO_PERSON : { reply }
    }),
    ...([[contract.giveRole, giveRole], [contract.takeRole, takeRole]] as const).map(([endpoint, change]) => route(endpoint, async ({ caller, parameters, body, once }) => {
      const done = await store.changeOnce(change, { person: parameters.id!, role: body.role, by: actorOf(caller), reason: body.reason, now: clock.now() }, once)
      if (!done.ok) return done.refusal.kind === 'key_reused' ? KEY_REUSED : roleProblem(done.refusal.kind)
      return { reply: (await show(done.value.value))! }
    })),
    ...([[contract.blockPerson, blockPerson], [contract.unblockPerson, unblockPerson]] as const).map(([endpoint, change]) => route(endpoint, async ({ caller, parameters, body, once }) => {
      const done = await store.changeOnce(change, { person: parameters.id!, by: actorOf(caller), reason: body.reason, now: clock.now() }, once)
      if (!done.ok) return done.refusal.kind === 'key_reused' ? KEY_REUSED : blockProblem(done.refusal.kind)
      return { reply: (await show(done.value.value))! }
    })),
    route(contract.listRoleRules, async () => ({ reply: { rules: (await store.read(listRoleRules)).map(ruleReply) } })),
    route(contract.setRoleRule, async ({ caller, body, once }) => {
      const set = await store.changeOnce(setRoleRule, { group: body.group, roles: body.roles, by: actorOf(caller), reason: body.reason, now: clock.now() }, once)
      if (!set.ok) return KEY_REUSED
      return { reply: ruleReply((await store.read(listRoleRules)).find((one) => one.group === set.value.value)!) }
    }),
    route(contract.removeRoleRule, async ({ caller, body, once }) => {
      const removed = await store.changeOnce(removeRoleRule, { group: body.group, by: actorOf(caller), reason: body.reason, now: clock.now() }, once)
      if (!removed.ok) return removed.refusal.kind === 'key_reused' ? KEY_REUSED : NO_RULE
      return { reply: {} }
    }),
  ]
}

function ownRoutes({ store, clock }: PeopleRoutesNeeds): readonly Route[] {
  const signInsOf = async (person: PersonId, caller: AnyCaller) => {
    const [now, found] = [clock.now(), await store.read((db) => listSignIns(db, person, MOST_SIGN_INS))]
    return { reply: { sign_ins: found.map((one) => signInReply(one, { caller, now })) } }
  }
  const passkeysOf = async (person: PersonId) => ({ reply: { passkeys: (await store.read((db) => listPasskeys(db, person))).map(passkeyReply) } })
  return [
    route(contract.listSignIns, async ({ caller }) => signInsOf(caller.person, caller)),
    route(contract.listSignInsOf, async ({ caller, parameters }) => {
      const person = await store.read((db) => findPerson(db, parameters.id!))
      return person === undefined ? NO_PERSON : signInsOf(person.id, caller)
    }),
    route(contract.revokeSignIn, async ({ caller, parameters, body }) => {
      const now = clock.now()
      const revoked = await store.change(revokeSignIn, { signIn: parameters.id!, of: whoseOnly(caller), by: actorOf(caller), reason: body.reason, now })
      if (!revoked.ok) return revoked.refusal.kind === 'no_such_sign_in' ? NO_SIGN_IN : problem('conflict', { code: revoked.refusal.kind, detail: 'it is over already' })
      return { reply: signInReply((await store.read((db) => findSignIn(db, revoked.value)))!, { caller, now }) }
    }),
    route(contract.signOut, async ({ caller }) => {
      await store.change(signOut, { signIn: caller.signIn, now: clock.now() })
      return { reply: {}, headers: clearedCookie() }
    }),
    route(contract.listPasskeys, async ({ caller }) => passkeysOf(caller.person)),
    route(contract.listPasskeysOf, async ({ parameters }) => {
      const person = await store.read((db) => findPerson(db, parameters.id!))
      return person === undefined ? NO_PERSON : passkeysOf(person.id)
    }),
    route(contract.removePasskey, async ({ caller, parameters, body }) => {
      const removed = await store.change(removePasskey, { passkey: parameters.id!, of: whoseOnly(caller), by: actorOf(caller), reason: body.reason, now: clock.now() })
      if (!removed.ok) return removed.refusal.kind === 'no_such_passkey' ? NO_PASSKEY : problem('conflict', { code: removed.refusal.kind, detail: 'it is removed already' })
      return { reply: passkeyReply((await store.read((db) => findPasskey(db, removed.value)))!) }
    }),
  ]
}

/** Sign-ins and passkeys of others are an administrator's. */
const whoseOnly = (caller: HumanCaller): PersonId | null => (caller.kind === 'operator' || caller.roles.includes('admin') ? null : caller.person)

export async function peopleReplies(db: Db, people: readonly Person[]): Promise<contract.PersonReply[]> {
  const ids = people.map((one) => one.id)
  const [roles, given, passkeys] = [await rolesOfAll(db, people), await listGivenRoles(db, ids), await countPasskeys(db, ids)]
  return people.map(({ id, name, email, issuer, groups, registeredAt, signedInAt, blockedAt }) => ({
    id, name, email, issuer, groups: [...groups], roles: [...roles.get(id)!], given_roles: [...given.get(id) ?? []], passkeys: passkeys.get(id) ?? 0,
    registered_at: toIso(registeredAt), signed_in_at: isoOrNull(signedInAt), blocked_at: isoOrNull(blockedAt),
  }))
}

const isoOrNull = (at: EpochMs | null): string | null => (at === null ? null : toIso(at))

const ruleReply = ({ group, roles, setBy, setAt }: RoleRule): contract.RoleRuleReply => ({ group, roles: [...roles], set_by: setBy, set_at: toIso(setAt) })

type Asking = { readonly caller: AnyCaller | null; readonly now: EpochMs }

export const signInReply = (signIn: SignIn, { caller, now }: Asking): contract.SignInReply => ({
  id: signIn.id, person: signIn.person, kind: signIn.kind, how: signIn.how, own: caller?.kind === 'person' && caller.signIn === signIn.id,
  state: signIn.revokedAt !== null ? 'revoked' : isLive(signIn, now) ? 'live' : 'ended',
  made_at: toIso(signIn.madeAt), idle_until: toIso(signIn.idleUntil), ends_at: toIso(signIn.endsAt), stepped_up_at: isoOrNull(signIn.steppedUpAt),
})

export const passkeyReply = ({ id, person, name, credentialId, enrolledEvent, enrolledAt, usedAt }: Passkey): contract.PasskeyReply => ({
  id, person, name, credential_id: credentialId, event: enrolledEvent, enrolled_at: toIso(enrolledAt), used_at: isoOrNull(usedAt),
})

function blockProblem(code: BlockRefusal['kind']): ProblemAnswer {
  switch (code) {
    case 'no_such_person': return NO_PERSON
    case 'yourself': return problem('conflict', { code, detail: 'nobody blocks themselves', hint: 'ask another administrator' })
    case 'blocked_already': return problem('conflict', { code, detail: 'they are blocked already' })
    case 'not_blocked': return problem('conflict', { code, detail: 'they are not blocked' })
    case 'last_admin': return LAST_ADMIN
  }
}

function roleProblem(code: RoleRefusal['kind']): ProblemAnswer {
  switch (code) {
    case 'no_such_person': return NO_PERSON
    case 'has_it_already': return problem('conflict', { code, detail: 'this role was given to them already' })
    case 'does_not_have_it': return problem('conflict', { code, detail: 'this role was not given to them; if they have it by a group, see the rules', hint: 'writ people rules' })
    case 'last_admin': return LAST_ADMIN
  }
}
