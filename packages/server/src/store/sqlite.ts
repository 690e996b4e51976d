import type { Outcome } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { bind } from './bound.ts'
import type { Change } from './change.ts'
import { sqliteDialect } from './dialect-sqlite.ts'
import { fromPlainFault, readDoesNotWrite, StorageBusy, StorageUnavailable } from './faults.ts'
import { lockDirectory, makeFile } from './lock.ts'
import { migrate, type MigrationTarget, type Migrations } from './migrate.ts'
import { openReading, openWriting, type SqliteConnection } from './sqlite-connection.ts'
import type { Call, FromWriter, ToWriter, WriterOrder } from './sqlite-writer.ts'
import type { Once, Store } from './store.ts'

export type SqliteOrder = {
  /** Made when it is not there, for its owner alone. */
  readonly directory: string
  /** The file that calls `runWriter` with all changes. */
  readonly writer: URL
  /** Plain data; the writer makes the changes' context of it. */
  readonly context: unknown
  readonly migrations: Migrations
  readonly now: EpochMs
  /** The writer has died and the store answers no change any more: the process has to end, and start anew. */
  readonly onFault: (error: Error) => void
  /** How many changes may wait before the next is refused. */
  readonly mostWaiting?: number
}

const MOST_WAITING = 10_000

/** Opens Writ's own file in `directory`: locks it, migrates it, starts the thread that writes. */
export async function openSqlite<DB, Context>(order: SqliteOrder): Promise<Store<DB, Context>> {
  makeDirectory(order.directory)
  const lock = lockDirectory(order.directory)
  try {
    const file = join(order.directory, 'writ.db')
    makeFile(file)
    syncDirectory(order.directory)
    await migrateFile(file, order)
    const writer = await startWriter({ file, context: order.context }, order)
    try {
      return storeOf<DB, Context>(file, writer, lock.release)
    } catch (cause) {
      await writer.close()
      throw cause
    }
  } catch (cause) {
    lock.release()
    throw cause
  }
}

function storeOf<DB, Context>(file: string, writer: WriterThread, release: () => void): Store<DB, Context> {
  const connection = openReading(file)
  const { db } = bind<DB>('sqlite', async (text, parameters) => executeReading(connection, text, parameters))
  const close = async (): Promise<void> => {
    // SQLite folds its log into the file when the last connection closes, and only one that may write can do that.
    connection.close()
    await writer.close()
    release()
  }
  let closed: Promise<void> | undefined
  return {
    dialect: sqliteDialect,
    change: async <Input, Value, Refusal>({ name }: Change<never, Input, Value, Refusal>, input: Input) =>
      await writer.call(name, input, undefined) as Outcome<Value, Refusal>,
    changeOnce: async ({ name }, input, once) => await writer.call(name, input, once) as never,
    read: async (query) => await query(db),
    ping: async () => {
      writer.check()
      connection.execute('select 1', [])
    },
    close: () => closed ??= close(),
  }
}

function executeReading(connection: SqliteConnection, text: string, parameters: readonly unknown[]): ReturnType<SqliteConnection['execute']> {
  try {
    return connection.execute(text, parameters)
  } catch (error) {
    throw error instanceof StorageUnavailable && error.code === 'SQLITE_READONLY' ? readDoesNotWrite() : error
  }
}

type WriterThread = {
  call(change: string, input: unknown, once: Once | undefined): Promise<Outcome<unknown, unknown>>
  /** Throws when the writer has ended. */
  check(): void
  close(): Promise<void>
}

type Waiting = { readonly resolve: (outcome: Outcome<unknown, unknown>) => void; readonly reject: (error: Error) => void }

