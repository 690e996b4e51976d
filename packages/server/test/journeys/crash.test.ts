import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { assertNothingLost, assertStillWorks, nothingYet, WAYS, workOnce } from '../crashing.ts'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { addShop } from '../governed-writ.ts'
import { inFull, LONG_TEST } from '../long.ts'
import { startWrit } from '../running-writ.ts'
import type { StoreName } from '../store-of-writ.ts'

type CrashPoint = {
  /** `name`, `name:change` or either with `#n`: the n-th time. The sealer works from the start on, so that it is hit in the midst of things. */
  readonly at: string
  /** What leads there; a task with a lease that makes a table, unless said. The `first` start dies before anything can be asked of it. */
  readonly by?: keyof typeof WAYS | 'first'
  /** Where it is tried each time; where it is not, in the long form. */
  readonly always?: readonly StoreName[]
  readonly alsoOnPostgres?: true
}

const SQLITE = ['sqlite'] as const
const BOTH = ['sqlite', 'postgres'] as const

/** After some of them a login waits for 15 to 30 s until the next server takes it up: those come first, and wait side by side. */
const POINTS: readonly CrashPoint[] = [
  { at: 'orphan.withdrawn.before_record', by: 'orphan', always: SQLITE },
  { at: 'backend.admit.before_withdraw#2', by: 'add', always: SQLITE },
  { at: 'lease.intended.after_commit#2', always: SQLITE },
  { at: 'lease.mint.before_commit#3', always: SQLITE },
  { at: 'lease.minted.before_record#2', always: BOTH },
  { at: 'lease.minted.before_commit#2' },
  { at: 'store.before_commit:lease.activate#2' },
  { at: 'lease.withdraw.before_backend' },
  { at: 'lease.withdraw.after_shut#2', by: 'held', always: SQLITE, alsoOnPostgres: true },
  { at: 'lease.withdraw.after_sessions#2', by: 'held' },
  { at: 'lease.hand_over.before_commit#2', always: SQLITE },
  { at: 'lease.withdraw.before_drop#2', always: SQLITE, alsoOnPostgres: true },
  { at: 'lease.withdraw.before_probe' },
  { at: 'store.after_commit:lease.survey' },
  { at: 'lease.withdrawn.before_record', always: SQLITE, alsoOnPostgres: true },
  { at: 'store.before_commit:lease.end', always: BOTH },
  { at: 'log.seal.before_commit#25', always: SQLITE },
  { at: 'log.sealed.before_commit#25' },
  { at: 'log.seal.after_commit#25', always: BOTH },
  { at: 'lease.withdrawn.after_record' },
  { at: 'task.open.before_commit', always: SQLITE, alsoOnPostgres: true },
  { at: 'lease.intended.before_commit' },
  { at: 'lease.minted.after_record' },
  { at: 'store.before_commit:task.open#2' },
  { at: 'store.after_commit:task.open#2', always: SQLITE, alsoOnPostgres: true },
  { at: 'store.after_commit:lease.activate#2' },
  { at: 'store.before_commit:task.heartbeat' },
  { at: 'task.heard.before_commit', always: SQLITE },
  { at: 'store.before_commit:task.end' },
  { at: 'task.ended.before_commit', always: SQLITE },
  { at: 'task.closed.before_commit', always: SQLITE },
  { at: 'store.after_commit:task.end' },
  { at: 'token.issue.before_commit', by: 'token', always: SQLITE },
  { at: 'token.ended.before_commit', by: 'token', always: BOTH },
  { at: 'store.after_commit:token.end_due', by: 'token' },
  { at: 'decision.made.before_commit', by: 'decide', always: SQLITE, alsoOnPostgres: true },
  { at: 'task.delegated.before_commit', by: 'delegate', always: SQLITE },
  { at: 'approval.requested.before_commit', by: 'approve', always: SQLITE },
  { at: 'approval.approved.before_commit', by: 'approve', always: SQLITE, alsoOnPostgres: true },
  { at: 'identity.stopped.before_its_tasks', by: 'suspend', always: SQLITE },
  { at: 'stop.made.before_commit', by: 'stop', always: SQLITE },
  { at: 'stop.answered.before_commit', by: 'stop', alsoOnPostgres: true },
  { at: 'stop.settled.before_commit', by: 'stop', always: SQLITE },
  { at: 'once.kept.before_commit', by: 'repeat', always: SQLITE, alsoOnPostgres: true },
  { at: 'store.after_commit:task.open', by: 'repeat' },
  { at: 'backend.rotate.before_backend', by: 'rotate' },
  { at: 'backend.rotate.before_record', by: 'rotate', always: SQLITE },
  { at: 'store.after_commit:backend.take_next_secret', by: 'rotate' },
  { at: 'backend.add.before_record#2', by: 'add' },
  { at: 'keys.file.before_link#2', by: 'first', always: SQLITE },
  { at: 'keys.logs.before_master', by: 'first' },
  { at: 'migrate.before_commit:0002-tasks', by: 'first', always: BOTH },
  { at: 'migrate.after_commit:0002-tasks', by: 'first' },
  { at: 'store.after_commit:server.start', by: 'first' },
  { at: 'bootstrap.offered.before_file', by: 'first' },
]

