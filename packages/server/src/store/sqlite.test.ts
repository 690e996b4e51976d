import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { sqliteOrder, temporaryDirectory } from '../../test/both-stores.ts'
import {
  addJar, endThread, runText, setJar, smallWorld, takeMarbles, throwAfterWriting, type SmallContext, type SmallTables,
} from '../../test/small/world.ts'
import { ChangeFault, StorageBusy, StorageUnavailable } from './faults.ts'
import { openSqlite, type SqliteOrder } from './sqlite.ts'
import type { Store } from './store.ts'

type SmallStore = Store<SmallTables, SmallContext>
type Opened = { readonly store: SmallStore; readonly directory: string; readonly faults: readonly Error[] }

async function open(t: TestContext, directory: string, more: Partial<SqliteOrder> = {}): Promise<Opened> {
  const faults: Error[] = []
  const order = { ...sqliteOrder(smallWorld, directory), onFault: (error: Error) => { faults.push(error) }, ...more }
  const store = await openSqlite<SmallTables, SmallContext>(order)
  t.after(async () => {
    await store.close()
    rmSync(directory, { recursive: true, force: true })
  })
  return { store, directory, faults }
}

const jarIds = async (store: SmallStore): Promise<readonly string[]> =>
  (await store.read((db) => db.selectFrom('jar').select('id').orderBy('id').execute())).map((jar) => jar.id)

/** Frames of SQLite's log that end a transaction: https://sqlite.org/fileformat2.html#walformat. */
function commitsIn(directory: string): number {
  const log = readFileSync(join(directory, 'writ.db-wal'))
  const frame = 24 + log.readUInt32BE(8)
  let commits = 0
  for (let at = 32; at + frame <= log.length; at += frame) if (log.readUInt32BE(at + 4) !== 0) commits++
  return commits
}

const range = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i)

test('two hundred changes at once share a few commits, and each has its own answer', async (t) => {
  const { store, directory } = await open(t, temporaryDirectory())
  await store.change(addJar, { id: 'pot', marbles: 10_000 })
  const before = commitsIn(directory)
  const answers = await Promise.all(range(200).map((i) => store.change(takeMarbles, { id: i === 77 ? 'none' : 'pot', count: i === 99 ? 99_999 : 1 })))
  assert.ok(commitsIn(directory) - before <= 3, `${commitsIn(directory) - before} commits`)
  assert.deepEqual(answers[77], { ok: false, refusal: { kind: 'no_such_jar' } })
  assert.equal(answers.filter((answer) => answer.ok).length, 198)
  const marks = await store.read((db) => db.selectFrom('mark').selectAll().execute())
  assert.equal(marks.length, 198, 'refused changes left nothing')
})

test('a change that throws in the middle of a batch hurts no other', async (t) => {
  const { store } = await open(t, temporaryDirectory())
  const work = range(30).map((i) => i === 15 ? store.change(throwAfterWriting, { id: 'bad' }) : store.change(addJar, { id: `j${i}`, marbles: 1 }))
  const results = await Promise.allSettled(work)
  assert.deepEqual(results.flatMap((one, i) => (one.status === 'rejected' ? [i] : [])), [15])
  assert.ok(results[15]?.status === 'rejected' && results[15].reason instanceof ChangeFault)
  assert.equal((await jarIds(store)).length, 29)
  assert.deepEqual(await store.read((db) => db.selectFrom('mark').selectAll().execute()), [])
})

test('an input or a value that can\'t cross threads costs the other changes nothing', async (t) => {
  const { store } = await open(t, temporaryDirectory())
  const [good, bad, alsoGood] = await Promise.allSettled([
    store.change(addJar, { id: 'a', marbles: 1 }),
    store.change(addJar, { id: 'b', marbles: (() => 1) as never }),
    store.change(addJar, { id: 'c', marbles: 1 }),
  ])
  assert.equal(good.status, 'fulfilled')
  assert.equal(alsoGood.status, 'fulfilled')
  assert.ok(bad.status === 'rejected' && bad.reason instanceof TypeError)
  assert.deepEqual(await jarIds(store), ['a', 'c'])
})

test('a disk that fills up rejects the whole batch, and the writer goes on when there is room again', async (t) => {
  const { store } = await open(t, temporaryDirectory())
  await store.change(addJar, { id: 'first', marbles: 1 })
  const full = await store.change(runText, { text: 'pragma page_count' })
  const pages = full.ok ? (full.value[0] as { page_count: number }).page_count : assert.fail()
  await store.change(runText, { text: `pragma max_page_count = ${pages + 4}` })
  await rejectsWholeBatch(store)
  assert.deepEqual(await jarIds(store), ['first'])
  assert.ok((await store.change(setJar, { id: 'first', set: { marbles: 2 } })).ok, 'what needs no room is still written')
  await store.change(runText, { text: 'pragma max_page_count = 1000000' })
  assert.ok((await store.change(addJar, { id: 'after', marbles: 1 })).ok)
  assert.deepEqual(await jarIds(store), ['after', 'first'])
})

