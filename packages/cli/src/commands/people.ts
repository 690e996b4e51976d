import { blockPerson, giveRole, invitePerson, listPeople, listRoleRules, removeRoleRule, setRoleRule, showPerson, takeRole, unblockPerson, type PersonReply, type RoleRuleReply } from '@writ/contract/people'
import { ROLES, type Role } from '@writ/domain/person'
import { InvalidArgumentError, type Command } from 'commander'
import { textFor } from '../ask.ts'
import { call } from '../client.ts'
import { operatorConnection, startOf, type Start } from '../connections.ts'
import { CommandFailure, EXIT, usage, type Run } from '../exit.ts'
import { printList, printThing, say, whenOf } from '../output.ts'
import type { Settings } from '../settings.ts'
import { personConnection } from './approvals.ts'
import { consoleUrl } from './open.ts'
import { wholeNumber } from './options.ts'
import { defineOwn } from './people-own.ts'

type Reasoned = { readonly reason?: string }

export function define(command: Command, run: Run): void {
  defineList(command, run)
  command.command('show <person>').description('one person, by id or by the address that the provider vouches for').action((asked: string, _, own: Command) => run(async () => {
    const start = await startOf(own)
    await printPerson(start.settings, await call(operatorConnection(start), showPerson, { parameters: { id: await idOf(start, asked) } }))
  }))
  defineRules(command.command('rules').description('which groups of the provider bring which roles; list, set, remove'), run)
  defineRole(command, run, { verb: 'give', summary: `give a role to one person, whatever their groups: ${ROLES.join(', ')}`, endpoint: giveRole })
  defineRole(command, run, { verb: 'take', summary: 'take back a role that was given to one person; what a group brings stays', endpoint: takeRole })
  defineBlock(command, run, { verb: 'block', summary: 'let nobody sign in as them, whatever their provider says; where they have signed in ends, and operator keys that they made', endpoint: blockPerson })
  defineBlock(command, run, { verb: 'unblock', summary: 'let them sign in again, with the roles that they have by then', endpoint: unblockPerson })
  defineInvite(command, run)
  defineOwn(command, run, idOf)
}

function defineList(command: Command, run: Run): void {
  command.command('list').description('who has signed in, and what they may')
    .option('--limit <number>', 'at most so many', wholeNumber, 100)
    .option('--cursor <cursor>', 'go on after an earlier list')
    .action((flags: { readonly limit: number; readonly cursor?: string }, own: Command) => run(async () => {
      const start = await startOf(own)
      const reply = await call(operatorConnection(start), listPeople, { query: { limit: flags.limit, cursor: flags.cursor } })
      await printList(start.settings, reply.people, [
        { head: 'id', of: (row) => row.id }, { head: 'name', of: (row) => row.name }, { head: 'email', of: (row) => row.email }, { head: 'roles', of: (row) => listOf(row.roles) },
        { head: 'groups', of: (row) => listOf(row.groups) }, { head: 'passkeys', of: (row) => row.passkeys }, { head: 'signed in', of: (row) => whenOf(start.settings, row.signed_in_at) },
      ])
      if (reply.next !== null) say(start.settings, `more: --cursor ${reply.next}`)
    }))
}

const listOf = (words: readonly string[]): string | null => (words.length === 0 ? null : words.join(','))

function defineRules(rules: Command, run: Run): void {
  const list = (own: Command): Promise<void> => run(async () => {
    const start = await startOf(own)
    const reply = await call(operatorConnection(start), listRoleRules)
    await printList(start.settings, reply.rules, [
      { head: 'group', of: (row) => row.group }, { head: 'roles', of: (row) => listOf(row.roles) }, { head: 'set by', of: (row) => row.set_by }, { head: 'since', of: (row) => whenOf(start.settings, row.set_at) },
    ])
  })
  rules.action((_, own: Command) => list(own))
  rules.command('list').description('which groups bring which roles').action((_, own: Command) => list(own))
  rules.command('set <group>').description('say which roles a group brings, in place of all that it brought; it holds at once').requiredOption('--roles <roles>', 'with commas between', rolesOf).option('--reason <text>', 'why; it is recorded')
    .action((group: string, flags: Reasoned & { readonly roles: Role[] }, own: Command) => run(async () => {
      const start = await startOf(own)
      const reason = await textFor(start.settings, '--reason', flags.reason, 'why?')
      await printRule(start.settings, await call(operatorConnection(start), setRoleRule, { body: { group, roles: flags.roles, reason } }))
    }))
  rules.command('remove <group>').description('let a group bring no role any more; it holds at once').option('--reason <text>', 'why; it is recorded')
    .action((group: string, flags: Reasoned, own: Command) => run(async () => {
      const start = await startOf(own)
      const reason = await textFor(start.settings, '--reason', flags.reason, 'why?')
      await call(operatorConnection(start), removeRoleRule, { body: { group, reason } })
      say(start.settings, `\`${group}\` brings no role any more`)
    }))
}

type RoleChange = { readonly verb: string; readonly summary: string; readonly endpoint: typeof giveRole | typeof takeRole }

