import type { Outcome } from '@writ/domain/outcome'
import { setTimeout as wait } from 'node:timers/promises'
import { parentPort, receiveMessageOnPort, workerData, type MessagePort } from 'node:worker_threads'
import { failpoint } from '../platform/failpoint.ts'
import { bind } from './bound.ts'
import { byName, type AnyChange, type Change, type TxOf } from './change.ts'
import { sqliteDialect } from './dialect-sqlite.ts'
import { StorageUnavailable, toPlainFault, type PlainFault } from './faults.ts'
import { runOnce } from './once.ts'
import { openWriting, type SqliteConnection } from './sqlite-connection.ts'
import type { Once } from './store.ts'

export type WriterOrder = { readonly file: string; readonly context: unknown }

/** What the store sends to its writer. */
export type ToWriter =
  | { readonly kind: 'calls'; readonly calls: readonly Call[] }
  | { readonly kind: 'close' }
export type Call = { readonly id: number; readonly change: string; readonly input: unknown; readonly once: Once | undefined }

/** What the writer sends back. */
export type FromWriter =
  | { readonly kind: 'ready' }
  | { readonly kind: 'answers'; readonly answers: readonly Answer[] }
  | { readonly kind: 'closed' }
export type Answer =
  | { readonly id: number; readonly outcome: Outcome<unknown, unknown> }
  | { readonly id: number; readonly fault: PlainFault }

/** The most changes that share one commit: their callers all wait for the last of them. */
const MOST_IN_BATCH = 256

/** How long a writer that has just committed for several waits for them to come back. One who writes alone is never made to wait. */
const LINGER_MS = 1

/**
 * The writer's thread. The file that starts it names all changes and makes what they are given:
 * `runWriter(changes, (given) => ({ mac: macUnder(given.key) }))`, where `given` is the store's `context` as it crossed the thread.
 */
export function runWriter<DB, Context>(changes: readonly AnyChange<TxOf<DB, Context>>[], makeContext: (given: unknown) => Context): void {
  if (parentPort === null) throw new Error('the writer runs in a worker thread')
  const order = workerData as WriterOrder
  const writer = new Writer<DB, Context>(order.file, byName(changes), makeContext(order.context))
  serve(parentPort, writer)
}

function serve<DB, Context>(port: MessagePort, writer: Writer<DB, Context>): void {
  const queue: Call[] = []
  let busy = false
  let closing = false

  const take = (message: ToWriter): void => {
    if (message.kind === 'close') closing = true
    else queue.push(...message.calls)
  }
  /** What has arrived while the last batch was being committed joins the next one. */
  const takeArrived = (): void => {
    for (let next = receiveMessageOnPort(port); next !== undefined; next = receiveMessageOnPort(port)) take(next.message as ToWriter)
  }
  const drain = async (): Promise<void> => {
    if (busy) return
    busy = true
    for (let last = 0; ;) {
      takeArrived()
      // Who wrote together a moment ago will soon write together again, and a commit costs more than many changes.
      if (queue.length < last && last > 1 && !closing) {
        await wait(LINGER_MS)
        takeArrived()
      }
      const batch = queue.splice(0, MOST_IN_BATCH)
      if (batch.length === 0) break
      last = batch.length
      answer(port, batch, await writer.commit(batch))
    }
    busy = false
    if (!closing) return
    writer.close()
    port.postMessage({ kind: 'closed' } satisfies FromWriter)
    port.close()
  }
  port.on('message', (message: ToWriter) => {
    take(message)
    void drain()
  })
  port.postMessage({ kind: 'ready' } satisfies FromWriter)
}

function answer(port: MessagePort, batch: readonly Call[], answers: readonly Answer[]): void {
  try {
    port.postMessage({ kind: 'answers', answers } satisfies FromWriter)
  } catch {
    for (const [i, one] of answers.entries()) answerOne(port, batch[i]!, one)
  }
}

/** A value that can't cross threads is a bug of its change, and costs the others of the batch nothing. */
function answerOne(port: MessagePort, call: Call, answer: Answer): void {
  try {
    port.postMessage({ kind: 'answers', answers: [answer] } satisfies FromWriter)
  } catch (cause) {
    const fault = toPlainFault(call.change, new Error(`it was committed, but its value can't cross threads: ${String(cause)}`))
    port.postMessage({ kind: 'answers', answers: [{ id: call.id, fault }] } satisfies FromWriter)
  }
}

