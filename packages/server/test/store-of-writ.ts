import { mkdtempSync, rmSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, type TestContext } from 'node:test'
import { STREAMS, type Stream } from '@writ/domain/event'
import { mintId, type IdKind, type Id } from '@writ/domain/id'
import { epochMs, type EpochMs } from '@writ/domain/time'
import { Client } from 'pg'
import type { Config } from '../src/config/config.ts'
import { createKeys } from '../src/keys/key-files.ts'
import { openKeys, type Keys } from '../src/keys/keys.ts'
import { changeContextOf } from '../src/change-context.ts'
import { hostEntropy } from '../src/platform/entropy.ts'
import { installDefaults } from '../src/policies/install-defaults.ts'
import { install } from '../src/record/install.ts'
import { openLog, originOf, sealOnce, type SealNeeds } from '../src/record/seal.ts'
import type { Store } from '../src/record/tx.ts'
import { openPostgres } from '../src/store/postgres.ts'
import { openSqlite } from '../src/store/sqlite.ts'
import { fixedClock, type FixedClock } from './fakes/clock.ts'
import { MIGRATED, migratedDatabase, placeMigratedFile } from './migrated.ts'
import { WRITER } from './program.ts'

export const STORES = ['sqlite', 'postgres'] as const
export type StoreName = (typeof STORES)[number]

type Row = Readonly<Record<string, unknown>>

/** Writ's own store with its keys and logs, without the server around it, and a way past it that a superuser has. */
export type StoreOfWrit = {
  readonly name: StoreName
  readonly store: Store
  readonly keys: Keys
  /** Where it stands, as a configuration names it. */
  readonly place: Pick<Config, 'store' | 'keyDirectory'>
  readonly clock: FixedClock
  readonly sealing: SealNeeds
  newId<K extends IdKind>(of: K): Id<K>
  now(): EpochMs
  /** Past Writ: one statement, `$1` for values. Bytes come back as plain bytes. */
  sql(statement: string, values?: readonly unknown[]): Promise<readonly Row[]>
  /** Seals both logs to the end. */
  sealAll(): Promise<void>
  seal(stream: Stream): Promise<number>
}

/** One store for a whole `describe`: opened before its tests, and gone after them. */
export function storeForSuite(name: StoreName): () => StoreOfWrit {
  const ends: (() => unknown)[] = []
  let opened: StoreOfWrit | undefined
  before(async () => { opened = await storeOfWrit(name, { after: (end) => { ends.unshift(end as () => unknown) } }) })
  after(async () => { for (const end of ends) await end() })
  return () => opened!
}

const STARTED = epochMs(1_795_327_200_000)

/** An empty store of its own, installed, with both logs open; it ends with the test. */
export async function storeOfWrit(name: StoreName, t: Pick<TestContext, 'after'>): Promise<StoreOfWrit> {
  const folder = mkdtempSync(join(tmpdir(), 'writ-of-'))
  t.after(() => { rmSync(folder, { recursive: true, force: true }) })
  const made = createKeys(join(folder, 'keys'), hostEntropy)
  const opened = openKeys(join(folder, 'keys'), hostEntropy)
  if (!made.ok || !opened.ok) throw new Error('no keys')
  const keys = opened.value
  const { store, sql, at } = name === 'sqlite' ? await inFile(join(folder, 'data'), keys, t) : await inPostgres(keys, t)
  const clock = fixedClock(STARTED)
  const sealing: SealNeeds = { store, signers: keys.signers, eventMac: keys.eventMac, clock, entropy: hostEntropy }
  const newId: StoreOfWrit['newId'] = (of) => mintId(of, clock.now(), hostEntropy.bytes(10))
  const installed = await store.change(install, { id: newId('installation'), keyCheck: keys.keyCheck(), version: '0', now: clock.now() })
  if (!installed.ok) throw new Error('not installed')
  for (const stream of STREAMS) await openLog(sealing, stream, originOf(installed.value, stream))
  await installDefaults({ store, clock })
  const seal = (stream: Stream): Promise<number> => sealOnce(sealing, stream)
  return {
    name, store, keys, place: { store: at, keyDirectory: join(folder, 'keys') }, clock, sealing, newId, sql, seal, now: () => clock.now(),
    sealAll: async () => {
      for (const stream of STREAMS) while ((await seal(stream)) > 0) { /* the next batch */ }
    },
  }
}