function defineRole(command: Command, run: Run, { verb, summary, endpoint }: RoleChange): void {
  command.command(`${verb} <person> <role>`).description(summary).option('--reason <text>', 'why; it is recorded')
    .action((asked: string, role: string, flags: Reasoned, own: Command) => run(async () => {
      const start = await startOf(own)
      const [wanted] = rolesIn(role, (message) => usage(message))
      const reason = await textFor(start.settings, '--reason', flags.reason, 'why?')
      await printPerson(start.settings, await call(operatorConnection(start), endpoint, { parameters: { id: await idOf(start, asked) }, body: { role: wanted!, reason } }))
    }))
}

type BlockChange = { readonly verb: string; readonly summary: string; readonly endpoint: typeof blockPerson | typeof unblockPerson }

function defineBlock(command: Command, run: Run, { verb, summary, endpoint }: BlockChange): void {
  command.command(`${verb} <person>`).description(summary).option('--reason <text>', 'why; it is recorded')
    .action((asked: string, flags: Reasoned, own: Command) => run(async () => {
      const start = await startOf(own)
      const reason = await textFor(start.settings, '--reason', flags.reason, 'why?')
      await printPerson(start.settings, await call(operatorConnection(start), endpoint, { parameters: { id: await idOf(start, asked) }, body: { reason } }))
    }))
}

type InviteFlags = Reasoned & { readonly roles: Role[]; readonly email?: string }

function defineInvite(command: Command, run: Run): void {
  command.command('invite <name>').description('make a one-time link by which one more person enrols a passkey, where no provider knows them; it is shown this once')
    .requiredOption('--roles <roles>', `with commas between: ${ROLES.join(', ')}`, rolesOf)
    .option('--email <address>', 'theirs, by which owners are named')
    .option('--reason <text>', 'why; it is recorded')
    .action((name: string, flags: InviteFlags, own: Command) => run(async () => {
      const start = await startOf(own)
      const connection = personConnection(start)
      const reason = await textFor(start.settings, '--reason', flags.reason, 'why?')
      const body = { name, roles: flags.roles, reason, ...(flags.email === undefined ? {} : { email: flags.email }) }
      const { link, expires_at, ...made } = await call(connection, invitePerson, { body }).catch((fault: unknown) => { throw confirmedInConsole(start, fault) })
      await printThing(start.settings, { ...made, link, expires_at }, [['link', link], ['ends', whenOf(start.settings, expires_at)]])
      say(start.settings, `the link is kept nowhere: hand it to ${name} by a way that nobody else reads; whoever opens it first is them`)
    }))
}

/** A passkey has to confirm an invitation, and the command line has none. */
function confirmedInConsole({ server }: Start, fault: unknown): unknown {
  if (!(fault instanceof CommandFailure) || fault.problem?.code !== 'step_up_needed') return fault
  return new CommandFailure(EXIT.not_allowed, 'a passkey has to confirm an invitation, which the command line can not', { hints: [`invite at ${consoleUrl(server, undefined)}settings`], problem: fault.problem })
}

/** By an address as the provider verified it; anything else is taken for an id. */
async function idOf(start: Start, asked: string): Promise<string> {
  if (!asked.includes('@')) return asked
  const wanted = asked.toLowerCase()
  const found: PersonReply[] = []
  for (let cursor: string | null | undefined; cursor !== null;) {
    const page: { readonly people: readonly PersonReply[]; readonly next: string | null } = await call(operatorConnection(start), listPeople, { query: { limit: 1000, cursor } })
    found.push(...page.people.filter((one) => one.email?.toLowerCase() === wanted))
    cursor = page.next
  }
  if (found.length > 1) throw usage(`\`${asked}\` could be ${found.map((one) => one.id).join(' or ')}`, 'give the id')
  if (found[0] === undefined) throw new CommandFailure(EXIT.not_found, `nobody with the address \`${asked}\` has signed in`, { hints: ['`writ people list` names them'] })
  return found[0].id
}

const rolesOf = (text: string): Role[] => rolesIn(text, (message) => new InvalidArgumentError(`${message}.`))

function rolesIn(text: string, failure: (message: string) => Error): Role[] {
  const named = [...new Set(text.split(',').map((one) => one.trim()))]
  return named.map((one) => {
    const role = ROLES.find((known) => known === one)
    if (role === undefined) throw failure(`\`${one}\` is no role: there are ${ROLES.join(', ')}`)
    return role
  })
}

async function printPerson(settings: Settings, person: PersonReply): Promise<void> {
  await printThing(settings, person, [
    ['id', person.id], ['name', person.name], ['email', person.email], ['vouched for by', person.issuer], ['groups', listOf(person.groups)], ['roles', listOf(person.roles)],
    ['given to them', listOf(person.given_roles)], ['passkeys', person.passkeys], ['registered', whenOf(settings, person.registered_at)], ['signed in', whenOf(settings, person.signed_in_at)],
    ...(person.blocked_at === null ? [] : [['blocked', whenOf(settings, person.blocked_at)] as const]),
  ])
}

const printRule = (settings: Settings, rule: RoleRuleReply): Promise<void> => printThing(settings, rule, [
  ['group', rule.group], ['roles', listOf(rule.roles)], ['set by', rule.set_by], ['since', whenOf(settings, rule.set_at)],
])
