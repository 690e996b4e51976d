import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync } from 'node:crypto'
import { describe, test } from 'node:test'
import type { Registration } from '@writ/contract/registry'
import type { IdentityId } from '@writ/domain/id'
import { SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import { epochMs, milliseconds, plus, seconds, type EpochMs } from '@writ/domain/time'
import { hostEntropy } from '../../src/platform/entropy.ts'
import { changeIdentity, retireDueIdentities } from '../../src/registry/change-identity.ts'
import { toDraft } from '../../src/registry/draft.ts'
import { BOOTSTRAP_LIVES_MS, offerBootstrap, redeemBootstrap } from '../../src/registry/operators.ts'
import { registerIdentity } from '../../src/registry/register.ts'
import { findIdentity, listCredentials } from '../../src/store/identities.ts'
import { countOperators } from '../../src/store/installation.ts'
import { findTask } from '../../src/store/tasks.ts'
import { newTaskId, openTask } from '../../src/tasks/open-task.ts'
import { OPERATOR } from '../recorded.ts'
import { REGISTRATION } from '../running-writ.ts'
import { storeForSuite, STORES, type StoreOfWrit } from '../store-of-writ.ts'

const DAY = 86_400_000

async function register(writ: StoreOfWrit, name: string, more: object): Promise<IdentityId> {
  const key = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
  const draft = toDraft({ ...structuredClone(REGISTRATION), spiffe_id: `spiffe://acme.example/${name}`, key, ...more } as unknown as Registration)
  if (!draft.ok) return assert.fail(draft.refusal.message)
  const ids = { admission: writ.newId('admission'), identity: writ.newId('identity'), credential: writ.newId('credential') }
  const done = await writ.store.change(registerIdentity, { draft: draft.value, ids, sealedHook: null, by: OPERATOR, now: writ.now() })
  assert.ok(done.ok, JSON.stringify(done))
  return ids.identity
}

async function open(writ: StoreOfWrit, identity: IdentityId, now: EpochMs) {
  const asked = {
    authority: [{ type: 'postgres', resource: 'shop', action: 'ddl', limits: {} }], length: seconds(3600), budgetCalls: 10,
      idleTimeout: seconds(3600), heartbeat: seconds(3600), onBehalfOf: null,
  }
  return writ.store.change(openTask, { id: newTaskId(now, hostEntropy.bytes(10)), identity, parent: null, purpose: 'works', asked, now })
}

async function stateAt(writ: StoreOfWrit, id: IdentityId,
  now: EpochMs): Promise<{ readonly state: string; readonly retired: number; readonly keys: readonly string[] }> {
  const done = await writ.store.change(retireDueIdentities, { now, until: plus(now, milliseconds(30_000)), limit: 200 })
  assert.ok(done.ok)
  const state = (await writ.store.read((db) => findIdentity(db, id)))!.state
  const keys = (await writ.store.read((db) => listCredentials(db, [id]))).map((one) => one.state)
  return { state, retired: done.value, keys }
}

const ACTIVE = { state: 'active', retired: 0, keys: ['live'] } as const
const RETIRED = { state: 'retired', retired: 1, keys: ['revoked'] } as const

async function lastEvents(writ: StoreOfWrit, many: number): Promise<readonly { readonly type: string; readonly facts: Readonly<Record<string,
  unknown>> }[]> {
  const rows = await writ.sql(`select leaf as text from event order by seq desc limit ${many}`)
  return rows.map((row) => JSON.parse(String(row['text'])) as { type: string; facts: Record<string, unknown> }).toReversed()
}

const hash = (text: string): Uint8Array => new Uint8Array(createHash('sha256').update(text).digest())
const redeemIn = (writ: StoreOfWrit, code: string, now: EpochMs) =>
  writ.store.change(redeemBootstrap, { codeHash: hash(code), operator: writ.newId('operator'), name: 'Maya', keyHash: hostEntropy.bytes(32), now })

for (const name of STORES) {
  describe(`what ends by itself, on ${name}`, () => {
    const writ = storeForSuite(name)

    test('an identity that nobody uses for as long as its trigger allows is retired at that instant, by nobody, and not before', async () => {
      const id = await register(writ(), 'unused', { trigger: { kind: 'unused', days: 30 } })
      const start = writ().now()
      assert.deepEqual(await stateAt(writ(), id, epochMs(start + 30 * DAY - 1)), ACTIVE)
      assert.deepEqual(await stateAt(writ(), id, epochMs(start + 30 * DAY)), RETIRED)
      const [retired, revoked] = await lastEvents(writ(), 2)
      assert.deepEqual([retired!.type, retired!.facts['trigger'], revoked!.type, revoked!.facts['because']],
        ['identity.trigger_fired', 'unused', 'credential.revoked', 'identity_retired'])
      assert.deepEqual(await stateAt(writ(), id, epochMs(start + 60 * DAY)), { ...RETIRED, retired: 0 })
    })

    test('use puts it off: the days count from the last task', async () => {
      const id = await register(writ(), 'used', { trigger: { kind: 'unused', days: 30 } })
      const used = epochMs(writ().now() + 20 * DAY)
      const task = await open(writ(), id, used)
      assert.ok(task.ok)
      assert.deepEqual(await stateAt(writ(), id, epochMs(used + 30 * DAY - 1)), ACTIVE)
      assert.deepEqual(await stateAt(writ(), id, epochMs(used + 30 * DAY)), RETIRED)
    })

    test('a suspended identity does not wait for ever: it is retired when its trigger says so', async () => {
      const id = await register(writ(), 'asleep', { trigger: { kind: 'unused', days: 1 } })
      const suspended = await writ().store.change(changeIdentity,
        { identity: id, change: 'suspend', reason: 'a look', by: OPERATOR, now: writ().now() })
      assert.ok(suspended.ok)
      assert.deepEqual(await stateAt(writ(), id, epochMs(writ().now() + DAY)), RETIRED)
    })

    for (const trigger of [{ kind: 'unused', days: 365 }, { kind: 'webhook' }] as const) {
      test(`its end date retires an identity and ends its tasks, whatever else its trigger ${trigger.kind} waits for`, async () => {
        const end = epochMs(writ().now() + 10 * DAY)
        const id = await register(writ(), `dated-${trigger.kind}`, { trigger, ends_at: new Date(end).toISOString() })
        const task = await open(writ(), id, epochMs(end - 60_000))
        assert.ok(task.ok)
        assert.equal(task.value.deadline, end, 'no task outlives its identity')
        assert.deepEqual(await stateAt(writ(), id, epochMs(end - 1)), ACTIVE)
        assert.deepEqual(await stateAt(writ(), id, end), RETIRED)
        const ended = (await writ().store.read((db) => findTask(db, task.value.id)))!
        assert.notEqual(ended.state, 'open')
        assert.equal(ended.endReason, 'identity_retired')
        assert.ok((await lastEvents(writ(), 5)).some((event) => event.type === 'identity.expired'))
        const late = await open(writ(), id, end)
        assert.deepEqual(late.ok ? 'opened' : late.refusal.kind, 'identity_not_active')
      })
    }

    test('an identity past its end opens no task, even before anybody has looked', async () => {
      const end = epochMs(writ().now() + DAY)
      const id = await register(writ(), 'overdue', { ends_at: new Date(end).toISOString() })
      const count = async (): Promise<unknown> =>
        (await writ().sql('select (select count(*) from task) as tasks, (select count(*) from event) as events'))[0]
      const before = await count()
      const late = await open(writ(), id, end)
      assert.deepEqual(late.ok ? 'opened' : late.refusal.kind, 'identity_not_active')
      assert.deepEqual(await count(), before)
    })

    test('two sweepers at once retire each identity once', async () => {
      const ids = await Promise.all(Array.from({ length: 12 }, (_, i) => register(writ(), `swept-${i}`, { trigger: { kind: 'unused', days: 2 } })))
      const now = epochMs(writ().now() + 2 * DAY)
      const before = (await lastEvents(writ(), 10_000)).length
      const claim = { now, until: plus(now, milliseconds(30_000)), limit: 5 }
      let retired = 0
      for (let round = 0; round < 4; round++) {
        const both = await Promise.all([1, 2].map(() => writ().store.change(retireDueIdentities, claim)))
        for (const one of both) retired += one.ok ? one.value : assert.fail()
      }
      const left = await writ().sql('select 1 from identity where due_at <= $1', [now])
      assert.deepEqual([left.length, retired], [0, retired])
      assert.ok(retired >= ids.length)
      assert.equal((await lastEvents(writ(), 10_000)).length - before, 2 * retired)
    })
  })

  describe(`the first sign-in, on ${name}`, () => {
    const writ = storeForSuite(name)
    const redeem = (code: string, now: EpochMs) => redeemIn(writ(), code, now)

    test('of two links that two starts have offered, followed at once, one is worth a key', async () => {
      const codes = [1, 2].map(() => toSecret(SECRET_PREFIX.bootstrap, hostEntropy.bytes(32)))
      const start = writ().now()
      for (const code of codes) await writ().store.change(offerBootstrap,
        { codeHash: hash(code), now: start, expiresAt: plus(start, milliseconds(BOOTSTRAP_LIVES_MS)) })
      const got = await Promise.all(codes.map((code) => redeem(code, start)))
      assert.deepEqual(got.map((one) => String(one.ok)).toSorted(), ['false', 'true'])
      for (const code of codes) assert.equal((await redeem(code, start)).ok, false)
      assert.equal(await writ().store.read(countOperators), 1)
    })

    test('where there is an operator, a link offered all the same is worth nothing', async () => {
      const code = toSecret(SECRET_PREFIX.bootstrap, hostEntropy.bytes(32))
      await writ().store.change(offerBootstrap,
        { codeHash: hash(code), now: writ().now(), expiresAt: plus(writ().now(), milliseconds(BOOTSTRAP_LIVES_MS)) })
      assert.deepEqual(await redeem(code, writ().now()), { ok: false, refusal: { kind: 'bad_code' } })
      assert.equal(await writ().store.read(countOperators), 1)
    })
  })

  describe(`a link's life, on ${name}`, () => {
    const writ = storeForSuite(name)
    const redeem = (code: string, now: EpochMs) => redeemIn(writ(), code, now)

    test('a code is dead after 15 minutes, lives until then, and is worth one key', async () => {
      const start = writ().now()
      const code = toSecret(SECRET_PREFIX.bootstrap, hostEntropy.bytes(32))
      const offered = await writ().store.change(offerBootstrap,
        { codeHash: hash(code), now: start, expiresAt: plus(start, milliseconds(BOOTSTRAP_LIVES_MS)) })
      assert.ok(offered.ok)
      assert.equal(BOOTSTRAP_LIVES_MS, 900_000)
      const operators = () => writ().store.read(countOperators)
      const events = async () => (await lastEvents(writ(), 1000)).length
      const before = await events()
      for (const [what, at] of [[code, start + BOOTSTRAP_LIVES_MS], [code, start + 10 * DAY], [`${code}x`, start]] as const) {
        assert.deepEqual(await redeem(what, epochMs(at)), { ok: false, refusal: { kind: 'bad_code' } })
      }
      assert.deepEqual([await operators(), await events()], [0, before])
      assert.equal((await redeem(code, epochMs(start + BOOTSTRAP_LIVES_MS - 1))).ok, true)
      assert.deepEqual(await redeem(code, epochMs(start + 1)), { ok: false, refusal: { kind: 'bad_code' } })
      assert.deepEqual([await operators(), await events()], [1, before + 1])
    })

    test('not even a superuser of the database gives a used code another life', async () => {
      await assert.rejects(writ().sql('update bootstrap set used_at = null where $1 = $1', [1]), /bootstrap_is_used_once/)
      await assert.rejects(writ().sql('update bootstrap set expires_at = $1', [9e12]), /bootstrap_is_frozen/)
    })
  })
}
