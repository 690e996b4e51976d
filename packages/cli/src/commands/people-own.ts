import { listPasskeys, listPasskeysOf, listSignIns, listSignInsOf, removePasskey, revokeSignIn, type PasskeyReply, type SignInReply } from '@writ/contract/people'
import type { Command } from 'commander'
import { textFor } from '../ask.ts'
import { call } from '../client.ts'
import { operatorConnection, startOf, type Start } from '../connections.ts'
import { usage, type Run } from '../exit.ts'
import { printList, printThing, whenOf, type Column } from '../output.ts'
import type { Settings } from '../settings.ts'

type Reasoned = { readonly reason?: string }

/** `idOf`: a person, by id or address. */
type Naming = (start: Start, asked: string) => Promise<string>

/** By what people come in, and where they have: one's own, or an administrator's look at somebody else's. */
export function defineOwn(command: Command, run: Run, idOf: Naming): void {
  definePasskeys(command.command('passkeys').description('yours, or a person\'s: list, remove'), run, idOf)
  defineSignIns(command.command('sign-ins').description('where you have signed in, or a person has: list, revoke'), run, idOf)
}

function definePasskeys(passkeys: Command, run: Run, idOf: Naming): void {
  const list = (asked: string | undefined, own: Command): Promise<void> => run(async () => {
    const start = await startOf(own)
    const found = asked === undefined ? await call(ownConnection(start), listPasskeys) : await call(operatorConnection(start), listPasskeysOf, { parameters: { id: await idOf(start, asked) } })
    await printList(start.settings, found.passkeys, passkeyColumns(start.settings))
  })
  passkeys.action((_, own: Command) => list(undefined, own))
  passkeys.command('list [person]').description('your passkeys, or those of a person by id or address; new ones are enrolled in the console').action((asked: string | undefined, _, own: Command) => list(asked, own))
  passkeys.command('remove <passkey>').description('take no signature of it from now on, on every server').option('--reason <text>', 'why; it is recorded')
    .action((id: string, flags: Reasoned, own: Command) => run(async () => {
      const start = await startOf(own)
      const connection = operatorConnection(start)
      const reason = await textFor(start.settings, '--reason', flags.reason, 'why?')
      await printOne(start.settings, await call(connection, removePasskey, { parameters: { id }, body: { reason } }), passkeyColumns(start.settings))
    }))
}

function defineSignIns(signIns: Command, run: Run, idOf: Naming): void {
  const list = (asked: string | undefined, own: Command): Promise<void> => run(async () => {
    const start = await startOf(own)
    const found = asked === undefined ? await call(ownConnection(start), listSignIns) : await call(operatorConnection(start), listSignInsOf, { parameters: { id: await idOf(start, asked) } })
    await printList(start.settings, found.sign_ins, signInColumns(start.settings))
  })
  signIns.action((_, own: Command) => list(undefined, own))
  signIns.command('list [person]').description('newest first; yours, or those of a person by id or address').action((asked: string | undefined, _, own: Command) => list(asked, own))
  signIns.command('revoke <sign-in>').description('refuse it from now on, on every server').option('--reason <text>', 'why; it is recorded')
    .action((id: string, flags: Reasoned, own: Command) => run(async () => {
      const start = await startOf(own)
      const connection = operatorConnection(start)
      const reason = await textFor(start.settings, '--reason', flags.reason, 'why?')
      await printOne(start.settings, await call(connection, revokeSignIn, { parameters: { id }, body: { reason } }), signInColumns(start.settings))
    }))
}

function ownConnection(start: Start): ReturnType<typeof operatorConnection> {
  const connection = operatorConnection(start)
  const bearer = connection.bearer?.()
  if (typeof bearer === 'string' && !bearer.startsWith('writ_si_')) throw usage('an operator\'s key is no person: say whose', '`writ people list` names them')
  return connection
}

const passkeyColumns = (settings: Settings): readonly Column<PasskeyReply>[] => [
  { head: 'passkey', of: (row) => row.id }, { head: 'name', of: (row) => row.name }, { head: 'person', of: (row) => row.person },
  { head: 'enrolled', of: (row) => whenOf(settings, row.enrolled_at) }, { head: 'used', of: (row) => whenOf(settings, row.used_at) }, { head: 'event', of: (row) => row.event },
]

const signInColumns = (settings: Settings): readonly Column<SignInReply>[] => [
  { head: 'sign-in', of: (row) => row.id }, { head: 'person', of: (row) => row.person }, { head: 'where', of: (row) => (row.own ? `${row.kind}, this one` : row.kind) },
  { head: 'by', of: (row) => row.how }, { head: 'state', of: (row) => row.state }, { head: 'since', of: (row) => whenOf(settings, row.made_at) },
  { head: 'ends unless used', of: (row) => whenOf(settings, row.idle_until) }, { head: 'ends', of: (row) => whenOf(settings, row.ends_at) },
]

const printOne = <Row>(settings: Settings, row: Row, columns: readonly Column<Row>[]): Promise<void> => printThing(settings, row, columns.map(({ head, of }) => [head, of(row)]))
