import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto'
import { chmodSync, cpSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ask, startCluster, type Cluster } from '../../../../scripts/postgres-cluster.ts'
import { eventually } from '../eventually.ts'
import { inFull } from '../long.ts'
import { refusedStart } from '../refused-start.ts'
import { startWrit, type RunningWrit } from '../running-writ.ts'
import { askFile, everyRow, STORES, type StoreName } from '../store-of-writ.ts'

const newLogKey = (): string => generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()

/** `ofTheStore`: what is found by comparing with what the store holds; everything else is found before it is opened. */
type Fault = { readonly when: string; readonly spoil: (keys: string) => void; readonly says: RegExp; readonly ofTheStore?: true }

const FAULTS: readonly Fault[] = [
  { when: 'the master key is another one', ofTheStore: true, spoil: (keys) => { writeFileSync(join(keys, 'master.key'), `${randomBytes(32).toString('base64')}\n`) }, says: /sealed under master key `[0-9a-f]{12}`.*put back its own `master.key`/ },
  { when: 'the master key is missing', spoil: (keys) => { renameSync(join(keys, 'master.key'), join(keys, 'lost.key')) }, says: /master\.key` is missing: put back/ },
  { when: 'the whole key directory is missing', ofTheStore: true, spoil: (keys) => { rmSync(keys, { recursive: true }) }, says: /is missing: put back/ },
  { when: 'the master key can be read by others', spoil: (keys) => { chmodSync(join(keys, 'master.key'), 0o644) }, says: /master\.key` is open to other users \(mode 644\): run `chmod 600/ },
  { when: 'others can replace the keys', spoil: (keys) => { chmodSync(keys, 0o777) }, says: /is open to other users \(mode 777\): run `chmod 700/ },
  { when: 'the master key is cut short', spoil: (keys) => { writeFileSync(join(keys, 'master.key'), randomBytes(31).toString('base64')) }, says: /master\.key` does not hold 32 bytes in base64/ },
  { when: 'a log\'s key is missing', spoil: (keys) => { rmSync(join(keys, 'log-human.key')) }, says: /log-human\.key` is missing: put back/ },
  { when: 'a log\'s key is another one', ofTheStore: true, spoil: (keys) => { writeFileSync(join(keys, 'log-human.key'), newLogKey(), { mode: 0o600 }) }, says: /human log is signed by another key than `log-human\.key`: put back/ },
]

for (const store of STORES) {
  describe(`a store on ${store} that exists is left as it is`, () => {
    let writ: RunningWrit
    let env: NodeJS.ProcessEnv
    before(async () => {
      writ = await startWrit({ store })
      await writ.register('somebody')
      await writ.kill('SIGTERM')
      cpSync(join(writ.folder, 'data-keys'), join(writ.folder, 'kept'), { recursive: true })
      env = { WRIT_DATA: join(writ.folder, 'data'), ...(writ.databaseUrl === undefined ? {} : { WRIT_DATABASE_URL: writ.databaseUrl }) }
    })
    after(() => writ.stop())

    for (const { when, spoil, says } of FAULTS.filter(({ ofTheStore }) => store === 'sqlite' || ofTheStore || inFull)) {
      test(`when ${when}: exit 78, the file is named, nothing is written`, async () => {
        const keys = join(writ.folder, 'data-keys')
        const untouched = await fingerprint(writ, store)
        spoil(keys)
        const { code, said } = await refusedStart(env)
        assert.match(said, says)
        assert.equal(code, 78)
        assert.equal(await fingerprint(writ, store), untouched)
        rmSync(keys, { recursive: true, force: true })
        cpSync(join(writ.folder, 'kept'), keys, { recursive: true })
      })
    }

    test('and starts again once its keys are back', async () => {
      await writ.restart()
      await eventually('readiness', async () => (await fetch(`${writ.url}/readyz`)).ok)
    })
  })
}

/** Of the embedded store every byte, of PostgreSQL every row. */
async function fingerprint(writ: RunningWrit, store: StoreName): Promise<string> {
  if (store === 'postgres') return JSON.stringify([...await everyRow({ name: store, sql: (statement, values) => ask(writ.databaseUrl!, statement, values) })])
  const file = join(writ.folder, 'data', 'writ.db')
  askFile(file, 'pragma wal_checkpoint(truncate)')
  return createHash('sha256').update(readFileSync(file)).digest('hex')
}

describe('a PostgreSQL that may lose what it has acknowledged', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ version: 18, settings: { fsync: 'off' } })
    await ask(cluster.url(), 'create database writ')
  })
  after(() => cluster.stop('immediate'))

  const UNSAFE: readonly { readonly setting: string; readonly set: readonly string[] }[] = [
    { setting: 'fsync', set: [] },
    { setting: 'full_page_writes', set: ['alter system set fsync = on', 'alter system set full_page_writes = off', 'select pg_reload_conf()'] },
    { setting: 'synchronous_commit', set: ['alter system reset full_page_writes', 'select pg_reload_conf()', 'alter database writ set synchronous_commit = off'] },
  ]
  for (const { setting, set } of UNSAFE) {
    test(`is refused at the start: \`${setting}\` is off`, async () => {
      for (const statement of set) await ask(cluster.url(), statement)
      const folder = join(cluster.dataDir, '..', `writ-${setting}`)
      const { code, said } = await refusedStart({ WRIT_DATA: folder, WRIT_DATABASE_URL: cluster.url('writ') })
      assert.equal(code, 78, said)
      assert.match(said, new RegExp(`\`${setting} = off\`.*set \`${setting} = on\``))
      assert.ok(!said.includes(cluster.superuserPassword))
      assert.deepEqual(await ask(cluster.url('writ'), 'select table_name from information_schema.tables where table_schema = \'public\''), [])
    })
  }
})
