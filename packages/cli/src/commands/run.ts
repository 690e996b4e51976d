import { constants } from 'node:os'
import { issueLease, openTask, type TaskReply } from '@writ/contract/tasks'
import { inert } from '@writ/ledger/inert'
import { Option, type Command } from 'commander'
import { call, type Connection } from '../client.ts'
import { identityConnection, startOf } from '../connections.ts'
import { CommandFailure, EXIT, usage, type Run } from '../exit.ts'
import { lengthOf, printFailure, say, warn } from '../output.ts'
import { exitCodeOf, startChild } from '../run/child.ts'
import { complete, fetchCertificate, stillOpen } from '../run/closing.ts'
import { bareEnvironment, deliver, variablePrefixes, wantedLeases, type Delivered, type Delivery, type LeaseTo, type Wanted } from '../run/delivery.ts'
import { holdTask, type Lost } from '../run/hold.ts'
import { catchSignals, comesFromTerminal, type Signals } from '../run/signals.ts'
import type { Settings } from '../settings.ts'
import { openTaskBodyOf, taskOptions, type TaskFlags } from './options.ts'
import { programIn } from './words.ts'

type RunFlags = TaskFlags & { readonly leaseTo: LeaseTo; readonly certificate?: string }

export function define(command: Command, run: Run, line: readonly string[]): void {
  taskOptions(command)
    .description('open a task, run a command with its leases, end the task with the command, and prove that it ended')
    .usage('--for PURPOSE --grant TYPE:RESOURCE:ACTION [options] -- COMMAND [ARGUMENT...]')
    .argument('<command...>', 'what to run, after `--`')
    .addOption(new Option('--lease-to <place>', 'how the command gets its leases: PG* variables, JSON on descriptor 3, or a JSON file').choices(['env', 'fd', 'file']).default('env'))
    .option('--certificate <file>', "keep the closure certificate here, and the log's key in FILE.key")
    .action((words: readonly string[], flags: RunFlags) => run(async () => {
      if (programIn(line) === null) throw usage('the command stands after `--`', 'writ run --for PURPOSE --grant GRANT -- COMMAND')
      const start = await startOf(command)
      const wanted = wantedLeases(flags.grant)
      if (flags.leaseTo === 'env') variablePrefixes(wanted)
      const connection = await identityConnection(start, flags)
      return runInTask(start.settings, connection, flags, { words, wanted })
    }))
}

type Order = { readonly words: readonly string[]; readonly wanted: readonly Wanted[] }

async function runInTask(settings: Settings, connection: Connection, flags: RunFlags, order: Order): Promise<number> {
  const signals = catchSignals()
  try {
    const task = await call(connection, openTask, { body: openTaskBodyOf(flags) })
    // The key given by the caller was for the opening alone.
    const { idempotencyKey: _, ...within } = connection
    say(settings, `task ${inert(task.id)} open, ends with the command and at the latest after ${lengthOf(Date.parse(task.deadline) - Date.parse(task.opened_at))}`)
    let worked: Worked
    try {
      worked = await workIn(task, { settings, connection: within, signals, to: flags.leaseTo }, order)
    } catch (fault) {
      await close(settings, within, { task, keep: undefined, signals, quietly: true, ended: false })
      throw fault
    }
    const closing = await close(settings, within, { task, keep: flags.certificate, signals, quietly: false, ended: worked.ended })
    return worked.code === EXIT.ok ? closing : worked.code
  } finally {
    signals.release()
  }
}

type Working = { readonly settings: Settings; readonly connection: Connection; readonly signals: Signals; readonly to: LeaseTo }

/** The command's own code, and whether the task ended before the command did. */
type Worked = { readonly code: number; readonly ended: boolean }