async function startWriter(workerData: WriterOrder, order: SqliteOrder): Promise<WriterThread> {
  const worker = new Worker(order.writer, { workerData, name: 'writer' })
  const waiting = new Map<number, Waiting>()
  const mostWaiting = order.mostWaiting ?? MOST_WAITING
  let calls: Call[] = []
  let lastId = 0
  let ended: 'closed' | 'died' | undefined

  const settle = (id: number, how: (one: Waiting) => void): void => {
    const one = waiting.get(id)
    waiting.delete(id)
    if (one) how(one)
  }
  const flush = (): void => {
    const sending = calls
    calls = []
    send(worker, sending, (id, error) => settle(id, (one) => { one.reject(error) }))
  }
  const take = (message: FromWriter): void => {
    if (message.kind !== 'answers') return
    for (const answer of message.answers) {
      settle(answer.id, (one) => { if ('outcome' in answer) one.resolve(answer.outcome); else one.reject(fromPlainFault(answer.fault)) })
    }
  }
  const end = (error: Error): void => {
    const expected = ended !== undefined
    ended ??= 'died'
    for (const id of waiting.keys()) settle(id, (one) => { one.reject(new StorageUnavailable('writer died', 'unknown', { cause: error })) })
    if (!expected) order.onFault(error)
  }

  await started(worker)
  worker.on('message', take)
  worker.on('error', end)
  worker.on('exit', (code) => { end(new Error(`the writer ended with code ${code}`)) })
  const check = (): void => { if (ended !== undefined) throw new StorageUnavailable(`writer ${ended}`, 'nothing') }

  return {
    check,
    call: async (change, input, once) => {
      check()
      if (waiting.size >= mostWaiting) throw new StorageBusy(waiting.size)
      const id = ++lastId
      // Calls of one turn of the event loop cross together.
      if (calls.push({ id, change, input, once }) === 1) queueMicrotask(flush)
      return await new Promise((resolve, reject) => { waiting.set(id, { resolve, reject }) })
    },
    close: async () => {
      if (ended !== undefined) return
      flush()
      ended = 'closed'
      const gone = new Promise((resolve) => { worker.once('exit', resolve) })
      worker.postMessage({ kind: 'close' } satisfies ToWriter)
      await gone
    },
  }
}

async function started(worker: Worker): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const settled = (error?: Error): void => {
      worker.off('message', ready).off('error', settled).off('exit', left)
      if (error) reject(error)
      else resolve()
    }
    const ready = (): void => { settled() }
    const left = (code: number): void => { settled(new Error(`the writer ended with code ${code} before it was ready`)) }
    worker.on('message', ready).on('error', settled).on('exit', left)
  })
}

/** An input that can't cross threads is its caller's bug, and costs the others nothing. */
function send(worker: Worker, calls: readonly Call[], failed: (id: number, error: Error) => void): void {
  if (calls.length === 0) return
  try {
    worker.postMessage({ kind: 'calls', calls } satisfies ToWriter)
  } catch (cause) {
    const [only] = calls
    if (calls.length === 1 && only) failed(only.id, new TypeError(`the input of change \`${only.change}\` can't cross threads`, { cause }))
    else for (const call of calls) send(worker, [call], failed)
  }
}

/** Makes the file's tables those of this program; nobody else may have it open. */
export async function migrateFile(file: string, order: Pick<SqliteOrder, 'migrations' | 'now'>): Promise<void> {
  const connection = openWriting(file)
  const target: MigrationTarget = {
    dialect: sqliteDialect,
    exclusively: async (work) => {
      connection.run('begin exclusive')
      try {
        const done = await work(async (text, parameters = []) => connection.execute(text, parameters).rows)
        connection.run('commit')
        return done
      } catch (cause) {
        if (connection.inTransaction) connection.run('rollback')
        throw cause
      }
    },
  }
  try {
    await migrate(target, order.migrations, order.now)
  } finally {
    connection.close()
  }
}

function makeDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  syncDirectory(dirname(directory))
}

/** The names of new files have to survive a power cut too. */
function syncDirectory(directory: string): void {
  const handle = openSync(directory, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
