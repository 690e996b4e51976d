import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { BackendId } from '@writ/domain/id'
import { pino } from 'pino'
import { BackendFault, type Connector } from '../../src/connectors/connector.ts'
import { orphanRound, type OrphanNeeds } from '../../src/jobs/orphans.ts'
import { withdrawals } from '../../src/jobs/withdrawals.ts'
import { bell } from '../../src/platform/bell.ts'
import { hostEntropy } from '../../src/platform/entropy.ts'
import { reachBackends } from '../../src/reach/reach.ts'
import { rotateBackend, settleRotation, type BackendNeeds } from '../../src/registry/backends.ts'
import { addBackend, keepNextSecret } from '../../src/registry/watched.ts'
import { findBackend, secretPlace } from '../../src/store/backends.ts'
import { eventually } from '../eventually.ts'
import { AFTER_ANY_MINT, fakeShop, type FakeShop } from '../fake-shop.ts'
import { FAKE_TEMPLATE, fakeConnector } from '../fakes/connector.ts'
import { done, eventsOf, leaseIn, OPERATOR, openOne } from '../laws/estate.ts'
import { copyLease, STORES, storeOfWrit, type StoreOfWrit } from '../store-of-writ.ts'

const quiet = pino({ level: 'silent' })

const SETTINGS = { host: '127.0.0.1', port: 1, database: 'shop', user: 'writ', tls: 'disable' } as const

async function addBackendTo(of: StoreOfWrit, name: string, secret: string): Promise<BackendId> {
  const id = of.newId('backend')
  return done(of.store.change(addBackend, {
    backend: {
      id, name, kind: 'postgres', settings: SETTINGS, templates: [FAKE_TEMPLATE], sealedSecret: of.keys.secrets.seal(secret, secretPlace(id)),
      nextSealedSecret: null, version: '18', state: 'active', addedAt: of.now(), secretRotatedAt: null,
    },
    by: OPERATOR, cycleMs: 1,
  }))
}

/** A back end that knows one administrator's secret, and is there or not. */
function withAdministrator(secret: string) {
  const back = { secret, there: true }
  const connector = fakeConnector()
  const connect = (_kind: string, _settings: unknown, presented: string): Connector => {
    let current = presented
    const entered = async (): Promise<void> => {
      if (!back.there) throw new BackendFault('no connection', 'ECONNREFUSED')
      if (current !== back.secret) throw new BackendFault('the administrator was refused', '28P01')
    }
    return {
      ...connector,
      list: async (prefix) => {
        await entered()
        return connector.list(prefix)
      },
      rotate: async (next) => {
        await entered()
        back.secret = next
        current = next
      },
    }
  }
  return { back, connector, connect }
}

/** What the search for left-over logins needs, at the fake back end. */
function searching({ of, backend, connector }: FakeShop): OrphanNeeds {
  const reached = {
    id: backend, name: 'shop', templates: [FAKE_TEMPLATE], connector, templateOf: () => FAKE_TEMPLATE, addressOf: () => assert.fail(),
  }
  return {
    store: of.store, clock: of.clock, entropy: hostEntropy, handlePrefix: 'writ_test_', restoredAt: null, log: quiet, settle: async () => {},
    reach: { reach: async () => reached, forget: async () => {}, close: async () => {} },
  }
}

