import { constants } from 'node:os'
import { completeTask, openTask, showTask, type OpenTaskBody, type TaskReply } from '@writ/contract/tasks'
import { whoAmI } from '@writ/contract/registry'
import type { AuthorizationDetail } from '@writ/domain/authority'
import { parseGrantText } from '@writ/domain/authority'
import { inert } from '@writ/ledger/inert'
import type { Holder } from '../assertion.ts'
import { call, type Connection } from '../client.ts'
import { CommandFailure, EXIT } from '../exit.ts'
import { lengthOf, say, warn } from '../output.ts'
import { holdTask } from '../run/hold.ts'
import { catchSignals, type CaughtSignal } from '../run/signals.ts'
import type { Settings } from '../settings.ts'
import { accessTo } from './access.ts'
import type { RpcErrorOf } from './answers.ts'
import { Bridge } from './bridge.ts'
import { gatewayAt } from './gateway.ts'
import { linesOf } from './lines.ts'

/** Who connects whom to what. */
export type Connecting = {
  readonly settings: Settings
  readonly connection: Connection
  readonly holder: Holder
  /** The name of the MCP server. */
  readonly server: string
  readonly terms: OpenTaskBody
}

/** Why the bridge came to its end. */
type Ending =
  | { readonly kind: 'client_done' }
  | { readonly kind: 'signal'; readonly signal: CaughtSignal }
  | { readonly kind: 'lost'; readonly why: string; /** Whether the task is over too. */ readonly ended: boolean }

/** A client closes our input and waits a while before it kills: what is nearly done may still be said. */
const LAST_ANSWERS_MS = 1000
const END_PATIENCE_MS = 5000
const PARENT_EVERY_MS = 2000

/** Opens a task and carries what the client on our standard input wants of the server, until the client leaves or the task is over. */
export async function connectClient(connecting: Connecting): Promise<number> {
  const { settings, connection, server } = connecting
  const ending = Promise.withResolvers<Ending>()
  const signals = catchSignals()
  const watching = watchClient(() => ending.resolve({ kind: 'client_done' }))
  try {
    const task = await call(connection, openTask, { body: connecting.terms })
    // The key given by the caller was for the opening alone.
    const { idempotencyKey: _, ...within } = connection
    say(settings, `task ${inert(task.id)} open for MCP server ${inert(server)}, ends with its client and at the latest after ${lengthOf(Date.parse(task.deadline) - Date.parse(task.opened_at))}`)
    const pending = signals.pending()
    if (pending !== undefined) ending.resolve({ kind: 'signal', signal: pending })
    signals.take((signal) => ending.resolve({ kind: 'signal', signal }))
    let came: Ending = { kind: 'client_done' }
    try {
      came = await carry({ ...connecting, connection: within }, task, ending)
    } finally {
      if (came.kind !== 'lost' || !came.ended) await complete(within, task)
    }
    return exitOf(came)
  } finally {
    watching.release()
    signals.release()
  }
}

async function carry({ connection, holder, server }: Connecting, task: TaskReply, ending: PromiseWithResolvers<Ending>): Promise<Ending> {
  const { timeoutMs: patienceMs } = connection
  const resource = `${connection.server}/mcp/${server}`
  const lost = (why: string, ended: boolean): void => ending.resolve({ kind: 'lost', why, ended })
  const hold = holdTask(connection, task, ({ why, ended }) => lost(why, ended))
  const access = await accessTo({ server: connection.server, holder, task: task.id, resource, patienceMs })
  const bridge = new Bridge({
    gateway: gatewayAt({ url: resource, access, patienceMs }),
    write: writeLine,
    lost: (why) => void whyOver(connection, task).then((over) => lost(over ?? why, over !== undefined)),
    doubt: () => void whyOver(connection, task).then((over) => { if (over !== undefined) lost(over, true) }),
  })
  bridge.take(linesOf(process.stdin)).then(
    async () => {
      await Promise.race([bridge.settled(), pause(LAST_ANSWERS_MS)])
      ending.resolve({ kind: 'client_done' })
    },
    (fault: unknown) => lost(fault instanceof Error ? fault.message : String(fault), false),
  )
  const came = await ending.promise
  hold.release()
  await bridge.end(lastWord(came))
  process.stdin.destroy()
  if (came.kind === 'lost') warn(`writ: ${came.ended ? 'the task is over and so is the way to' : 'there is no way any more to'} MCP server ${inert(server)}: ${inert(came.why)}`)
  return came
}

const DENIED = -32001
const INTERNAL = -32603

/** What is told to whoever still waits for an answer. */
function lastWord(came: Ending): RpcErrorOf {
  if (came.kind !== 'lost') return { code: INTERNAL, message: 'the way to the server is being closed', data: { code: 'stopping' } }
  return came.ended ? { code: DENIED, message: `the task is over: ${came.why}`, data: { code: 'task_ended' } } : { code: INTERNAL, message: came.why, data: { code: 'stopping' } }
}

/** As the server says it; undefined where the task goes on, or nobody can say. */
async function whyOver(connection: Connection, task: TaskReply): Promise<string | undefined> {
  const now = await call(connection, showTask, { parameters: { id: task.id }, timeoutMs: END_PATIENCE_MS }).catch(() => undefined)
  return now === undefined || now.state === 'open' ? undefined : `it ended (${now.end_reason ?? now.state})`
}

async function complete(connection: Connection, task: TaskReply): Promise<void> {
  try {
    await call(connection, completeTask, { parameters: { id: task.id }, body: {}, patient: true, timeoutMs: END_PATIENCE_MS })
  } catch (fault) {
    warn(`writ: ${inert(fault instanceof Error ? fault.message : String(fault))}; the server ends task ${inert(task.id)} by itself when it has heard nothing for ${task.heartbeat_seconds} s`)
  }
}

function exitOf(ending: Ending): number {
  switch (ending.kind) {
    case 'client_done': return EXIT.ok
    case 'signal': return 128 + constants.signals[ending.signal]
    case 'lost': return ending.ended ? EXIT.conflict : EXIT.unreachable
  }
}

/** Nothing but the protocol goes to standard output; a client that does not read makes us wait. */
function writeLine(line: string): Promise<void> {
  return new Promise((done) => { process.stdout.write(`${line}\n`, () => { done() }) })
}

/** The client is gone when it reads no more, or when this process belongs to somebody else: its closed input is seen where that is read. */
function watchClient(gone: () => void): { release(): void } {
  const parent = process.ppid
  process.stdout.removeAllListeners('error')
  process.stdout.on('error', gone)
  const looking = setInterval(() => { if (process.ppid !== parent) gone() }, PARENT_EVERY_MS).unref()
  return { release: () => { clearInterval(looking) } }
}

const pause = (ms: number): Promise<void> => new Promise((done) => { setTimeout(done, ms).unref() })

/** All that the identity's authority holds on this server. */
export async function wholeGrant(connection: Connection, server: string): Promise<readonly AuthorizationDetail[]> {
  const { name, authority = [] } = await call(connection, whoAmI)
  const details = authority.flatMap((text) => {
    const read = parseGrantText(text)
    return read.ok && read.value.type === 'mcp' && read.value.locations.includes(server) ? [read.value] : []
  })
  if (details.length > 0) return details
  throw new CommandFailure(EXIT.conflict, `the authority of \`${name}\` holds nothing on an MCP server \`${server}\``, { hints: [`an operator gives it \`mcp:${server}:TOOL\` with \`writ apply\``] })
}
