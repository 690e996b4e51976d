import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import * as tasks from '@writ/contract/tasks'
import { mintId } from '@writ/domain/id'
import { epochMs } from '@writ/domain/time'
import { leafHash } from '@writ/ledger/hash'
import { parseVerifierKey } from '@writ/ledger/note'
import { appendToTiles, edgeTiles, type TileEdge } from '@writ/ledger/tile'
import { openKeys, type Keys } from '../../packages/server/src/keys/keys.ts'
import { hostEntropy } from '../../packages/server/src/platform/entropy.ts'
import { sha256 } from '../../packages/server/src/record/append.ts'
import { signCheckpoint } from '../../packages/server/src/record/seal.ts'
import { sqliteDialect } from '../../packages/server/src/store/dialect-sqlite.ts'
import { governedPostgres } from '../../packages/server/test/governed-postgres.ts'
import { addShop, complete, leased } from '../../packages/server/test/governed-writ.ts'
import { askToken, NEW_TASK, proofKey } from '../../packages/server/test/oauth-client.ts'
import { assertLogsHold, closureOf } from '../../packages/server/test/proofs.ts'
import { startWrit, type RunningWrit } from '../../packages/server/test/running-writ.ts'

type Row = Readonly<Record<string, SQLInputValue>>
type Mold = Readonly<Record<'task' | 'lease' | 'access_token' | 'event' | 'event_said', readonly Row[]>>

/** As many as one checkpoint of a busy second. */
const TASKS_IN_BATCH = 250
/** What the ids of the copies are spread over. */
const SPAN_MS = 30 * 24 * 3_600_000
const PLACES_GUARD = 'event_is_born_without_place'

/**
 * A Writ on SQLite, stopped, that has lived so long that its file has this size: one task with a login and a token was really done, and is
 * copied under other ids, with leaves, MACs, tiles and checkpoints that hold. Everything can be verified.
 */
export async function largeStore(bytes: number, tell: (progress: string) => void): Promise<RunningWrit> {
  const writ = await startWrit({ env: { WRIT_LOG: 'warn' } })
  try {
    const task = await oneTask(writ)
    await writ.kill('SIGTERM')
    const keys = openKeys(join(writ.folder, 'data-keys'), hostEntropy)
    if (!keys.ok) throw new Error('no keys')
    fill({ file: join(writ.folder, 'data', 'writ.db'), keys: keys.value, task, bytes, tell })
    return writ
  } catch (error) {
    await writ.stop()
    throw error
  }
}

async function oneTask(writ: RunningWrit): Promise<string> {
  const shop = await governedPostgres(18)
  try {
    await addShop(writ, shop)
    const [worker, key] = [await writ.register('worker'), await proofKey()]
    const { task } = (await askToken(writ, worker, NEW_TASK, { key })).reply
    await leased(worker, task)
    await worker.api(tasks.heartbeat, { parameters: { id: task }, body: { calls: 3 } })
    await complete(worker, task)
    await closureOf(writ, worker.api, task)
    await assertLogsHold(writ)
    return task
  } finally {
    await shop.remove()
  }
}

type Filling = { readonly file: string; readonly keys: Keys; readonly task: string; readonly bytes: number; readonly tell: (progress: string) => void }

function fill({ file, keys, task, bytes, tell }: Filling): void {
  const db = new DatabaseSync(file)
  db.exec('pragma synchronous = off; pragma cache_size = -400000')
  const mold = moldOf(db, task)
  const log = logOf(db, keys)
  const inserts = new Map(Object.entries(mold).flatMap(([table, rows]) => (rows[0] === undefined ? [] : [[table, insertInto(db, table, Object.keys(rows[0]))]])))
  for (const statement of sqliteDialect.dropGuard('event', PLACES_GUARD)) db.exec(statement)
  let copies = 0
  let at = Date.now() - SPAN_MS
  for (let told = 0, size = 0; size < bytes; size = statSync(file).size) {
    if (size - told > bytes / 10) tell(`${Math.round((told = size) / 1e6)} MB of rows`)
    db.exec('begin immediate')
    const leaves: Uint8Array[] = []
    for (let i = 0; i < TASKS_IN_BATCH; i++) leaves.push(...copyTask({ mold, inserts, keys, firstLeaf: log.size() + leaves.length, at: at += 1 + (copies++ % 7) }))
    log.take(leaves, at)
    db.exec('commit; pragma wal_checkpoint(passive)')
  }
  for (const statement of sqliteDialect.bornNull('event', ['leaf_index'], PLACES_GUARD)) db.exec(statement)
  tell(`${copies} tasks, ${log.size()} events`)
  db.close()
}