const nameOf = ({ at }: CrashPoint): string => at.split(/[:#]/)[0]!
const storesOf = ({ always = [], alsoOnPostgres }: CrashPoint): readonly StoreName[] => (inFull ? (alsoOnPostgres || always.includes('postgres') ? BOTH : SQLITE) : always)
const TRIED = POINTS.flatMap((point) => storesOf(point).map((store) => ({ ...point, store })))

test('every point at which the server can be made to die is in this table; no fewer than 25 are tried on SQLite each time, and 5 on PostgreSQL', () => {
  const server = fileURLToPath(new URL('../..', import.meta.url))
  const source = `${server}/src`
  const files = globSync('**/*.ts', { cwd: source, exclude: ['**/*.test.ts', 'platform/failpoint.ts'] })
  const texts = files.map((file) => readFileSync(`${source}/${file}`, 'utf8'))
  const named = new Set(texts.flatMap((text) => [...text.matchAll(/\bfailpoint\('([^']+)'/g)].map(([, name]) => name!)))
  const tried = new Set(POINTS.map(nameOf))
  // A restore runs without a server, and has a crash test of its own.
  const elsewhere = globSync('**/restor*.test.ts', { cwd: server }).map((file) => readFileSync(`${server}/${file}`, 'utf8')).join('')
  const isTried = (name: string): boolean => tried.has(name) || (name.startsWith('restore.') && elsewhere.includes(`'${name}`))
  assert.deepEqual([...named].filter((name) => !isTried(name)), [])
  assert.deepEqual([...tried].filter((name) => !named.has(name)), [])
  const namesOn = (store: StoreName): number => new Set(TRIED.filter((one) => one.store === store).map(nameOf)).size
  assert.ok(namesOn('sqlite') >= 25 && namesOn('postgres') >= 5, `${namesOn('sqlite')} and ${namesOn('postgres')}`)
})

describe('the server dies', { concurrency: 6, ...LONG_TEST }, () => {
  let shared: GovernedPostgres
  before(async () => { shared = await governedPostgres(18) })
  after(() => shared.remove())

  for (const { store, at, by } of TRIED) {
    test(`at ${at} on ${store}, and nothing that it had said is lost, no login is left over, and the record holds`, LONG_TEST, async (t) => {
      const shop = by === 'rotate' ? await governedPostgres(18) : shared
      const writ = await startWrit(by === 'first' ? { store, diesFirstAt: at } : { store, env: { WRIT_FAILPOINT: at } })
      t.after(async () => {
        await writ.stop()
        if (shop !== shared) await shop.remove()
      })
      await addShop(writ, shop)
      const worker = await writ.register('worker')
      const known = nothingYet()
      if (by === 'first') await workOnce(worker, known, true)
      else {
        const lookFirst = await WAYS[by ?? 'work']({ writ, shop, worker, known })
        await writ.restart({ WRIT_FAILPOINT: undefined })
        await lookFirst?.()
      }
      await assertNothingLost(writ, shop, known)
      await assertStillWorks(writ, worker)
    })
  }
})
