import { listStops, makeStop, showStop, type StopPointReply, type StopReply, type StopWithPointsReply } from '@writ/contract/stops'
import type { StopTarget } from '@writ/domain/stop'
import { inert } from '@writ/ledger/inert'
import type { Command } from 'commander'
import { setTimeout as wait } from 'node:timers/promises'
import { confirm, textFor } from '../ask.ts'
import { call, type Connection } from '../client.ts'
import { operatorConnection, startOf, type Start } from '../connections.ts'
import { CommandFailure, EXIT, type Run } from '../exit.ts'
import { identityNamed } from '../named.ts'
import { lengthOf, printLine, printList, printThing, say, tableOf, whenOf } from '../output.ts'
import { wholeNumber } from './options.ts'

type StopFlags = { readonly reason?: string; readonly dryRun?: true; readonly wait?: true; readonly tree?: true }

export function define(command: Command, run: Run): void {
  stopOptions(command.command('task <task>').description('end a task now, with all beneath it')).action((id: string, flags: StopFlags, own: Command) => run(async () => {
    const start = await startOf(own)
    await stop(start, operatorConnection(start), { kind: 'task', id }, flags)
  }))
  stopOptions(command.command('identity <identity>').description('suspend an identity now: by its id, its SPIFFE ID or the end of that'))
    .option('--tree', 'and whoever works at something that it has delegated')
    .action((named: string, flags: StopFlags, own: Command) => run(async () => {
      const start = await startOf(own)
      const connection = operatorConnection(start)
      const id = /^nhi_|^spiffe:/.test(named) ? named : (await identityNamed(connection, named)).id
      await stop(start, connection, { kind: flags.tree ? 'identity_tree' : 'identity', id }, flags)
    }))
  command.command('show <stop>').description('one stop, and who has confirmed it').option('--wait', 'until nothing is awaited any more').action((id: string, flags: { readonly wait?: true }, own: Command) => run(async () => {
    const start = await startOf(own)
    await showOne(start, operatorConnection(start), id, flags.wait === true)
  }))
  command.command('list').description('what was stopped, newest first').option('--limit <number>', 'at most so many', wholeNumber, 100).option('--cursor <cursor>', 'go on after an earlier list')
    .action((flags: { readonly limit: number; readonly cursor?: string }, own: Command) => run(async () => {
      const start = await startOf(own)
      const reply = await call(operatorConnection(start), listStops, { query: { limit: flags.limit, cursor: flags.cursor } })
      await printList(start.settings, reply.stops, [
        { head: 'stop', of: (row) => row.id }, { head: 'what', of: whatOf }, { head: 'state', of: (row) => row.state }, { head: 'confirmed', of: (row) => `${row.confirmed} of ${row.of}` },
        { head: 'when', of: (row) => whenOf(start.settings, row.at) }, { head: 'by', of: (row) => row.by.id }, { head: 'reason', of: (row) => row.reason },
      ])
      if (reply.next !== null) say(start.settings, `more: --cursor ${reply.next}`)
    }))
}

const stopOptions = (command: Command): Command => command
  .option('--reason <text>', 'why; it is recorded')
  .option('--dry-run', 'say what that would touch, and do nothing')
  .option('--wait', 'until every server has confirmed it and every credential was refused, or --timeout is over')

type Target = { readonly kind: StopTarget; readonly id: string }

async function stop(start: Start, connection: Connection, target: Target, flags: StopFlags): Promise<void> {
  const { settings } = start
  // A dry run is recorded nowhere, and asks for no reason.
  if (flags.dryRun) return printTouched(start, await call(connection, makeStop, { body: { target, reason: 'a dry run', dry_run: true } }))
  const reason = await textFor(settings, '--reason', flags.reason, 'why?')
  if (settings.mayAsk && !settings.yes) {
    const { touches, suspends } = await call(connection, makeStop, { body: { target, reason, dry_run: true } })
    await confirm(settings, `${wouldSay(touches)}${suspends.length === 0 ? '' : `; suspends ${suspends.join(', ')}`}: stop it?`)
  }
  const made = await call(connection, makeStop, { body: { target, reason } })
  const id = made.stop!.id
  if (settings.format === 'human') say(settings, `${id} is made: everything of it is refused from now on`)
  await showOne(start, connection, id, flags.wait === true)
}