function moldOf(db: DatabaseSync, task: string): Mold {
  const rows = (text: string): readonly Row[] => db.prepare(text).all(task).map((row) => ({ ...row }))
  return {
    task: rows('select * from task where id = ?'), lease: rows('select * from lease where task_id = ?'), access_token: rows('select * from access_token where task_id = ?'),
    event: rows('select * from event where task_id = ? and stream = \'non-human\' order by leaf_index'),
    event_said: rows('select said.* from event_said as said join event on event.id = said.event_id where event.task_id = ?'),
  }
}

const textOf = (row: Row, column: string): string => row[column] as string

type Insert = (row: Row) => void

function insertInto(db: DatabaseSync, table: string, all: readonly string[]): Insert {
  const columns = all.filter((column) => column !== 'seq')
  const statement = db.prepare(`insert into ${table} (${columns.join(', ')}) values (${columns.map(() => '?').join(', ')})`)
  return (row) => { statement.run(...columns.map((column) => row[column]!)) }
}

type Copy = { readonly mold: Mold; readonly inserts: ReadonlyMap<string, Insert>; readonly keys: Keys; readonly firstLeaf: number; readonly at: number }

/** Writes a task under other ids, and answers its leaves: the ends of its leases come before the closing that names their hashes. */
function copyTask({ mold, inserts, keys, firstLeaf, at }: Copy): readonly Uint8Array[] {
  const names = new Map<string, string>()
  const rename = (kind: 'task' | 'lease' | 'event', rows: readonly Row[]): void => {
    for (const row of rows) names.set(textOf(row, 'id').slice(4), mintId(kind, epochMs(at), randomBytes(10)).slice(4))
  }
  rename('task', mold.task)
  rename('lease', [...mold.lease, ...mold.access_token])
  rename('event', mold.event)
  const hashes = new Map<string, Uint8Array>()
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
  const renamed = (text: string): string => [...names].reduce((now, [old, name]) => now.replaceAll(old, name), text)
  const rehashed = (text: string): string => [...hashes].reduce((now, [old, hash]) => now.replaceAll(old, base64(hash)), text)
  const copied = (row: Row): Row => Object.fromEntries(Object.entries(row).map(([column, value]) => [
    column, typeof value === 'string' ? renamed(value) : value instanceof Uint8Array ? hashes.get(base64(value)) ?? value : value,
  ]))
  const leaves: Uint8Array[] = []
  for (const event of mold.event) {
    const leaf = rehashed(renamed(textOf(event, 'leaf')))
    const bytes = Buffer.from(leaf, 'utf8')
    const hash = leafHash(sha256, bytes)
    hashes.set(base64(event['leaf_hash'] as Uint8Array), hash)
    inserts.get('event')!({ ...copied(event), leaf, leaf_hash: hash, mac: keys.eventMac.macOf(bytes), leaf_index: firstLeaf + leaves.length })
    leaves.push(hash)
  }
  for (const table of ['task', 'lease', 'access_token', 'event_said'] as const) for (const row of mold[table]) inserts.get(table)!(copied(row))
  return leaves
}

type FilledLog = { size(): number; take(leaves: readonly Uint8Array[], at: number): void }

/** The log of the non-human stream, which goes on from where the server left it. */
function logOf(db: DatabaseSync, keys: Keys): FilledLog {
  const row = db.prepare('select origin, vkey, size from log where stream = \'non-human\'').get()!
  const [origin, key] = [String(row['origin']), parseVerifierKey(sha256, String(row['vkey']))]
  if (!key.ok) throw new Error('the log has no readable key')
  const read = db.prepare('select hashes from tile where stream = \'non-human\' and level = ? and tile_index = ?')
  const write = db.prepare(`
    insert into tile (stream, level, tile_index, hashes) values ('non-human', ?, ?, ?)
    on conflict (stream, level, tile_index) do update set hashes = excluded.hashes`)
  const move = db.prepare('update log set size = ?, note = ?, signed_at = ? where stream = \'non-human\'')
  const keep = db.prepare('insert into checkpoint (stream, size, note, signed_at) values (\'non-human\', ?, ?, ?)')
  let size = Number(row['size'])
  const edge = (): TileEdge => ({ size, tiles: edgeTiles(size).map(({ level, index }) => ({ level, index, hashes: read.get(level, index)!['hashes'] as Uint8Array })) })
  return {
    size: () => size,
    take: (leaves, at) => {
      const { root, changed } = appendToTiles(sha256, edge(), leaves)
      size += leaves.length
      for (const tile of changed) write.run(tile.level, tile.index, tile.hashes)
      const note = signCheckpoint(keys.signers['non-human'], key.value, { origin, size, root })
      move.run(size, note, at)
      keep.run(size, note, at)
    },
  }
}