type Opened = { readonly store: Store; readonly at: Config['store']; readonly sql: StoreOfWrit['sql'] }

async function inFile(directory: string, keys: Keys, t: Pick<TestContext, 'after'>): Promise<Opened> {
  placeMigratedFile(directory)
  const store: Store = await openSqlite({
    directory, writer: WRITER, context: keys.forChanges, migrations: MIGRATED, now: STARTED,
    onFault: (error) => { throw error },
  })
  t.after(() => store.close())
  // To open the file and read its schema takes much longer than most statements do.
  const beside = openFile(join(directory, 'writ.db'))
  t.after(() => { beside.close() })
  return { store, at: { kind: 'sqlite', directory }, sql: async (statement, values) => askOpen(beside, statement, values) }
}

async function inPostgres(keys: Keys, t: Pick<TestContext, 'after'>): Promise<Opened> {
  const database = await migratedDatabase()
  const store: Store = await openPostgres({
    url: database.url, migrations: MIGRATED, now: STARTED, context: changeContextOf(keys.forChanges), mostConnections: 4,
  })
  const superuser = new Client({ connectionString: database.url })
  await superuser.connect()
  t.after(async () => {
    await superuser.end()
    await store.close()
    await database.drop()
  })
  return { store, at: { kind: 'postgres', url: database.url, allowMissingChecksums: false }, sql: async (statement, values = []) => (await superuser.query<Row>(statement, [...values])).rows }
}

/** One statement on a file that a server may have open; without values it may be several. */
export function askFile(file: string, statement: string, values: readonly unknown[] = []): readonly Row[] {
  const db = openFile(file)
  try {
    return askOpen(db, statement, values)
  } finally {
    db.close()
  }
}

const openFile = (file: string): DatabaseSync => new DatabaseSync(file, { timeout: 5000 })

function askOpen(db: DatabaseSync, statement: string, values: readonly unknown[] = []): readonly Row[] {
  if (values.length === 0 && !/^\s*(select|with|pragma)\b/i.test(statement)) {
    db.exec(statement)
    return []
  }
  return db.prepare(statement.replaceAll(/\$(\d+)/g, '?$1')).all(...(values as readonly SQLInputValue[]))
}

/** Every row of every table, by table; bytes as text. */
export async function everyRow(of: Pick<StoreOfWrit, 'name' | 'sql'>): Promise<ReadonlyMap<string, readonly Row[]>> {
  const tables = of.name === 'sqlite'
    ? await of.sql('select name from sqlite_schema where type = \'table\' and name not like \'sqlite_%\' order by name')
    : await of.sql('select table_name as name from information_schema.tables where table_schema = \'public\' order by 1')
  const names = tables.map((table) => String(table['name']))
  if (of.name === 'postgres') {
    // One statement: a snapshot of all tables at one moment.
    const [found] = await of.sql(`select ${names.map((name) => `(select coalesce(json_agg(to_jsonb(t)), '[]') from ${name} t) as "${name}"`).join(', ')}`)
    return new Map(names.map((name) => [name, sorted(found![name] as readonly Row[])]))
  }
  const all = new Map<string, readonly Row[]>()
  for (const name of names) all.set(name, sorted((await of.sql(`select * from ${name}`)).map(plain)))
  return all
}

const sorted = (rows: readonly Row[]): readonly Row[] => rows.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
const plain = (row: Row): Row => Object.fromEntries(Object.entries(row).map(([column, value]) => [column, value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value]))

/** So many more leases like this one, made past Writ: the number is what matters, and each one made by Writ takes some milliseconds. */
export async function copyLease({ name, sql }: Pick<StoreOfWrit, 'name' | 'sql'>, lease: string, times: number): Promise<void> {
  const number = name === 'sqlite' ? 'substr(\'0000\' || i, -4)' : 'right(\'0000\' || i, 4)'
  const columns = `task_id, identity_id, backend_id, template, state, outcome, intended_at, minted_at, expires_at, control, attempts, due_at,
    sealed_secret, end_leaf, stop_at`
  await sql(`
    insert into lease (id, handle, ${columns})
    with recursive n (i) as (select 1 union all select i + 1 from n where i < ${times})
    select substr(id, 1, 26) || ${number}, handle || i, ${columns} from lease, n where id = '${lease}'`)
}