for (const store of STORES) {
  describe(`a back end in trouble, recorded in ${store}`, () => {
    test('one that hangs holds up none of another\'s withdrawals, and is asked once for each lease, however long it takes', async (t) => {
      const shop = await fakeShop(await storeOfWrit(store, t))
      const { of } = shop
      const hanging = fakeConnector({ withdraw: 'hangs' })
      const slow = await addBackendTo(of, 'slow', 'x')
      const task = await openOne(of, { identity: shop.identity, budgetCalls: 1000 })
      await copyLease(of, await leaseIn(of, task, slow, 'live'), 299)
      const waiting = await openOne(of, { identity: shop.identity })
      const quick = await leaseIn(of, waiting, shop.backend, 'live')
      await shop.end(task)
      of.clock.advance(1)
      await shop.end(waiting)
      const jobs = withdrawals({
        ...shop.withdrawing, log: quiet, ended: bell(),
        reach: async (id) => ({ connector: id === slow ? hanging : shop.connector, templateOf: () => FAKE_TEMPLATE }),
      })
      while (await jobs.round()) { /* more at once */ }
      await jobs.round()
      await eventually('the lease of the quick back end ends', async () => (await shop.find(quick)).state === 'ended')
      of.clock.advance(30_000)
      await jobs.round()
      assert.equal(new Set(hanging.calls).size, hanging.calls.length, 'no lease is withdrawn twice at once')
      hanging.mood.withdraw = 'works'
      hanging.release()
      await jobs.settled()
      of.clock.advance(30_000)
      while (await jobs.round()) { /* more at once */ }
      await jobs.settled()
      assert.equal((await of.sql('select id from lease where state <> \'ended\'')).length, 0)
    })

    test('a login with our mark that no lease accounts for is withdrawn in the second round that sees it, once, and is a finding', async (t) => {
      const shop = await fakeShop(await storeOfWrit(store, t))
      const { of, connector } = shop
      const live = await shop.lease(await shop.task())
      connector.logins.set('writ_test_left_over', 'x').set('somebody_else', 'x')
      const round = orphanRound(searching(shop))
      await round()
      assert.equal(connector.logins.size, 3, 'a login may just be coming or going')
      await round()
      await round()
      assert.deepEqual([...connector.logins.keys()].toSorted(), ['somebody_else', live.handle].toSorted())
      assert.deepEqual((await eventsOf(of, 'orphan.withdrawn', 'finding.raised')).map((event) => event.type), ['finding.raised', 'orphan.withdrawn'])
    })

    test('a login with our mark that can not be withdrawn is one finding however often it is tried, and withdrawn once it can be', async (t) => {
      const shop = await fakeShop(await storeOfWrit(store, t), { withdraw: '55000' })
      const { of, connector } = shop
      connector.logins.set('writ_test_left_over', 'x')
      const round = orphanRound(searching(shop))
      for (let i = 0; i < 4; i++) await round()
      assert.equal(connector.calls.length, 2)
      assert.deepEqual((await eventsOf(of, 'orphan.withdrawn', 'finding.raised')).map((event) => event.type), ['finding.raised'])
      connector.mood.withdraw = 'works'
      for (let i = 0; i < 2; i++) await round()
      assert.equal(connector.logins.size, 0)
      assert.deepEqual((await eventsOf(of, 'orphan.withdrawn', 'finding.raised')).map((event) => event.type), ['finding.raised', 'orphan.withdrawn'])
    })

    test('a login that a slow back end makes after its lease was given up is found and withdrawn, and its secret was never shown', async (t) => {
      const shop = await fakeShop(await storeOfWrit(store, t), { mint: 'hangs' })
      const { of, connector } = shop
      const issuing = shop.issue(await shop.task())
      await eventually('the back end is asked', () => connector.calls.length === 1)
      of.clock.advance(AFTER_ANY_MINT)
      const [given] = await shop.sweep()
      assert.equal((await shop.find(given!)).outcome, 'never_issued')
      connector.release()
      const got = await issuing
      assert.equal(!got.ok && got.refusal.kind, 'stopped_meanwhile')
      assert.equal(connector.logins.size, 1)
      const round = orphanRound(searching(shop))
      await round()
      await round()
      assert.equal(connector.logins.size, 0)
    })

    test('a rotation that broke off while the back end went out of reach is settled when the back end is back, without a start', async (t) => {
      const of = await storeOfWrit(store, t)
      const { back, connect } = withAdministrator('the first')
      const id = await addBackendTo(of, 'rotating', 'the first')
      const about = { store: of.store, secrets: of.keys.secrets, clock: of.clock, entropy: hostEntropy, handlePrefix: 'writ_test_', restoredAt: null, connect }
      const reach = reachBackends(about)
      t.after(() => reach.close())
      const needs: BackendNeeds = { ...about, reach }
      const find = async () => (await of.store.read((db) => findBackend(db, id)))!

      await done(of.store.change(keepNextSecret, { backend: id, sealed: of.keys.secrets.seal('the second', secretPlace(id)) }))
      Object.assign(back, { secret: 'the second', there: false })
      await settleRotation(needs, await find())
      assert.notEqual((await find()).nextSealedSecret, null, 'nothing is known yet')
      const round = orphanRound({ ...about, reach, log: quiet, settle: async (backend) => settleRotation(needs, backend) })
      await round()
      back.there = true
      await round()
      const settled = await find()
      assert.deepEqual([settled.nextSealedSecret, of.keys.secrets.unseal(settled.sealedSecret, secretPlace(id))], [null, 'the second'])
      await (await reach.reach(id))!.connector.list('writ_test_')
      await settleRotation(needs, settled)
      assert.equal((await eventsOf(of, 'backend.secret_rotated')).length, 1)

      const rotated = await rotateBackend(needs, 'rotating', OPERATOR)
      assert.ok(rotated.ok)
      assert.equal(of.keys.secrets.unseal((await find()).sealedSecret, secretPlace(id)), back.secret)
      assert.equal((await eventsOf(of, 'backend.secret_rotated')).length, 2)
    })
  })
}
