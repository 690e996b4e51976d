import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { addUntilDeath, assertNothingLost, assertStillWorks, nothingYet, rotateUntilDeath, workUntilDeath } from '../crashing.ts'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { addShop } from '../governed-writ.ts'
import { startWrit } from '../running-writ.ts'

type CrashPoint = {
  /** `name`, `name:change` or either with `#n`: the n-th time. The sealer works from the start on, so that it is hit in the midst of things. */
  readonly at: string
  /** What leads there; a task with a lease that makes a table, unless said. */
  readonly by?: 'rotate' | 'add'
  readonly alsoOnPostgres?: true
}

/** After some of them a lease waits for 15 to 20 s until the next server takes it up: those come first, and wait side by side. */
const POINTS: readonly CrashPoint[] = [
  { at: 'lease.intended.after_commit#2' },
  { at: 'lease.minted.before_record#2', alsoOnPostgres: true },
  { at: 'lease.minted.before_commit#2' },
  { at: 'store.before_commit:lease.activate#2' },
  { at: 'lease.withdraw.before_backend' },
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
  { at: 'store.before_commit:task.end' },
  { at: 'store.after_commit:task.end' },
  { at: 'backend.rotate.before_backend', by: 'rotate' },
  { at: 'backend.rotate.before_record', by: 'rotate' },
  { at: 'store.after_commit:backend.take_next_secret', by: 'rotate' },
  { at: 'backend.add.before_record#2', by: 'add' },
]

test('every point at which the server can be made to die is in this table', () => {
  const source = fileURLToPath(new URL('../../src', import.meta.url))
  const files = globSync('**/*.ts', { cwd: source, exclude: ['**/*.test.ts', 'platform/failpoint.ts'] })
  const texts = files.map((file) => readFileSync(`${source}/${file}`, 'utf8'))
  const named = new Set(texts.flatMap((text) => [...text.matchAll(/\bfailpoint\('([^']+)'/g)].map(([, name]) => name!)))
  const tried = new Set(POINTS.map(({ at }) => at.split(/[:#]/)[0]!))
  // The migrations' own crash test stands beside the store.
  assert.deepEqual([...named].filter((name) => !name.startsWith('migrate.') && !tried.has(name)), [])
  assert.ok(new Set(POINTS.map(({ at }) => at)).size >= 15)
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
      const writ = await startWrit({ store, env: { WRIT_FAILPOINT: at } })
      t.after(async () => {
        await writ.stop()
        if (shop !== shared) await shop.remove()
      })
      await addShop(writ, shop)
      const worker = await writ.register('worker')
      const known = nothingYet()
      if (by === 'rotate') await rotateUntilDeath(writ)
      else if (by === 'add') await addUntilDeath(writ, shop)
      else await workUntilDeath(writ, worker, known)
      await writ.restart({ WRIT_FAILPOINT: undefined })
      await assertNothingLost(writ, shop, known)
      await assertStillWorks(writ, worker)
    })
  }
})