/** Holds the task from its opening on, gets the leases and runs the command. */
async function workIn(task: TaskReply, working: Working, { words, wanted }: Order): Promise<Worked> {
  const { settings, connection, signals, to } = working
  let over: Lost | undefined
  let stop = (): void => undefined
  const hold = holdTask(connection, task, (lost) => {
    over = lost
    say({ ...settings, quiet: false }, `writ: the task is over and so is the command: ${inert(lost.why)}`)
    stop()
  })
  let delivery: Delivery | undefined
  try {
    const leases = await leasesFor(task, connection, wanted, signals)
    delivery = await deliver(to, bareEnvironment(settings.environment, task.id), leases)
    const pending = signals.pending()
    if (pending !== undefined) return { code: 128 + constants.signals[pending], ended: false }
    if (over !== undefined) throw new CommandFailure(EXIT.conflict, `the task was over before the command began: ${(over as Lost).why}`)
    if (leases.length > 0) say(settings, `${leases.length} ${leases.length === 1 ? 'lease' : 'leases'}: ${leases.map((lease) => `${lease.user} on ${lease.resource}`).map(inert).join(', ')}`)
    const child = startChild(words, delivery)
    stop = child.stop
    signals.take((signal) => {
      if (!comesFromTerminal(signal)) child.signal(signal)
    })
    const ran = await child.ended
    if (ran.kind === 'not_started') say({ ...settings, quiet: false }, `error: \`${inert(words[0] ?? '')}\`: ${ran.why}`)
    return { code: exitCodeOf(ran), ended: (over as Lost | undefined)?.ended === true }
  } finally {
    signals.take(undefined)
    hold.release()
    await delivery?.forget()
  }
}

async function leasesFor(task: TaskReply, connection: Connection, wanted: readonly Wanted[], signals: Signals): Promise<readonly Delivered[]> {
  const leases: Delivered[] = []
  for (const one of wanted) {
    if (signals.pending() !== undefined) return leases
    const issued = await call(connection, issueLease, { parameters: { id: task.id }, body: { ...one } })
    leases.push({ ...one, lease: issued.id, host: issued.host, port: issued.port, database: issued.database, user: issued.user, password: issued.secret, tls: issued.tls, expires_at: issued.expires_at })
  }
  return leases
}

type Closing = { readonly task: TaskReply; readonly keep: string | undefined; readonly signals: Signals; readonly quietly: boolean; readonly ended: boolean }

/**
 * Completes the task, fetches its certificate and checks it. The command's code goes before what is answered here: 0; 21 when the
 * certificate does not verify; and, when it was to be kept and did not come, why.
 */
async function close(settings: Settings, connection: Connection, { task, keep, signals, quietly, ended }: Closing): Promise<number> {
  const leaving = new AbortController()
  // What ended before its command must not go into the record as work that was done.
  let completed = ended
  let heard = 0
  // One signal is enough to leave once the server knows; before that a second one has to insist.
  signals.take(() => {
    if (completed || ++heard > 1) leaving.abort()
  })
  try {
    if (!completed) await complete(connection, task.id, leaving.signal)
    completed = true
    if (quietly) return EXIT.ok
    const { lines, incidents } = await fetchCertificate(connection, task.id, keep, leaving.signal)
    for (const line of lines) say(settings, line)
    if (incidents.length > 0) warn(`writ: a login could not be shown dead, and this stays open: ${incidents.map(inert).join(', ')}; \`writ doctor\` shows it`)
    if (keep !== undefined) say(settings, `certificate kept in ${keep}, the log's key in ${keep}.key`)
    return EXIT.ok
  } catch (fault) {
    // Whatever went wrong here must not hide the command's own code.
    const failure = fault instanceof CommandFailure ? fault : new CommandFailure(EXIT.unexpected, fault instanceof Error ? fault.message : String(fault), { cause: fault })
    printFailure(failure, false)
    if (failure.exit === EXIT.timed_out) for (const line of await stillOpen(connection, task.id, keep)) say({ ...settings, quiet: false }, `writ: ${line}`)
    if (!completed) say({ ...settings, quiet: false }, `writ: the server ends task ${inert(task.id)} by itself when it has heard nothing for ${task.heartbeat_seconds} s`)
    return failure.exit === EXIT.verification_failed || keep !== undefined ? failure.exit : EXIT.ok
  } finally {
    signals.take(undefined)
  }
}
