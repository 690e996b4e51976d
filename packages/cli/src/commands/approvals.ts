import { denyApproval, listApprovals, showApproval, type ApprovalCardReply, type ApprovalReply } from '@writ/contract/approvals'
import { APPROVAL_STATES, type ApprovalState } from '@writ/domain/approval'
import { inert } from '@writ/ledger/inert'
import { setTimeout as wait } from 'node:timers/promises'
import { Option, type Command } from 'commander'
import { confirm } from '../ask.ts'
import { call } from '../client.ts'
import { operatorConnection, startOf, type Start } from '../connections.ts'
import { CommandFailure, EXIT, type Run } from '../exit.ts'
import { inertJson } from '../inert.ts'
import { follow } from '../live.ts'
import { lengthOf, printLine, printList, say, warn, whenOf } from '../output.ts'
import type { Settings } from '../settings.ts'
import { defineRoutes } from './approval-routes.ts'
import { wholeNumber } from './options.ts'

type ListFlags = { readonly state: ApprovalState | 'any'; readonly identity?: string; readonly task?: string; readonly mine?: true; readonly limit: number; readonly cursor?: string }

export function define(command: Command, run: Run): void {
  defineList(command, run)
  defineRoutes(command.command('routes'), run)
  command.command('show <approval>').description('exactly what will run, who stands behind it, why a person is asked, and who may answer; all words of the agent are marked as such')
    .option('--wait', 'until somebody has answered, or --timeout is over')
    .action((id: string, flags: { readonly wait?: true }, own: Command) => run(async () => {
      const start = await startOf(own)
      const { printCard } = await import('./approval-card.ts')
      const card = await cardOf(start, id, flags.wait === true)
      await printCard(start.settings, card)
      return flags.wait ? ANSWERED[card.state] : undefined
    }))
  command.command('watch').description('each request and what becomes of it, as it comes, one line each, until Ctrl-C; those that wait already come first')
    .option('--limit <number>', 'end after so many', wholeNumber)
    .action((flags: { readonly limit?: number }, own: Command) => run(async () => watch(await startOf(own), flags.limit)))
  command.command('approve <approval>').description('say yes to exactly what is shown; what is of high risk a passkey has to sign, in the console')
    .option('--envelope <sha256>', 'of what you have looked at: needed with --yes')
    .option('--reason <text>', 'why; it is recorded')
    .action((id: string, flags: { readonly envelope?: string; readonly reason?: string }, own: Command) => run(async () => {
      const { approve } = await import('./approve.ts')
      await approve(await startOf(own), id, flags)
    }))
  command.command('deny <approval>').description('say no, which ends it').option('--reason <text>', 'why; it is recorded')
    .action((id: string, flags: { readonly reason?: string }, own: Command) => run(async () => {
      const start = await startOf(own)
      const connection = personConnection(start)
      await confirm(start.settings, `deny ${id}?`)
      await printAnswered(start, await call(connection, denyApproval, { parameters: { id }, body: flags.reason === undefined ? {} : { reason: flags.reason } }))
    }))
}

/** What it answers to the shell, once there is an answer. */
const ANSWERED: Readonly<Record<ApprovalState, number>> = {
  waiting: EXIT.timed_out, approved: EXIT.ok, used: EXIT.ok, denied: EXIT.approval_denied, lapsed: EXIT.approval_expired, cancelled: EXIT.approval_expired,
}
const PACE_MS = 500

async function cardOf(start: Start, id: string, waits: boolean): Promise<ApprovalCardReply> {
  const until = performance.now() + start.settings.timeoutMs
  for (;;) {
    const card = await call(operatorConnection(start), showApproval, { parameters: { id } })
    if (!waits || card.state !== 'waiting' || performance.now() >= until) return card
    await wait(PACE_MS)
  }
}

/** As a person: no key of a machine answers for one. The server refuses it too. */
export function personConnection(start: Start): ReturnType<typeof operatorConnection> {
  const connection = operatorConnection(start)
  const bearer = connection.bearer?.()
  if (typeof bearer === 'string' && !bearer.startsWith('writ_si_')) throw new CommandFailure(EXIT.not_allowed, 'people answer, and an operator\'s key is none of theirs', { hints: ['`writ login` signs you in'] })
  return connection
}

