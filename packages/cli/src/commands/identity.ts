import { addKey, listIdentities, resumeIdentity, retireIdentity, revokeKey, showIdentity, suspendIdentity, transferIdentity, type IdentityReply } from '@writ/contract/registry'
import { shortNameOf, type SpiffeId } from '@writ/domain/spiffe-id'
import { type Command, Option } from 'commander'
import { confirm, readInput, textFor } from '../ask.ts'
import { call } from '../client.ts'
import { rememberKey } from '../config.ts'
import { operatorConnection, startOf, type Start } from '../connections.ts'
import { usage, type Run } from '../exit.ts'
import { printList, printThing, say, whenOf } from '../output.ts'
import { bindingLines, defineBind } from './identity-bind.ts'
import { defineRegister } from './identity-register.ts'
import { wholeNumber } from './options.ts'

export function define(command: Command, run: Run): void {
  defineList(command, run)
  command.command('show <identity>').description('one identity, by id, SPIFFE ID or the name known here').action((asked: string, _, own: Command) => run(async () => {
    const start = await startOf(own)
    await printIdentity(start, await call(operatorConnection(start), showIdentity, { parameters: { id: idOf(asked, start) } }))
  }))
  defineRegister(command.command('register'), run)
  defineChange(command, run, { verb: 'suspend', summary: 'stop an identity until it is resumed', endpoint: suspendIdentity })
  defineChange(command, run, { verb: 'resume', summary: 'let a suspended identity act again', endpoint: resumeIdentity })
  defineChange(command, run, { verb: 'retire', summary: 'stop an identity for ever', endpoint: retireIdentity })
  defineTransfer(command, run)
  defineKey(command.command('key').description('add, revoke'), run)
  defineBind(command, run, { idOf, print: printIdentity })
}

/** The id that the server knows: a short name stands for the one SPIFFE ID that is known here by it. */
export function idOf(asked: string, { config }: Pick<Start, 'config'>): string {
  if (asked.startsWith('spiffe://') || asked.startsWith('nhi_')) return asked
  const found = Object.keys(config.identities).filter((spiffeId) => shortNameOf(spiffeId as SpiffeId) === asked)
  if (found.length > 1) throw usage(`\`${asked}\` could be ${found.join(' or ')}`, 'give the whole SPIFFE ID')
  return found[0] ?? asked
}

function defineList(command: Command, run: Run): void {
  command.command('list').description('list identities')
    .addOption(new Option('--state <state>', 'only those in this state').choices(['active', 'suspended', 'retired']))
    .option('--limit <number>', 'at most so many', wholeNumber, 100)
    .option('--cursor <cursor>', 'go on after an earlier list')
    .action((flags: { readonly state?: 'active' | 'suspended' | 'retired'; readonly limit: number; readonly cursor?: string }, own: Command) => run(async () => {
      const start = await startOf(own)
      const reply = await call(operatorConnection(start), listIdentities, { query: { limit: flags.limit, cursor: flags.cursor, state: flags.state } })
      await printList(start.settings, reply.identities, [
        { head: 'spiffe id', of: (row) => row.spiffe_id },
        { head: 'state', of: (row) => row.state },
        { head: 'class', of: (row) => row.class },
        { head: 'environment', of: (row) => row.environment },
        { head: 'technical owner', of: (row) => row.owners.technical },
        { head: 'ends', of: (row) => whenOf(start.settings, row.ends_at) },
        { head: 'last used', of: (row) => whenOf(start.settings, row.last_used_at) },
        { head: 'keys', of: (row) => row.credentials.filter((credential) => credential.state === 'live').length },
        { head: 'bindings', of: (row) => row.bindings.filter((binding) => binding.state === 'live').length },
      ])
      if (reply.next !== null) say(start.settings, `more: --cursor ${reply.next}`)
    }))
}

type Change = { readonly verb: string; readonly summary: string; readonly endpoint: typeof suspendIdentity }

function defineChange(command: Command, run: Run, change: Change): void {
  command.command(`${change.verb} <identity>`).description(change.summary)
    .option('--reason <text>', 'why; it is recorded')
    .action((asked: string, flags: { readonly reason?: string }, own: Command) => run(async () => {
      const start = await startOf(own)
      const id = idOf(asked, start)
      const reason = await textFor(start.settings, '--reason', flags.reason, 'why?')
      if (change.verb === 'retire' && start.settings.mayAsk) await confirm(start.settings, `retire ${id} for ever?`)
      const identity = await call(operatorConnection(start), change.endpoint, { parameters: { id }, body: { reason } })
      await printIdentity(start, identity)
    }))
}

