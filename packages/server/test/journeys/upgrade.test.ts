import assert from 'node:assert/strict'
import { createPrivateKey, randomBytes, sign } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { linesOf } from '@writ/ledger/lines'
import { verifyLog } from '@writ/ledger/log'
import * as events from '@writ/contract/events'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { nodePrimitives } from '../../../ledger/offline/primitives.ts'
import { MIGRATIONS } from '../../src/store/migrations/all.ts'
import { eventually } from '../eventually.ts'
import { knownOf, loadRelease, type Known } from '../fixtures/load.ts'
import { complete, open, opened } from '../governed-writ.ts'
import { allEvents, assertLogsHold, closureIn, closureOf, keyOf } from '../proofs.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'
import { ISSUER } from '../several-writs.ts'
import { askFile } from '../store-of-writ.ts'
import { ask } from '../../../../scripts/postgres-cluster.ts'

const RELEASE = 1
const known = knownOf(RELEASE)

/** Who had registered with the release before, with the key that it had then. */
export function keeperOf(writ: RunningWrit, { keeper }: Known): TestIdentity {
  const privateKey = createPrivateKey({ key: keeper.privateKey as never, format: 'jwk' })
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const assertion: TestIdentity['assertion'] = (more) => {
    const now = Math.floor(Date.now() / 1000)
    const claims = { iss: keeper.spiffeId, sub: keeper.spiffeId, aud: ISSUER, iat: now, exp: now + 60, jti: randomBytes(16).toString('hex'), ...more }
    const input = `${part({ alg: 'ES256' })}.${part(claims)}`
    return `${input}.${sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
  }
  return { id: keeper.id, spiffeId: keeper.spiffeId, privateKey, assertion, api: writ.as(() => assertion()) }
}

const migrationsOf = async (writ: RunningWrit): Promise<readonly (readonly [string, number])[]> => {
  const text = 'select name, applied_by from migration order by name'
  const rows = writ.databaseUrl === undefined ? askFile(`${writ.folder}/data/writ.db`, text) : await ask(writ.databaseUrl, text)
  return rows.map((row) => [String(row['name']), Number(row['applied_by'])])
}

for (const store of ['sqlite', 'postgres'] as const) {
  describe(`a store of release ${RELEASE}, on ${store}, brought forward`, () => {
    let writ: RunningWrit
    let keeper: TestIdentity
    before(async () => {
      writ = await startWrit({ store, operatorKey: known.operatorKey, prepare: (env) => loadRelease(RELEASE, env), env: { WRIT_ISSUER: ISSUER, WRIT_LOG: 'warn' } })
      keeper = keeperOf(writ, known)
    })
    after(() => writ.stop())

    test('has every migration once, and those of its own release as they were', async () => {
      const applied = await migrationsOf(writ)
      assert.deepEqual(applied.map(([name]) => name), MIGRATIONS.map((one) => one.name))
      const own = MIGRATIONS.filter((one) => one.release === RELEASE).map((one) => one.name)
      assert.ok(own.length > 0)
      for (const [name, by] of applied) assert.equal(by === RELEASE, own.includes(name), name)
    })

    test('goes on with the same logs: what an auditor had kept of them still holds', async () => {
      await assertLogsHold(writ)
      for (const { stream, vkey, checkpoint, size } of known.logs) {
        const exported = await writ.operator(events.exportLog, { parameters: { stream } })
        const verified = verifyLog(nodePrimitives, keyOf(vkey), linesOf([Buffer.from(exported.text)]), [checkpoint])
        assert.ok(verified.ok, verified.ok ? '' : verified.refusal.detail)
        assert.ok(verified.value.checkpoint.size >= (stream === 'human' ? size : size + 1))
      }
      const key = keyOf(known.logs.find((log) => log.stream === 'non-human')!.vkey)
      const then = closureIn(key, known.certificate)
      const now = await closureOf(writ, writ.operator, known.done)
      assert.deepEqual([then.outcome, now.outcome, now.leases.length], ['proved', 'proved', 1])
      assert.deepEqual(now.leases[0]?.end, then.leases[0]?.end)
    })

    test('ends the tasks that it finds overdue, and opens new ones for who was registered before', async () => {
      for (const id of known.open) {
        const closure = await eventually('it is closed', async () => {
          const got = await writ.operator(tasks.showTask, { parameters: { id } })
          return got.reply.state === 'closed' ? got.reply : undefined
        })
        assert.match(String(closure.end_reason), /^(deadline|silence)$/)
      }
      const id = await opened(keeper)
      assert.equal((await complete(keeper, id)).status, 200)
      assert.equal((await closureOf(writ, keeper.api, id)).reason, 'completed')
    })

    test('keeps what was decided: the retired stay retired, the suspended may be resumed, and every event is shown', async () => {
      const stateOf = async (id: string) => (await writ.operator(registry.showIdentity, { parameters: { id } })).reply.state
      assert.deepEqual([await stateOf(known.retired), await stateOf(known.suspended)], ['retired', 'suspended'])
      const resume = (id: string) => writ.operator(registry.resumeIdentity, { parameters: { id }, body: { reason: 'the test says so' } })
      assert.equal((await resume(known.retired)).problem.code, 'identity_retired')
      assert.equal((await resume(known.suspended)).status, 200)
      const types = (await allEvents(writ)).map((event) => event.type)
      for (const type of ['server.started', 'identity.registered', 'identity.retired', 'task.opened', 'lease.ended', 'task.closed']) assert.ok(types.includes(type), type)
      assert.equal((await open(keeper, { authorization_details: [{ type: 'postgres', locations: ['shop'], actions: ['drop'] }] })).problem.code, 'grant_not_covered')
    })
  })
}