function defineList(command: Command, run: Run): void {
  command.command('list').description('what agents ask people for; unless said otherwise what waits for an answer, those first that end first')
    .addOption(new Option('--state <state>', 'only those in this state').choices([...APPROVAL_STATES, 'any']).default('waiting'))
    .option('--identity <identity>', 'only of this identity, by its id')
    .option('--task <task>', 'only of this task')
    .option('--mine', 'only those that you may answer')
    .option('--limit <number>', 'at most so many', wholeNumber, 100)
    .option('--cursor <cursor>', 'go on after an earlier list')
    .action((flags: ListFlags, own: Command) => run(async () => {
      const start = await startOf(own)
      const query = {
        limit: flags.limit, cursor: flags.cursor, state: flags.state === 'any' ? undefined : flags.state, identity: flags.identity, task: flags.task, mine: flags.mine ? 'true' as const : undefined,
      }
      const reply = await call(operatorConnection(start), listApprovals, { query })
      await printList(start.settings, reply.approvals, [
        { head: 'approval', of: (row) => row.id }, { head: 'risk', of: (row) => row.risk }, { head: 'identity', of: (row) => row.spiffe_id }, { head: 'asks for', of: askedFor },
        { head: 'task', of: (row) => row.task }, { head: 'state', of: (row) => row.state }, { head: 'ends', of: (row) => whenOf(start.settings, row.expires_at) },
        { head: 'yes', of: (row) => `${row.yes} of ${row.quorum}` }, { head: 'you may', of: (row) => (row.you_may ? (row.signed ? 'in the console' : 'yes') : 'no') },
      ])
      if (reply.habit?.propose_policy) say(start.settings, `you said yes to ${Math.round((reply.habit.approve_rate ?? 0) * 100)} % of ${reply.habit.answered}: would a policy say it as well?`)
      if (reply.next !== null) say(start.settings, `more: --cursor ${reply.next}`)
    }))
}

const askedFor = ({ action, resource }: Pick<ApprovalReply, 'action' | 'resource'>): string => `${action} ${resource.id}`

export async function printAnswered({ settings }: Start, approval: ApprovalReply): Promise<void> {
  if (settings.format === 'human' || settings.format === 'plain') printLine(lineOf(settings, partsOf(approval)))
  else printLine(inertJson(approval, settings.format === 'json' ? 2 : undefined))
}

const lineOf = ({ format }: Settings, parts: readonly string[]): string => parts.map(inert).join(format === 'plain' ? '\t' : ' ')

function partsOf(one: ApprovalReply): readonly string[] {
  const left = Date.parse(one.expires_at) - Date.now()
  const how = one.state === 'waiting' ? (left > 0 ? `${lengthOf(left)} left` : 'no time left') : one.why === null ? one.state : `${one.state} (${one.why})`
  return [one.id, one.risk.toUpperCase(), one.spiffe_id, '→', askedFor(one), how]
}

async function watch(start: Start, limit: number | undefined): Promise<void> {
  const { settings } = start
  const connection = operatorConnection(start)
  const isJson = settings.format === 'json' || settings.format === 'jsonl'
  let shown = 0
  const isEnough = (one: ApprovalReply, at: string): boolean => {
    printLine(isJson ? inertJson(one) : lineOf(settings, [at, ...partsOf(one)]))
    return ++shown === limit
  }
  const events = follow(connection, {
    query: {},
    onCut: (why) => { say(settings, `the stream was cut: ${inert(why)}; trying again`) },
    onResumed: (isWhole) => { if (!isWhole) warn('the server does not know the last event that was shown here: `writ approvals list` has what waits') },
  })
  // Asked for before what waits is read, so that nothing falls in between; what comes twice is shown once in each state.
  const told = new Set<string>()
  const first = events.next()
  for (const one of (await call(connection, listApprovals, { query: { state: 'waiting' } })).approvals) {
    told.add(`${one.id} ${one.state}`)
    if (isEnough(one, one.requested_at)) return void events.return(undefined)
  }
  for (let next = await first; next.done !== true; next = await events.next()) {
    const { type, facts, at } = next.value
    if (!type.startsWith('approval.') || typeof facts['approval'] !== 'string') continue
    const { envelope: _, arguments: __, ...one } = await call(connection, showApproval, { parameters: { id: facts['approval'] } })
    if (told.has(`${one.id} ${one.state}`)) continue
    told.add(`${one.id} ${one.state}`)
    if (isEnough(one, at)) return void events.return(undefined)
  }
}