test('a real file system that fills up does the same', async (t) => {
  const directory = temporaryDirectory()
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory], { stdio: 'ignore' })
  } catch {
    rmSync(directory, { recursive: true })
    t.skip('mounting a small file system needs root')
    return
  }
  const data = join(directory, 'data')
  const { store, faults } = await open(t, data)
  t.after(() => {
    execFileSync('umount', [directory])
    rmSync(directory, { recursive: true })
  })
  await store.change(addJar, { id: 'first', marbles: 1 })
  fill(join(directory, 'filler'))
  await rejectsWholeBatch(store)
  await assert.rejects(store.change(addJar, { id: 'still full', marbles: 1, label: new Uint8Array(100_000) }), StorageUnavailable)
  assert.deepEqual(await jarIds(store), ['first'], 'reading goes on')
  rmSync(join(directory, 'filler'))
  assert.ok((await store.change(addJar, { id: 'after', marbles: 1, label: new Uint8Array(100_000) })).ok)
  assert.deepEqual(await jarIds(store), ['after', 'first'])
  assert.deepEqual(faults, [])
})

async function rejectsWholeBatch(store: SmallStore): Promise<void> {
  const label = (i: number): Uint8Array => new Uint8Array(i === 10 ? 200_000 : 10)
  const answers = await Promise.allSettled(range(20).map((i) => store.change(addJar, { id: `j${i}`, marbles: 1, label: label(i) })))
  for (const answer of answers) {
    assert.ok(answer.status === 'rejected' && answer.reason instanceof StorageUnavailable, 'every caller is answered')
    assert.equal(answer.reason.code, 'SQLITE_FULL')
    assert.equal(answer.reason.left, 'nothing')
  }
}

/** Writes until there is no room. */
function fill(file: string): void {
  for (const size of [65_536, 4096]) {
    try {
      for (;;) writeFileSync(file, new Uint8Array(size), { flag: 'a' })
    } catch (cause) {
      assert.equal((cause as NodeJS.ErrnoException).code, 'ENOSPC')
    }
  }
}

test('when too many wait, the next is refused at once and the others are answered', async (t) => {
  const { store } = await open(t, temporaryDirectory(), { mostWaiting: 10 })
  const results = await Promise.allSettled(range(25).map((i) => store.change(addJar, { id: `j${i}`, marbles: 1 })))
  assert.equal(results.filter((one) => one.status === 'fulfilled').length, 10)
  assert.ok(results.every((one) => one.status === 'fulfilled' || one.reason instanceof StorageBusy))
  assert.equal((await jarIds(store)).length, 10)
  assert.ok((await store.change(addJar, { id: 'later', marbles: 1 })).ok)
})

test('when the writer dies, all who wait are told, and so is the process', async (t) => {
  const { store, faults } = await open(t, temporaryDirectory())
  const results = await Promise.allSettled([
    store.change(addJar, { id: 'a', marbles: 1 }), store.change(endThread, null), store.change(addJar, { id: 'b', marbles: 1 }),
  ])
  assert.ok(results.every((one) => one.status === 'rejected' && one.reason instanceof StorageUnavailable && one.reason.left === 'unknown'))
  assert.equal(faults.length, 1)
  await assert.rejects(store.change(addJar, { id: 'c', marbles: 1 }), StorageUnavailable)
  await assert.rejects(store.ping(), StorageUnavailable)
  assert.deepEqual(await jarIds(store), [], 'reading goes on')
})

test('closing answers those who wait, and refuses those who come later', async (t) => {
  const { store, directory } = await open(t, temporaryDirectory())
  const waiting = Promise.all(range(50).map((i) => store.change(addJar, { id: `j${i}`, marbles: 1 })))
  await store.close()
  assert.equal((await waiting).length, 50)
  await assert.rejects(store.change(addJar, { id: 'late', marbles: 1 }), StorageUnavailable)
  const again = await open(t, directory)
  assert.equal((await jarIds(again.store)).length, 50)
})

test('the data directory is for its owner alone', async (t) => {
  const outer = temporaryDirectory()
  const { store, directory } = await open(t, join(outer, 'data'))
  await store.change(addJar, { id: 'a', marbles: 1 })
  assert.equal(statSync(directory).mode & 0o777, 0o700)
  const files = ['writ.db', 'writ.db-wal', 'writ.db-shm', 'writ.pid', 'writ.lock']
  for (const file of files) assert.equal(statSync(join(directory, file)).mode & 0o077, 0, file)
})

test('a file that is no database is told at the start, and stays as it is', async (t) => {
  const outer = temporaryDirectory()
  t.after(() => { rmSync(outer, { recursive: true }) })
  const text = 'this is no database, and long enough to be read as the header of one.'.repeat(20)
  writeFileSync(join(outer, 'writ.db'), text)
  await assert.rejects(openSqlite({ ...sqliteOrder(smallWorld, outer), onFault: () => {} }), (error) =>
    error instanceof StorageUnavailable && error.code === 'SQLITE_NOTADB')
  assert.equal(readFileSync(join(outer, 'writ.db'), 'utf8'), text)
})
