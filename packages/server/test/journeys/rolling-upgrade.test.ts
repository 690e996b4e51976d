import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { verifyCertificate } from '@writ/ledger/certificate'
import { nodePrimitives } from '../../../ledger/offline/primitives.ts'
import { MIGRATIONS } from '../../src/store/migrations/all.ts'
import { ask as askDatabase } from '../../../../scripts/postgres-cluster.ts'
import { CHILD_ENVIRONMENT } from '../child-environment.ts'
import { eventually } from '../eventually.ts'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { addShop, ask, complete, handlePrefixOf, leased, login, open, opened, refusalOf, show } from '../governed-writ.ts'
import { keptIn } from '../kept.ts'
import { askToken, introspect, NEW_TASK, proofKey } from '../oauth-client.ts'
import { missingRelease, unpackRelease, type PastRelease } from '../past-release.ts'
import { allEvents, assertLogsHold, closureOf, eventsOf, logKey } from '../proofs.ts'
import { refusedStart } from '../refused-start.ts'
import { REGISTRATION, startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'
import { ISSUER, keysOf } from '../several-writs.ts'

const RELEASE = 1
/** What release 1 asks of a registration: it refuses what it does not know. */
const KNOWN_THEN = ['admission', 'kind', 'class', 'purpose', 'owners', 'system_scope', 'environment', 'authority', 'ends_at', 'trigger']
const AS_OF_THEN = Object.fromEntries(Object.keys(REGISTRATION).filter((field) => !KNOWN_THEN.includes(field)).map((field) => [field, undefined]))
/** R72, as R19 asks of what is stopped. */
const REFUSED_WITHIN_MS = 1000

describe(`a server of release ${RELEASE} and one of today on one database`, { skip: missingRelease(RELEASE) ?? false }, () => {
  let past: PastRelease
  let shop: GovernedPostgres
  let older: RunningWrit
  let newer: RunningWrit
  let worker: TestIdentity
  const env = { WRIT_ISSUER: ISSUER, WRIT_LOG: 'warn' }
  const through = (writ: RunningWrit, identity: TestIdentity): TestIdentity => ({ ...identity, api: writ.as(() => identity.assertion()) })
  const both = (): readonly (readonly [here: RunningWrit, there: RunningWrit, name: string])[] =>
    [[older, newer, `opened on release ${RELEASE}`], [newer, older, 'opened on today\'s']]

  /**
   * What today's verifier says of a certificate that this server gives. Today's servers say in a task's end how often it was widened, and
   * the summary of one that knows nothing of it leaves that out: what counts is in the receipts, and any server of today gives the whole.
   */
  async function certificateFrom(writ: RunningWrit, id: string): Promise<string> {
    const got = await writ.operator(tasks.certificate, { parameters: { id }, query: { wait_seconds: '30' } })
    assert.equal(got.status, 200, got.text)
    const verified = verifyCertificate(nodePrimitives, await logKey(writ), got.text)
    return verified.ok ? 'holds' : verified.refusal.kind
  }

  before(async () => {
    past = unpackRelease(RELEASE)
    shop = await governedPostgres(18)
    older = await startWrit({ store: 'postgres', program: past.program, env })
    await addShop(older, shop)
    worker = await older.register('worker', AS_OF_THEN)
    const id = await opened(worker)
    const lease = await leased(worker, id)
    await (await login(lease)).end()
    await complete(worker, id)
    assert.equal((await closureOf(older, worker.api, id)).outcome, 'proved')
    newer = await startWrit({ operatorKey: older.operatorKey, env: { ...env, WRIT_DATABASE_URL: older.databaseUrl, WRIT_KEYS: keysOf(older) } })
  })
  after(async () => {
    await newer?.stop()
    await older?.stop()
    await shop?.remove()
    past?.remove()
  })

  test('the newer one has brought the schema forward while the other serves, and both are ready', async () => {
    const applied = await askDatabase(newer.databaseUrl!, 'select name, applied_by from migration order by name')
    assert.deepEqual(applied.map((row) => row['name']), MIGRATIONS.map((one) => one.name))
    assert.deepEqual(applied.map((row) => Number(row['applied_by']) === RELEASE), MIGRATIONS.map((one) => one.release === RELEASE))
    for (const writ of [older, newer]) await eventually('readiness', async () => (await writ.stranger(registry.ready)).status === 200)
    assert.equal((await older.operator({ ...registry.ready, path: '/oauth/jwks' })).status, 404, 'it is the older program that answers here')
  })

  test('a task of either is used and ended on the other, and its lease is proved to have ended', async () => {
    for (const [here, there, name] of both()) {
      const [by, beside] = [through(here, worker), through(there, worker)]
      const id = await opened(by)
      const lease = await leased(beside, id)
      const session = await login(lease)
      const cut = new Promise((resolve) => { session.once('end', resolve) })
      assert.equal((await beside.api(tasks.heartbeat, { parameters: { id }, body: { calls: 2 } })).status, 200)
      assert.equal((await show(by, id)).reply.budget.used, 3, 'a lease takes one')
      const second = await leased(by, id)
      assert.equal((await complete(beside, id)).status, 200)
      await cut
      const closure = await closureOf(newer, newer.operator, id)
      assert.deepEqual([closure.reason, closure.outcome, closure.leases.length], ['completed', 'proved', 2], name)
      for (const { end } of closure.leases) assert.deepEqual(end.kind === 'ended' && [end.outcome, end.probe.kind === 'refused' && end.probe.code], ['proved', '28P01'], name)
      assert.deepEqual(await certificateFrom(older, id), there === older ? 'holds' : 'wrong_summary', name)
      for (const one of [lease, second]) assert.equal(await refusalOf(one), '28P01')
    }
  })

  test(`what is revoked on either is refused on the other within ${REFUSED_WITHIN_MS} ms, and nothing is written for it`, async () => {
    for (const [here, there, name] of both()) {
      const bot = await here.register(`stopped-${here === older ? 'older' : 'newer'}`, AS_OF_THEN)
      const id = await opened(through(there, bot))
      const asked = performance.now()
      const answer = await here.operator(registry.suspendIdentity, { parameters: { id: bot.id }, body: { reason: 'it misbehaves' } })
      assert.equal(answer.status, 200, answer.text)
      const refused = await open(through(there, bot))
      assert.ok(performance.now() - asked < REFUSED_WITHIN_MS, name)
      assert.ok([401, 403].includes(refused.status), refused.text)
      await closureOf(newer, newer.operator, id)
      const before = await keptIn(newer)
      assert.ok([401, 403, 404].includes((await ask(through(there, bot), id)).status))
      assert.ok([401, 403, 404].includes((await open(through(there, bot))).status))
      assert.deepEqual(await keptIn(newer), before, name)

      const ended = await opened(through(there, worker))
      assert.equal((await here.operator(tasks.endTask, { parameters: { id: ended }, body: { reason: 'it misbehaves' } })).status, 200)
      const late = await ask(through(there, worker), ended)
      assert.deepEqual([late.status, late.problem.code], [409, 'task_not_open'], late.text)
      assert.equal((await eventsOf(newer, ended)).filter((event) => event.type.startsWith('lease.')).length, 0)
    }
  })

  test('an access token whose task the older one ends is dead at once; the newer records its end when its time is over', async () => {
    const key = await proofKey()
    const told = await askToken(newer, worker, { ...NEW_TASK, ttl_seconds: '4' }, { proof: key.proof({ htu: `${ISSUER}/oauth/token` }) })
    assert.equal(told.status, 200, told.text)
    const { access_token: token, task } = told.reply
    assert.equal((await introspect(newer, token))['active'], true)
    const lease = await leased(through(older, worker), task)
    const asked = performance.now()
    assert.equal((await complete(through(older, worker), task)).status, 200)
    assert.equal((await introspect(newer, token))['active'], false)
    assert.ok(performance.now() - asked < REFUSED_WITHIN_MS)
    assert.equal(await eventually('its login is dead', async () => refusalOf(lease).catch(() => undefined)), '28P01')
    const over = await eventually('the end of the token is recorded', async () => (
      (await eventsOf(newer, task)).find((event) => event.type === 'lease.ended' && event.facts['backend_kind'] === 'access_token')))
    assert.equal(over.facts['outcome'], 'proved')
    // The closing that the older one writes can't name the token. No server makes a certificate of it that leaves the token out.
    await eventually('the task is closed', async () => (await show({ api: newer.operator }, task)).reply.state === 'closed')
    for (const writ of [older, newer]) assert.notEqual((await writ.operator(tasks.certificate, { parameters: { id: task }, query: { wait_seconds: '1' } })).status, 200)
  })

  test('when the older one is killed, the newer one ends what that one had opened; every event has its place, and both logs hold', async () => {
    const by = through(older, worker)
    const id = await opened(by)
    const lease = await leased(by, id)
    await older.kill()
    const beside = through(newer, worker)
    assert.equal((await complete(beside, id)).status, 200)
    const closure = await closureOf(newer, beside.api, id)
    assert.deepEqual([closure.outcome, closure.leases.length], ['proved', 1])
    assert.equal(await refusalOf(lease), '28P01')
    await assertLogsHold(newer)
    assert.deepEqual(await shop.rolesNamed(await handlePrefixOf(newer)), [])
    assert.deepEqual((await newer.operator(registry.listIncidents)).reply.incidents, [])
  })

  test(`a server of release ${RELEASE} does not start on what today's has brought forward: it says why, and changes nothing`, async () => {
    const before = [await keptIn(newer), (await allEvents(newer)).length]
    const { code, said } = await refusedStart({
      ...env, ...CHILD_ENVIRONMENT, WRIT_PORT: '0', WRIT_DATA: `${older.folder}/data`, WRIT_KEYS: keysOf(older), WRIT_DATABASE_URL: newer.databaseUrl,
    }, past.program)
    assert.equal(code, 78)
    const newest = MIGRATIONS.at(-1)!.release
    assert.ok(said.includes(`the database is of release ${newest} (migration \`0004-widening\`), this program is of release ${RELEASE}`), said)
    assert.match(said, /start the newer Writ, or restore the backup taken before it/)
    assert.deepEqual([await keptIn(newer), (await allEvents(newer)).length], before)
    assert.equal((await newer.stranger(registry.ready)).status, 200)
  })
})
