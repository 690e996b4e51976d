import { randomBytes } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rename, rm, writeFile } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { exportLog, listEvents, listLogs, STREAM_NAMES, type EventReply, type LogReply } from '@writ/contract/events'
import { inert } from '@writ/ledger/inert'
import { Option, type Command } from 'commander'
import { call, open } from '../client.ts'
import { anyoneConnection, operatorConnection, startOf, type Start } from '../connections.ts'
import { CommandFailure, EXIT, type Run } from '../exit.ts'
import { inertJson, inertLines } from '../inert.ts'
import { printLine, printList, say } from '../output.ts'
import type { Settings } from '../settings.ts'
import { wholeNumber } from './options.ts'

type StreamName = (typeof STREAM_NAMES)[number]
type TailFlags = { readonly stream?: StreamName; readonly task?: string; readonly follow?: true; readonly limit: number }

type ExportFlags = { readonly stream: StreamName; readonly log?: string }

/** How long one question waits for the next event. */
const WAIT_SECONDS = 20
/** A whole log may be large. */
const EXPORT_MS = 3_600_000

export function define(command: Command, run: Run): void {
  command.command('tail').description('the newest events')
    .addOption(new Option('--stream <stream>', 'only this one').choices([...STREAM_NAMES]))
    .option('--task <task>', 'only events of this task')
    .option('--follow', 'go on until Ctrl-C')
    .option('--limit <number>', 'at most so many to begin with', wholeNumber, 20)
    .action((flags: TailFlags, own: Command) => run(async () => tail(await startOf(own), flags)))
  command.command('export').description("the whole log and its key, for `writ verify`")
    .addOption(streamOption())
    .option('--log <origin>', 'a log of the stream that ended with a restore; `writ audit logs` names them')
    .argument('<file>', 'where it goes; the key goes to FILE.key')
    .action((path: string, flags: ExportFlags, own: Command) => run(async () => exportTo(await startOf(own), flags, path)))
  command.command('logs').description('the two logs, and those before them that ended with a restore').action((_flags: object, own: Command) => run(async () => {
    const start = await startOf(own)
    const { logs } = await call(anyoneConnection(start), listLogs)
    const rows = logs.flatMap((log) => [...log.past.map((one) => ({ ...one, stream: log.stream, state: 'past' as const })), { ...log, state: 'current' as const }])
    await printList(start.settings, rows, [
      { head: 'stream', of: (row) => row.stream }, { head: 'log', of: (row) => row.origin }, { head: 'leaves', of: (row) => row.size }, { head: 'state', of: (row) => row.state },
      { head: 'lost', of: (row) => (row.state === 'current' ? null : row.leaves_lost ?? 'not evaluated') },
    ])
  }))
  command.command('checkpoint').description('the newest checkpoint: keep it where Writ can not change it')
    .addOption(streamOption())
    .action((flags: { readonly stream: StreamName }, own: Command) => run(async () => {
      const start = await startOf(own)
      const log = await logOf(start, flags.stream)
      if (start.settings.format !== 'human') return printLine(inertJson(log))
      process.stdout.write(inertLines(log.checkpoint))
    }))
}

const streamOption = (): Option => new Option('--stream <stream>', 'which of the two logs').choices([...STREAM_NAMES]).default('non-human')

async function tail(start: Start, flags: TailFlags): Promise<void> {
  const connection = operatorConnection(start)
  const only = { stream: flags.stream, task: flags.task }
  let reply = await call(connection, listEvents, { query: { ...only, limit: flags.limit, newest: 'true' } })
  for (const event of reply.events) printEvent(start.settings, event)
  let last = reply.next ?? undefined
  while (flags.follow) {
    reply = await call(connection, listEvents, { query: { ...only, cursor: last, wait_seconds: WAIT_SECONDS }, timeoutMs: WAIT_SECONDS * 1000 + start.settings.timeoutMs, patient: true })
    for (const event of reply.events) printEvent(start.settings, event)
    last = reply.next ?? last
  }
}

function printEvent(settings: Settings, event: EventReply): void {
  if (settings.format === 'json' || settings.format === 'jsonl') return printLine(inertJson(event))
  printLine(lineOfEvent(event, settings.format === 'plain' ? '\t' : '  '))
}

/** Facts are Writ's; what was said by an agent or a person stands in quotes and is marked. */
export function lineOfEvent(event: EventReply, between: string): string {
  const facts = Object.entries(event.facts).map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  const said = Object.entries(event.said).map(([name, text]) => `${name} (as said)=${JSON.stringify(text)}`)
  const of = [event.task, event.lease].filter((id) => id !== null)
  const seal = event.leaf_index === null ? '-' : `#${event.leaf_index}`
  return [event.at, seal, event.type, `${event.actor.kind}:${event.actor.id}`, ...of, ...facts, ...said].map(inert).join(between)
}

async function logOf(start: Start, stream: StreamName): Promise<LogReply> {
  const { logs } = await call(anyoneConnection(start), listLogs)
  const log = logs.find((one) => one.stream === stream)
  if (log === undefined) throw new CommandFailure(EXIT.not_found, `the server has no log \`${stream}\``)
  return log
}

function pastLogOf(log: LogReply, origin: string): Pick<LogReply, 'vkey'> {
  const found = [log, ...log.past].find((one) => one.origin === origin)
  if (found === undefined) throw new CommandFailure(EXIT.not_found, `there is no ${log.stream} log \`${origin}\``, { hints: ['`writ audit logs` names them'] })
  return found
}

/** Written beside and renamed, so that a broken export never looks whole. */
async function exportTo(start: Start, { stream, log: origin }: ExportFlags, path: string): Promise<void> {
  const current = await logOf(start, stream)
  const { vkey } = origin === undefined ? current : pastLogOf(current, origin)
  const beside = `${path}.${randomBytes(6).toString('hex')}`
  try {
    const body = await open(operatorConnection(start), exportLog, { parameters: { stream }, query: { origin }, timeoutMs: EXPORT_MS })
    await pipeline(body, createWriteStream(beside, { flags: 'wx' }))
    await rename(beside, path)
  } catch (fault) {
    await rm(beside, { force: true })
    throw fault
  }
  await writeFile(`${path}.key`, `${vkey}\n`)
  say(start.settings, `${stream} log written to ${path}, its key to ${path}.key`)
  say(start.settings, `check it anywhere: writ verify --key ${path}.key ${path}`)
}
