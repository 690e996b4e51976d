import assert from 'node:assert/strict'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as backends from '@writ/contract/backends'
import * as events from '@writ/contract/events'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { ask, startCluster, type Cluster } from '../../../../scripts/postgres-cluster.ts'
import { canary, filesBelow, heardIn, visibleOf, type Canary } from '../canaries.ts'
import { eventually } from '../eventually.ts'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { DDL, leased, login, opened, shopBody } from '../governed-writ.ts'
import { closureOf } from '../proofs.ts'
import { REGISTRATION, startWrit, type Got, type RunningWrit, type TestIdentity } from '../running-writ.ts'
import { STORES } from '../store-of-writ.ts'

/** What Writ mints, wherever and of whomever; the two that only the server ever knows are found by their shape. */
const MINTED = /writ_(op|pg|first|hook)_[A-Za-z0-9_-]{49}/

for (const store of STORES) {
  describe(`no secret is left behind by a Writ on ${store}`, { skip: process.platform === 'linux' ? false : 'reads /proc' }, () => {
    let cluster: Cluster
    let shop: GovernedPostgres
    let writ: RunningWrit
    let agent: TestIdentity
    let logFrom = 0
    let began = 0
    const canaries: Canary[] = []
    const answers: string[] = []

    before(async () => {
      cluster = await startCluster({ version: 18 })
      shop = await governedPostgres(18, cluster)
      await ask(cluster.url(), 'create database writ')
      // Setting the stage says the administrator's secret aloud; from here on the server writes down every statement.
      await ask(cluster.url(), 'alter system set log_statement = \'all\'')
      await ask(cluster.url(), 'alter system set log_min_duration_statement = 0')
      await ask(cluster.url(), 'select pg_reload_conf()')
      logFrom = readFileSync(cluster.logFile).length
      began = Date.now()
      writ = await startWrit({ env: { WRIT_LOG: 'trace', ...(store === 'postgres' ? { WRIT_DATABASE_URL: cluster.url('writ') } : {}) } })
    })
    after(async () => {
      await writ?.stop()
      await cluster?.stop('immediate')
    })

    const assertSilent = (place: string, bytes: Uint8Array | string): void => {
      const text = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
      assert.deepEqual(heardIn(text, canaries), [], place)
      const minted = MINTED.exec(Buffer.from(text).toString('latin1'))
      assert.equal(minted, null, `${place} holds something that Writ has minted`)
    }

    test('through a whole life: sign-in, back end, rotation, webhook, leases, certificate', async () => {
      const keys = join(writ.folder, 'data-keys')
      canaries.push(
        canary('the administrator\'s secret', shop.administratorSecret), canary('the operator key', writ.operatorKey),
        canary('the master key', Buffer.from(readFileSync(join(keys, 'master.key'), 'utf8').trim(), 'base64')),
        ...['human', 'non-human'].map((stream) => canary(`the ${stream} log's key`, Buffer.from(readFileSync(join(keys, `log-${stream}.key`), 'utf8').replaceAll(/-----.*?-----|\s/g, ''), 'base64').subarray(-32))),
      )
      const added = await writ.operator(backends.addBackend, { body: { ...shopBody(shop), rotate: true } })
      assert.equal(added.status, 201, added.text)
      answers.push(added.text)
      assert.equal((await writ.operator(backends.testBackend, { parameters: { name: 'shop' } })).status, 200)
      const hooked = await writ.operator(registry.registerIdentity, { body: { ...REGISTRATION, spiffe_id: 'spiffe://acme.example/hooked', trigger: { kind: 'webhook' } } })
      canaries.push(canary('the webhook\'s secret', hooked.reply.webhook!.secret))
      agent = await writ.register('agent')
      const assertion = agent.assertion()
      canaries.push(canary('a client assertion', assertion), canary('its signature', assertion.split('.')[2]!))
      const once = writ.as(() => assertion)
      assert.equal((await once(registry.whoAmI)).status, 200)
      for (let round = 0; round < 3; round++) {
        const task = await opened(agent)
        const lease = await leased(agent, task, { 'idempotency-key': `canary-${round}` })
        canaries.push(canary(`lease ${round}'s secret`, lease.secret))
        assert.deepEqual(heardIn(Buffer.from(JSON.stringify(lease)), canaries), [`lease ${round}'s secret as raw`], 'the one place where it may be')
        const session = await login(lease)
        await session.query('create table if not exists shop.made (id int)')
        await session.end()
        await agent.api(tasks.completeTask, { parameters: { id: task } })
        assert.equal((await closureOf(writ, agent.api, task)).outcome, 'proved')
        answers.push((await agent.api(tasks.certificate, { parameters: { id: task } })).text, (await agent.api(tasks.showTask, { parameters: { id: task } })).text)
      }
      assert.ok(canaries.length >= 11)
      // A live one stays behind: its secret is sealed in the store now.
      canaries.push(canary('the live lease\'s secret', (await leased(agent, await opened(agent))).secret))
    })

    test('not in the answers to 50 requests that go wrong with a secret in them', async () => {
      const secrets = [shop.administratorSecret, writ.operatorKey]
      const wrong: Promise<Got<unknown>>[] = []
      for (const secret of secrets) {
        for (const body of [
          { ...shopBody(shop), secret }, { ...shopBody(shop), name: 'shop2', secret: `${secret}x` }, { ...shopBody(shop), name: 'shop3', secret, settings: { ...shop.settings, port: 1 } },
          { ...shopBody(shop), name: 'shop4', secret, settings: { ...shop.settings, database: 'nothing' } }, { ...shopBody(shop), name: 'shop5', secret, settings: { ...shop.settings, user: 'nobody' } },
          { ...shopBody(shop), name: 'shop6', secret, more: 1 }, { ...shopBody(shop), name: 'shop7', secret: { value: secret } }, { ...shopBody(shop), name: 'shop8', secret: [secret] },
          { ...shopBody(shop), name: 'shop9', secret, templates: {} }, { ...shopBody(shop), name: 'shop10', secret, kind: secret }, `{"secret":"${secret}","secret":"${secret}"}`, `{"secret":"${secret}"`,
          `{"secret":${secret}}`, `"${secret}"`, `[["${secret}"]]`,
        ]) wrong.push(writ.operator(backends.addBackend, { body }))
        for (const bearer of [`${secret}x`, `x${secret}`, `${secret}.${secret}.${secret}`, secret.slice(0, -1), secret.toUpperCase()]) wrong.push(writ.as(() => bearer)(registry.whoAmI))
        for (const code of [secret, `writ_first_${secret}`]) wrong.push(writ.stranger(registry.redeemBootstrap, { body: { code, operator: 'me' } }))
        wrong.push(writ.stranger(registry.redeemBootstrap, { body: { code: 'x', [secret.slice(0, 5)]: secret } }))
        wrong.push(writ.operator(registry.registerIdentity, { body: { ...REGISTRATION, spiffe_id: 'spiffe://acme.example/x', key: { kty: 'EC', crv: 'P-256', d: secret } } }))
        wrong.push(writ.operator(registry.registerIdentity, { body: { ...REGISTRATION, spiffe_id: 'spiffe://acme.example/x', key: { kty: 'oct', k: secret } } }))
      }
      const used = agent.assertion()
      canaries.push(canary('a used assertion', used))
      await writ.as(() => used)(registry.whoAmI)
      for (let i = 0; i < 3; i++) wrong.push(writ.as(() => used)(registry.whoAmI))
      const got = await Promise.all(wrong)
      assert.ok(got.length >= 50)
      for (const [i, one] of got.entries()) {
        assert.ok(one.status >= 400, `request ${i} went well: ${one.text}`)
        answers.push(one.text, JSON.stringify([...one.headers]))
      }
      // The second time the secret of a lease is asked for, after it ended.
      const gone = await agent.api(tasks.issueLease, { parameters: { id: 'tsk_none' }, body: DDL, headers: { 'idempotency-key': 'canary-0' } })
      answers.push(gone.text)
      for (const answer of answers) assertSilent('an answer', answer)
    })

    test('not in the events, the exported logs or the lists', async () => {
      await eventually('everything is sealed', async () => (await writ.stranger(events.listLogs)).reply.logs.every((log) => log.unsealed === 0))
      for (const stream of ['human', 'non-human'] as const) {
        assertSilent(`events of ${stream}`, (await writ.operator(events.listEvents, { query: { stream, limit: '1000' } })).text)
        assertSilent(`export of ${stream}`, (await writ.operator(events.exportLog, { parameters: { stream } })).text)
      }
      for (const path of ['backends', 'identities', 'findings', 'incidents', 'issuers', 'tasks']) {
        const answer = await fetch(`${writ.url}/v1/${path}`, { headers: { authorization: `Bearer ${writ.operatorKey}` } })
        assert.equal(answer.status, 200, path)
        assertSilent(path, await answer.text())
      }
      for (const path of ['metrics', 'openapi.json', 'docs', 'readyz', 'oauth/jwks', '.well-known/oauth-authorization-server']) {
        const answer = await fetch(`${writ.url}/${path}`)
        assert.equal(answer.status, 200, path)
        assertSilent(path, await answer.text())
      }
    })

    test('not in what others see of its processes', () => {
      const visible = visibleOf(`WRIT_DATA=${join(writ.folder, 'data')}`)
      assert.ok(visible.size >= 2)
      for (const [place, bytes] of visible) assertSilent(place, bytes)
    })

    test('not in its log at the level trace, and not in the log of the PostgreSQL it governs', () => {
      assert.match(writ.log(), /"level":/)
      assertSilent('the server\'s log', writ.log())
      const said = readFileSync(cluster.logFile).subarray(logFrom)
      assert.match(said.toString(), /statement: .*create role/i)
      assertSilent('PostgreSQL\'s log', said)
    })

    test('not in its store, dead or alive', async () => {
      if (store === 'sqlite') {
        const files = filesBelow(join(writ.folder, 'data')).filter((path) => !path.endsWith('/bootstrap'))
        assert.ok(files.some((path) => path.endsWith('writ.db')) && files.some((path) => path.endsWith('-wal')))
        for (const path of files) assertSilent(path, readFileSync(path))
        return
      }
      await ask(cluster.url(), 'checkpoint')
      const files = filesBelow(cluster.dataDir).filter((path) => statSync(path).mtimeMs >= began)
      assert.ok(files.some((path) => path.includes('pg_wal/')))
      for (const path of files) assertSilent(path, readFileSync(path))
    })
  })
}