type Touched = StopReply['touched']

const counted = (count: number, one: string, more = `${one}s`): string => `${count} ${count === 1 ? one : more}`
const wouldSay = (of: Touched): string => [
  counted(of.tasks, 'task'), counted(of.logins, 'login'), counted(of.access_tokens, 'access token'), `${counted(of.calls_in_flight, 'call')} in flight`, counted(of.approvals, 'approval'),
].join(' · ')

async function printTouched({ settings }: Start, reply: { readonly touches: Touched; readonly suspends: readonly string[]; readonly mcp: { readonly sessions: number; readonly links: number; readonly servers_not_evaluated: number } }): Promise<void> {
  const { servers_not_evaluated: unknown, sessions, links } = reply.mcp
  await printThing(settings, reply, [
    ['would stop', wouldSay(reply.touches)],
    ['would suspend', reply.suspends.length === 0 ? null : reply.suspends.join(', ')],
    ['MCP', `${counted(sessions, 'session')}, ${links} open ${links === 1 ? 'way' : 'ways'} on this server${unknown === 0 ? '' : `; not evaluated on ${counted(unknown, 'other server')}`}`],
  ])
  say(settings, 'nothing was changed')
}

const PACE_MS = 250

async function showOne(start: Start, connection: Connection, id: string, waits: boolean): Promise<void> {
  const { settings } = start
  const until = performance.now() + settings.timeoutMs
  let shown = await call(connection, showStop, { parameters: { id } })
  while (waits && shown.state === 'containing' && performance.now() < until) {
    await wait(PACE_MS)
    shown = await call(connection, showStop, { parameters: { id } })
  }
  await printStop(start, shown)
  if (!waits || shown.state === 'contained') return
  const open = `${shown.confirmed} of ${shown.of} have confirmed`
  if (shown.state === 'containing') throw new CommandFailure(EXIT.timed_out, `it is not contained yet: ${open}`, { hints: [`writ stop show ${id} --wait`] })
  throw new CommandFailure(EXIT.unexpected, `nothing is awaited any more, and it is not known whether all of it has ended: ${open}`, { hints: [`writ stop show ${id}`] })
}

const whatOf = ({ target, spiffe_id: name }: Pick<StopReply, 'target' | 'spiffe_id'>): string => (target.kind === 'task' ? `${target.id} of ${name}` : target.kind === 'identity' ? name : `${name} and whoever it has delegated to`)

async function printStop({ settings }: Start, stop: StopWithPointsReply): Promise<void> {
  await printThing(settings, stop, [
    ['stop', stop.id], ['what', whatOf(stop)], ['reason', stop.reason], ['by', stop.by.id], ['at', stop.at],
    ['state', `${stop.state}${stop.after_ms === null ? '' : ` after ${lengthOf(stop.after_ms)}`}: ${stop.confirmed} of ${stop.of} have confirmed`],
    ['touched', wouldSay(stop.touched)],
  ])
  if (settings.format !== 'human' || stop.points.length === 0) return
  printLine('')
  printLine(await tableOf(settings, ['who', 'what', 'state', 'when'], stop.points.map((one) => rowOf(one, stop.at).map(inert))))
}

function rowOf(one: StopPointReply, stoppedAt: string): readonly string[] {
  const since = (at: string): string => `pending since ${at}`
  if (one.kind === 'server') {
    const when = one.after_ms === null ? since(one.at) : `after ${lengthOf(one.after_ms)}`
    return ['server', one.address ?? one.id, one.state === 'lost' ? `lost: nobody can tell what became of ${counted(one.calls_lost, 'call')}` : one.state, when]
  }
  return [one.kind === 'login' ? `login on ${one.backend ?? '-'}` : 'access token', one.id, one.incident === null ? one.state : `${one.state} ${one.incident}`, one.since === null ? '-' : since(stoppedAt)]
}
