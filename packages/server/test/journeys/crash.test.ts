import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { assertNothingLost, assertStillWorks, nothingYet, WAYS, workOnce } from '../crashing.ts'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { addShop } from '../governed-writ.ts'
import { startWrit } from '../running-writ.ts'

type CrashPoint = {
  /** `name`, `name:change` or either with `#n`: the n-th time. The sealer works from the start on, so that it is hit in the midst of things. */
  readonly at: string
  /** What leads there; a task with a lease that makes a table, unless said. The `first` start dies before anything can be asked of it. */
  readonly by?: keyof typeof WAYS | 'first'
  readonly alsoOnPostgres?: true
}

/** After some of them a login waits for 15 to 30 s until the next server takes it up: those come first, and wait side by side. */
const POINTS: readonly CrashPoint[] = [
  { at: 'orphan.withdrawn.before_record', by: 'orphan' },
  { at: 'backend.admit.before_withdraw#2', by: 'add' },
  { at: 'lease.intended.after_commit#2' },
  { at: 'lease.mint.before_commit#3' },
  { at: 'lease.minted.before_record#2', alsoOnPostgres: true },
  { at: 'lease.minted.before_commit#2' },
  { at: 'store.before_commit:lease.activate#2' },
  { at: 'lease.withdraw.before_backend' },
  { at: 'lease.withdraw.after_shut#2', by: 'held', alsoOnPostgres: true },
  { at: 'lease.withdraw.after_sessions#2', by: 'held' },
  { at: 'lease.hand_over.before_commit#2' },
  { at: 'lease.withdraw.before_drop#2', alsoOnPostgres: true },
  { at: 'lease.withdraw.before_probe' },
  { at: 'store.after_commit:lease.survey' },
  { at: 'lease.withdrawn.before_record', alsoOnPostgres: true },
  { at: 'store.before_commit:lease.end', alsoOnPostgres: true },
  { at: 'log.seal.before_commit#25' },
  { at: 'log.sealed.before_commit#25' },
  { at: 'log.seal.after_commit#25', alsoOnPostgres: true },
  { at: 'lease.withdrawn.after_record' },
  { at: 'task.open.before_commit', alsoOnPostgres: true },
  { at: 'lease.intended.before_commit' },
  { at: 'lease.minted.after_record' },
  { at: 'store.before_commit:task.open#2' },
  { at: 'store.after_commit:task.open#2', alsoOnPostgres: true },
  { at: 'store.after_commit:lease.activate#2' },
  { at: 'store.before_commit:task.heartbeat' },
  { at: 'task.heard.before_commit' },
  { at: 'store.before_commit:task.end' },
  { at: 'task.ended.before_commit' },
  { at: 'task.closed.before_commit' },
  { at: 'store.after_commit:task.end' },
  { at: 'token.issue.before_commit', by: 'token' },
  { at: 'token.ended.before_commit', by: 'token', alsoOnPostgres: true },
  { at: 'store.after_commit:token.end_due', by: 'token' },
  { at: 'task.delegated.before_commit', by: 'delegate' },
  { at: 'identity.stopped.before_its_tasks', by: 'suspend' },
  { at: 'once.kept.before_commit', by: 'repeat', alsoOnPostgres: true },
  { at: 'store.after_commit:task.open', by: 'repeat' },
  { at: 'backend.rotate.before_backend', by: 'rotate' },
  { at: 'backend.rotate.before_record', by: 'rotate' },
  { at: 'store.after_commit:backend.take_next_secret', by: 'rotate' },
  { at: 'backend.add.before_record#2', by: 'add' },
  { at: 'keys.file.before_link#2', by: 'first' },
  { at: 'keys.logs.before_master', by: 'first' },
  { at: 'migrate.before_commit:0002-tasks', by: 'first', alsoOnPostgres: true },
  { at: 'migrate.after_commit:0002-tasks', by: 'first' },
  { at: 'store.after_commit:server.start', by: 'first' },
  { at: 'bootstrap.offered.before_file', by: 'first' },
]

const nameOf = ({ at }: CrashPoint): string => at.split(/[:#]/)[0]!

test('every point at which the server can be made to die is in this table, and there are no fewer than 25', () => {
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
  assert.ok(tried.size >= 25)
})

describe('the server dies', { concurrency: 6 }, () => {
  let shared: GovernedPostgres
  before(async () => { shared = await governedPostgres(18) })
  after(() => shared.remove())

  const cases = POINTS.flatMap(({ alsoOnPostgres, ...point }) => (
    (alsoOnPostgres ? ['sqlite', 'postgres'] as const : ['sqlite'] as const).map((store) => ({ store, ...point }))
  ))
  for (const { store, at, by } of cases) {
    test(`at ${at} on ${store}, and nothing that it had said is lost, no login is left over, and the record holds`, async (t) => {
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