/** Owns the connection that writes. */
class Writer<DB, Context> {
  readonly #file: string
  readonly #changes: ReadonlyMap<string, AnyChange<TxOf<DB, Context>>>
  readonly #context: Context
  #connection: SqliteConnection | undefined
  /** Set by a statement after which the transaction can't go on, even when the change has caught the error. */
  #broken: StorageUnavailable | undefined
  /** A statement of the change that runs has failed. */
  #failed = false

  constructor(file: string, changes: ReadonlyMap<string, AnyChange<TxOf<DB, Context>>>, context: Context) {
    this.#file = file
    this.#changes = changes
    this.#context = context
    this.#connection = openWriting(file)
  }

  close(): void {
    this.#connection?.close()
  }

  /** One transaction for all of them. The answers are true when this resolves: committed, or nothing of any of them is left. */
  async commit(batch: readonly Call[]): Promise<readonly Answer[]> {
    this.#broken = undefined
    try {
      // After a fault that could not be rolled back, the file is opened anew.
      const connection = this.#connection ??= openWriting(this.#file)
      connection.run('begin immediate')
      const answers: Answer[] = []
      for (const call of batch) answers.push(await this.#runOne(connection, call))
      for (const call of batch) failpoint('store.before_commit', call.change)
      commitBatch(connection)
      for (const call of batch) failpoint('store.after_commit', call.change)
      return answers
    } catch (error) {
      this.#undo()
      return batch.map((call) => ({ id: call.id, fault: toPlainFault(call.change, error) }))
    }
  }

  /** Throws only what ends the whole batch. */
  async #runOne(connection: SqliteConnection, call: Call): Promise<Answer> {
    connection.run('savepoint change')
    this.#failed = false
    const bound = bind<DB>('sqlite', async (text, parameters) => this.#execute(connection, text, parameters))
    let answer: Answer
    try {
      const outcome = await this.#outcomeOf({ db: bound.db, dialect: sqliteDialect, context: this.#context }, call)
      // PostgreSQL can't commit such a change; here it must not pass either.
      if (outcome.ok && this.#failed) throw new Error('a statement failed and the change went on: it was rolled back')
      answer = { id: call.id, outcome }
    } catch (error) {
      answer = { id: call.id, fault: toPlainFault(call.change, error) }
    }
    bound.end()
    if (this.#broken) throw this.#broken
    if (!connection.inTransaction) throw new StorageUnavailable('transaction ended', 'nothing')
    const keep = 'outcome' in answer && answer.outcome.ok
    if (!keep) connection.run('rollback to change')
    connection.run('release change')
    return answer
  }

  #execute(connection: SqliteConnection, text: string, parameters: readonly unknown[]): ReturnType<SqliteConnection['execute']> {
    try {
      return connection.execute(text, parameters)
    } catch (error) {
      this.#failed = true
      if (error instanceof StorageUnavailable) this.#broken = error
      throw error
    }
  }

  async #outcomeOf(tx: TxOf<DB, Context>, call: Call): Promise<Outcome<unknown, unknown>> {
    const change = this.#changes.get(call.change) as Change<TxOf<DB, Context>, unknown, unknown, unknown> | undefined
    if (!change) throw new Error('the writer does not know it: it is missing from the table of changes')
    return call.once === undefined ? await change.run(tx, call.input) : await runOnce(tx, change, call.input, call.once)
  }

  #undo(): void {
    try {
      if (this.#connection?.inTransaction) this.#connection.run('rollback')
    } catch {
      // The connection's state is not known; the file's is, since nothing was committed. A new connection reads it from there.
      this.#connection?.close()
      this.#connection = undefined
    }
  }
}

/** A full disk leaves no commit behind. After any other error while the log is written or flushed, a crash could still bring it back. */
function commitBatch(connection: SqliteConnection): void {
  try {
    connection.run('commit')
  } catch (cause) {
    if (cause instanceof StorageUnavailable && cause.code !== 'SQLITE_FULL') throw new StorageUnavailable(cause.code, 'unknown', { cause })
    throw cause
  }
}
