import { completeTask, delegateTask, endTask, listTasks, openTask, showTask, widenTask, type TaskReply } from '@writ/contract/tasks'
import { Option, type Command } from 'commander'
import { textFor } from '../ask.ts'
import { call } from '../client.ts'
import { eitherConnection, identityConnection, operatorConnection, startOf, type Start } from '../connections.ts'
import { usage, type Run } from '../exit.ts'
import type { HolderFlags } from '../holder.ts'
import { printLine, printList, printThing, say, tableOf, whenOf } from '../output.ts'
import { inert } from '@writ/ledger/inert'
import { authorizationDetailsOf, grantOption, holderOptions, openTaskBodyOf, taskOptions, wholeNumber, type TaskFlags } from './options.ts'

export function define(command: Command, run: Run): void {
  taskOptions(command.command('open').description('open a task and print its id')).action((flags: TaskFlags, own: Command) => run(async () => {
    const start = await startOf(own)
    await printOpened(start, await call(await identityConnection(start, flags), openTask, { body: openTaskBodyOf(flags) }))
  }))
  defineList(command, run)
  holderOptions(command.command('show <task>').description('one task and its leases')).action((id: string, flags: HolderFlags, own: Command) => run(async () => {
    const start = await startOf(own)
    await printTask(start, await call(await eitherConnection(start, flags), showTask, { parameters: { id } }))
  }))
  defineDelegate(command, run)
  defineWiden(command, run)
  defineEnd(command, run)
  holderOptions(command.command('certificate <task> <file>').description("wait for the closure certificate, check it, and keep it with the log's key in FILE.key"))
    .action((id: string, file: string, flags: HolderFlags, own: Command) => run(async () => {
      const start = await startOf(own)
      const { fetchCertificate } = await import('../run/closing.ts')
      const { lines } = await fetchCertificate(await eitherConnection(start, flags), id, file, new AbortController().signal)
      for (const line of lines) say(start.settings, line)
      say(start.settings, `certificate kept in ${file}, the log's key in ${file}.key`)
    }))
}

function defineList(command: Command, run: Run): void {
  holderOptions(command.command('list').description('list tasks, newest first'))
    .addOption(new Option('--state <state>', 'only those in this state').choices(['open', 'ending', 'closed']))
    .option('--limit <number>', 'at most so many', wholeNumber, 100)
    .option('--cursor <cursor>', 'go on after an earlier list')
    .action((flags: HolderFlags & { readonly state?: TaskReply['state']; readonly limit: number; readonly cursor?: string }, own: Command) => run(async () => {
      const start = await startOf(own)
      const reply = await call(await eitherConnection(start, flags), listTasks, { query: { limit: flags.limit, cursor: flags.cursor, state: flags.state } })
      await printList(start.settings, reply.tasks, [
        { head: 'task', of: (row) => row.id },
        { head: 'identity', of: (row) => row.spiffe_id },
        { head: 'purpose (as said)', of: (row) => row.purpose },
        { head: 'state', of: (row) => (row.end_reason === null ? row.state : `${row.state}: ${row.end_reason}`) },
        { head: 'opened', of: (row) => whenOf(start.settings, row.opened_at) },
        { head: 'deadline', of: (row) => whenOf(start.settings, row.deadline) },
        { head: 'leases', of: (row) => row.leases.length },
      ])
      if (reply.next !== null) say(start.settings, `more: --cursor ${reply.next}`)
    }))
}

function defineDelegate(command: Command, run: Run): void {
  taskOptions(command.command('delegate <task>').description('open a task below an open one for another identity, and print its id; its holder goes on with that id'))
    .requiredOption('--to <identity>', 'the identity that is to hold it: its SPIFFE ID or its id')
    .action((id: string, flags: TaskFlags & { readonly to: string }, own: Command) => run(async () => {
      const start = await startOf(own)
      const task = await call(await identityConnection(start, flags), delegateTask, { parameters: { id }, body: { ...openTaskBodyOf(flags), identity: flags.to } })
      await printOpened(start, task)
    }))
}

type WidenFlags = HolderFlags & Pick<TaskFlags, 'grant'> & { readonly reason?: string }

function defineWiden(command: Command, run: Run): void {
  grantOption(holderOptions(command.command('widen <task>').description('ask for more in an open task, as its identity')))
    .option('--reason <text>', 'why; it is recorded')
    .action((id: string, flags: WidenFlags, own: Command) => run(async () => {
      const start = await startOf(own)
      const reason = await textFor(start.settings, '--reason', flags.reason, 'why?')
      const body = { authorization_details: authorizationDetailsOf(flags.grant), reason }
      await printTask(start, await call(await identityConnection(start, flags), widenTask, { parameters: { id }, body }))
    }))
}

type EndFlags = HolderFlags & { readonly reason?: string; readonly complete?: true }

function defineEnd(command: Command, run: Run): void {
  holderOptions(command.command('end <task>').description('end a task: as its identity with --complete, else as an operator with --reason'))
    .option('--complete', 'the work is done')
    .option('--reason <text>', 'why; it is recorded')
    .action((id: string, flags: EndFlags, own: Command) => run(async () => {
      const start = await startOf(own)
      if (flags.complete && flags.reason !== undefined) throw usage('--complete and --reason exclude each other')
      if (flags.complete) return printTask(start, await call(await identityConnection(start, flags), completeTask, { parameters: { id } }))
      if (flags.as !== undefined || flags.key !== undefined) throw usage('an identity ends its task with --complete')
      const reason = await textFor(start.settings, '--reason', flags.reason, 'why?')
      await printTask(start, await call(operatorConnection(start), endTask, { parameters: { id }, body: { reason } }))
    }))
}

/** The id alone, for whoever takes it from the output. */
async function printOpened(start: Start, task: TaskReply): Promise<void> {
  if (start.settings.format === 'human' || start.settings.format === 'plain') printLine(inert(task.id))
  else await printTask(start, task)
  say(start.settings, `ends by itself ${whenOf(start.settings, task.deadline)}, and when nothing is heard of it for ${task.heartbeat_seconds} s`)
}

async function printTask({ settings }: Start, task: TaskReply): Promise<void> {
  await printThing(settings, task, [
    ['task', task.id],
    ['identity', task.spiffe_id],
    ['purpose (as said)', task.purpose],
    ...(task.purpose_id === null ? [] : [['purpose id', task.purpose_id] as const]),
    ...(task.change_reference === null ? [] : [['change', task.change_reference] as const]),
    ['state', task.end_reason === null ? task.state : `${task.state}: ${task.end_reason}`],
    ['grant', task.authorization_details.map((detail) => `${detail.type}:${detail.locations.join(',')}:${detail.actions.join(',')}`).join('  ')],
    ['widened', task.widenings === 0 ? null : `${task.widenings} ${task.widenings === 1 ? 'time' : 'times'}`],
    ['opened', task.opened_at],
    ['deadline', `${task.deadline}${task.state === 'open' ? ` (${whenOf(settings, task.deadline)})` : ''}`],
    ['budget', `${task.budget.used} of ${task.budget.calls} calls`],
    ['ended', task.ended_at],
    ['closed', task.closed_at],
  ])
  if (settings.format !== 'human' || task.leases.length === 0) return
  printLine('')
  printLine(await tableOf(settings, ['lease', 'back end', 'template', 'user or audience', 'state', 'outcome', 'incident'],
    task.leases.map((lease) => [lease.id, lease.kind === 'access_token' ? 'access token' : lease.backend, lease.template ?? '-', lease.user ?? lease.audience ?? '-', lease.state, lease.outcome ?? '-', lease.incident ?? '-'].map(inert))))
}
