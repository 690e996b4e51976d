import assert from 'node:assert/strict'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { startCluster, type Cluster } from '../../../../scripts/postgres-cluster.ts'
import { eventually } from '../../../server/test/eventually.ts'
import { estateForFile, newestTask } from '../estate.ts'
import { startWrit, writ } from '../run-writ.ts'

let cluster: Cluster
const estate = estateForFile({
  // Long enough that the attempts go on past the end of writ run, short enough to wait for.
  env: { WRIT_RETRY_BASE: '1s' },
  async at() {
    cluster = await startCluster({ version: 18 })
    return cluster
  },
})
after(() => cluster?.stop('immediate'))

const LEFT = ['run', '--timeout', '4s', '--for', 'migrate', '--grant', 'postgres:shop:ddl', '--grant', 'postgres:shop:read', '--certificate', 'late.json', '--', '/bin/sh', '-c', 'echo ready; while [ ! -e go ]; do sleep 0.05; done']

test('when PostgreSQL is down at the end, the certificate waits, writ run says what is open and how to get it, and it comes when PostgreSQL is back', async () => {
  const { stage } = estate()
  const running = startWrit(stage, LEFT)
  await running.saw('ready')
  await cluster.halt('immediate')
  writeFileSync(join(stage.folder, 'go'), '')
  const done = await running.ended
  const task = await newestTask(estate())
  assert.equal(done.code, 8, done.err)
  assert.equal(existsSync(join(stage.folder, 'late.json')), false)
  for (const lease of task.leases) assert.match(done.err, new RegExp(`^writ: lease ${lease.id} \\(${lease.user} on shop\\) is not proved dead yet: (withdrawing|stuck)`, 'm'))
  assert.match(done.err, new RegExp(`writ task certificate ${task.id} late\\.json`))
  assert.equal(task.end_reason, 'completed')

  const early = await writ(stage, ['task', 'certificate', task.id, 'late.json', '--timeout', '500ms'])
  assert.deepEqual([early.code, existsSync(join(stage.folder, 'late.json'))], [8, false], early.err)
  await cluster.resume()
  const late = await eventually('the certificate is written', async () => {
    const asked = await writ(stage, ['task', 'certificate', task.id, 'late.json'])
    return asked.code === 0 && asked
  })
  assert.match(late.err, /certificate kept in late\.json/)
  const verified = await writ(stage, ['verify', '--key', 'late.json.key', 'late.json'])
  assert.equal(verified.code, 0, verified.err)
  assert.match(verified.out, /outcome: proved/)
})
