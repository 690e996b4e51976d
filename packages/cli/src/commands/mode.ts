import { listModes, setMode, type ModeReply } from '@writ/contract/policies'
import { Option, type Command } from 'commander'
import { textFor } from '../ask.ts'
import { call } from '../client.ts'
import { operatorConnection, startOf, type Start } from '../connections.ts'
import { usage, type Run } from '../exit.ts'
import { identityNamed } from '../named.ts'
import { printList, printThing, say, whenOf } from '../output.ts'
import { idOf } from './identity.ts'
import { instantAhead } from './options.ts'

type ModeFlags = { readonly server?: string; readonly reason?: string; readonly until?: string }

/** Long enough to see what a policy would have denied, short enough not to be forgotten. */
const OBSERVED = '30d'

export function define(command: Command, run: Run): void {
  targeted(command.command('observe'), 'let denials by policy pass, and record them as what they would have been; everything else still denies')
    .addOption(new Option('--until <time>', 'when it is enforced again: a length such as `30d`, or a date').argParser(instantAhead).default(instantAhead(OBSERVED), OBSERVED))
    .action((asked: string | undefined, flags: ModeFlags, own: Command) => run(async () => {
      await set(await startOf(own), asked, 'observe', flags)
    }))
  targeted(command.command('enforce'), 'let denials by policy hold again, from now on')
    .action((asked: string | undefined, flags: ModeFlags, own: Command) => run(async () => set(await startOf(own), asked, 'enforce', flags)))
  command.command('list').description('what is observed, and what was; whatever is not listed is enforced').action((_, own: Command) => run(async () => {
    const { settings, ...start } = await startOf(own)
    const { modes } = await call(operatorConnection({ settings, ...start }), listModes)
    await printList(settings, modes, [
      { head: 'of', of: ({ subject }) => subject.kind },
      { head: 'name', of: ({ subject }) => subject.id },
      { head: 'mode', of: (row) => row.mode },
      { head: 'until', of: (row) => (row.until === null ? null : whenOf(settings, row.until)) },
      { head: 'reason (as said)', of: (row) => row.reason },
      { head: 'by', of: (row) => row.set_by },
      { head: 'since', of: (row) => whenOf(settings, row.set_at) },
    ])
  }))
}

const targeted = (command: Command, description: string): Command => command.description(description)
  .argument('[identity]', 'its name, id or SPIFFE ID')
  .option('--server <name>', 'not an identity but a back end, or a server of tools')
  .option('--reason <text>', 'why; it is recorded')

async function set(start: Start, asked: string | undefined, mode: ModeReply['mode'], flags: ModeFlags): Promise<void> {
  const { settings } = start
  if ((asked === undefined) === (flags.server === undefined)) throw usage('an identity or --server is needed, and not both')
  const subject = flags.server === undefined ? { kind: 'identity' as const, id: await identityOf(start, asked!) } : { kind: 'server' as const, id: flags.server }
  const reason = await textFor(settings, '--reason', flags.reason, 'why?')
  const until = mode === 'observe' ? { until: flags.until } : {}
  const now = await call(operatorConnection(start), setMode, { body: { subject, mode, reason, ...until } })
  await printThing(settings, now, [
    ['of', `${now.subject.kind} ${now.subject.id}`], ['mode', now.mode], ['reason (as said)', now.reason],
    ...(now.until === null ? [] : [['until', `${now.until} (${whenOf(settings, now.until)})`] as const]),
  ])
  if (mode === 'observe') say(settings, `back again: writ mode enforce ${flags.server === undefined ? asked! : `--server ${flags.server}`} --reason TEXT`)
}

async function identityOf(start: Start, asked: string): Promise<string> {
  const id = idOf(asked, start)
  if (id.startsWith('spiffe://') || id.startsWith('nhi_')) return id
  const { idempotencyKey: _, ...asking } = operatorConnection(start)
  return (await identityNamed(asking, asked)).spiffe_id
}
