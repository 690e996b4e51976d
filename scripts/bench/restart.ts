import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { health, ready } from '@writ/contract/registry'
import { startWrit } from '../../packages/server/test/running-writ.ts'
import { figure, percentile, type Measure } from './figure.ts'
import { cpuOf } from './machine.ts'

const LEASES = 100_000
const PER_TASK = 100
const BAR_MS = 5000

/** From starting the process to its first `ready`, with so many live leases in the store. */
export const restart: Measure = async ({ isQuick, tell }) => {
  const leases = isQuick ? 10_000 : LEASES
  tell(`${leases} live leases in the store`)
  const writ = await startWrit({ env: { WRIT_LOG: 'warn' } })
  try {
    const { id } = await writ.register('holder')
    await writ.kill('SIGTERM')
    fill(join(writ.folder, 'data', 'writ.db'), id, leases)
    const took: number[] = []
    let cpu = 0
    const runs = isQuick ? 2 : 5
    for (let run = 0; run < runs; run++) {
      tell(`restart ${run + 1} of ${runs}`)
      const before = performance.now()
      await writ.restart()
      for (;;) {
        const got = await writ.stranger(ready)
        if (got.status === 200) break
      }
      took.push(performance.now() - before)
      cpu += cpuOf(writ.pid()) ?? Number.NaN
      if ((await writ.stranger(health)).status !== 200) throw new Error('not healthy')
      await writ.kill('SIGKILL')
    }
    return [figure(`restart with ${leases.toLocaleString('en')} live leases (sqlite)`, runs, {
      p50: percentile(took, 0.5), p99: percentile(took, 0.99), cpuPerOp: Number.isNaN(cpu) ? null : cpu / runs,
      bar: 'ready <= 5 s with 1,000,000', isReached: percentile(took, 0.99) <= BAR_MS,
    })]
  } finally {
    await writ.stop()
  }
}

/** Rows as the changes would have written them, past Writ: a hundred leases to a task, all of them good for an hour. */
function fill(file: string, identity: string, leases: number): void {
  const database = new DatabaseSync(file, { timeout: 5000 })
  const [now, until] = [Date.now(), Date.now() + 3_600_000]
  database.exec(`
    begin;
    insert into backend (id, name, kind, settings, templates, sealed_secret, version, state, added_at)
      values ('bck_bench', 'shop', 'postgres', '{"host":"127.0.0.1","port":1,"database":"shop","user":"writ","tls":"disable"}', '[]', 'sealed', '18', 'active', ${now});
    with recursive n(i) as (select 1 union all select i + 1 from n where i < ${leases / PER_TASK})
    insert into task (id, identity_id, root_id, depth, depth_left, purpose, authority, opened_at, deadline, budget_calls, calls_used, idle_timeout, heartbeat, last_heard_at, last_call_at, state, due_at)
      select 'tsk_' || i, '${identity}', 'tsk_' || i, 0, 3, 'measures', '[{"type":"postgres","resource":"shop","action":"read","limits":{}}]', ${now}, ${until}, 1000, ${PER_TASK}, 3600000, 3600000, ${now}, ${now}, 'open', ${until} from n;
    with recursive n(i) as (select 0 union all select i + 1 from n where i < ${leases - 1})
    insert into lease (id, task_id, identity_id, backend_id, template, handle, sealed_secret, state, intended_at, minted_at, expires_at, control, attempts, due_at)
      select 'lse_' || i, 'tsk_' || (i / ${PER_TASK} + 1), '${identity}', 'bck_bench', 'read', 'writ_bench_' || i, 'sealed', 'live', ${now}, ${now}, ${until}, '{"ok":true,"tookMs":2}', 0, ${until} from n;
    commit`)
  database.close()
}