function defineTransfer(command: Command, run: Run): void {
  command.command('transfer <identity>').description('hand an identity to other owners')
    .option('--technical-owner <owner>', '`team:NAME` or `person:ADDRESS`')
    .option('--business-owner <owner>', '`team:NAME` or `person:ADDRESS`')
    .option('--reason <text>', 'why; it is recorded')
    .action((asked: string, flags: { readonly technicalOwner?: string; readonly businessOwner?: string; readonly reason?: string }, own: Command) => run(async () => {
      const start = await startOf(own)
      if (flags.technicalOwner === undefined && flags.businessOwner === undefined) throw usage('--technical-owner or --business-owner is needed')
      const reason = await textFor(start.settings, '--reason', flags.reason, 'why?')
      const identity = await call(operatorConnection(start), transferIdentity, {
        parameters: { id: idOf(asked, start) },
        body: { reason, technical: flags.technicalOwner, business: flags.businessOwner },
      })
      await printIdentity(start, identity)
    }))
}

type KeyFlags = { readonly publicKey?: string; readonly keyOut?: string; readonly replace?: true }

function defineKey(command: Command, run: Run): void {
  command.command('add <identity>').description('make a key pair here and register its public half')
    .option('--public-key <file>', 'register this public JWK instead')
    .option('--key-out <file>', 'where the private key is written')
    .option('--replace', 'revoke the keys before in the same step')
    .action((asked: string, flags: KeyFlags, own: Command) => run(() => runAddKey(own, asked, flags)))
  command.command('revoke <identity> <key>').description('revoke one key').option('--reason <text>', 'why; it is recorded')
    .action((asked: string, key: string, flags: { readonly reason?: string }, own: Command) => run(async () => {
      const start = await startOf(own)
      const reason = await textFor(start.settings, '--reason', flags.reason, 'why?')
      await printIdentity(start, await call(operatorConnection(start), revokeKey, { parameters: { id: idOf(asked, start), key }, body: { reason } }))
    }))
}

async function runAddKey(command: Command, asked: string, flags: KeyFlags): Promise<void> {
  const start = await startOf(command)
  const connection = operatorConnection(start)
  const id = idOf(asked, start)
  // Loaded here: keys need a library that the other verbs do without.
  const { makeKey, parsePublicKey } = await import('../key-file.ts')
  if (flags.publicKey !== undefined) {
    const key = parsePublicKey(await readInput(flags.publicKey), flags.publicKey) as Record<string, string>
    return printIdentity(start, await call(connection, addKey, { parameters: { id }, body: { key, replace: flags.replace === true } }))
  }
  const identity = await call(connection, showIdentity, { parameters: { id } })
  const kept = await makeKey(shortNameOf(identity.spiffe_id as SpiffeId), start.settings.environment, flags.keyOut)
  try {
    const changed = await call(connection, addKey, { parameters: { id: identity.id }, body: { key: kept.publicKey, replace: flags.replace === true } })
    await rememberKey(start.settings.environment, identity.spiffe_id, kept.path)
    say(start.settings, `private key stored in ${kept.path}`)
    await printIdentity(start, changed)
  } catch (fault) {
    await kept.forget()
    throw fault
  }
}

export async function printIdentity({ settings }: Pick<Start, 'settings'>, identity: IdentityReply): Promise<void> {
  await printThing(settings, identity, [
    ['spiffe id', identity.spiffe_id],
    ['id', identity.id],
    ['state', `${identity.state} (${identity.state_reason})`],
    ['kind', identity.kind],
    ['class', identity.class],
    ['purpose', identity.purpose],
    ['technical owner', identity.owners.technical],
    ['business owner', identity.owners.business],
    ['system scope', identity.system_scope.join(', ')],
    ['environment', identity.environment],
    ['authority', identity.authority.join(', ')],
    ['tasks per hour', String(identity.tasks_per_hour)],
    ['ends', identity.ends_at],
    ['trigger', triggerText(identity.trigger)],
    ['last used', whenOf(settings, identity.last_used_at)],
    ...identity.credentials.map((credential) => ['key', `${credential.id}  ${credential.alg}  ${credential.thumbprint}  ${credential.state}`] as const),
    ...bindingLines(identity),
  ])
}

function triggerText(trigger: IdentityReply['trigger']): string {
  switch (trigger.kind) {
    case 'webhook': return 'webhook'
    case 'backend_removed': return `backend:${trigger.backend}`
    case 'issuer_removed': return `issuer:${trigger.issuer}`
    case 'unused': return `unused:${trigger.days}`
  }
}
