import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { milliseconds, plus, seconds } from '@writ/domain/time'
import { pino } from 'pino'
import { BackendFault } from '../../src/connectors/connector.ts'
import { orphanRound, type OrphanNeeds } from '../../src/jobs/orphans.ts'
import { withdrawals } from '../../src/jobs/withdrawals.ts'
import { bell } from '../../src/platform/bell.ts'
import { hostEntropy } from '../../src/platform/entropy.ts'
import { retireDueIdentities } from '../../src/registry/change-identity.ts'
import { endDueTasks } from '../../src/tasks/keep-task.ts'
import { eventually } from '../eventually.ts'
import { fakeShop, type FakeShop } from '../fake-shop.ts'
import { FAKE_TEMPLATE, type FakeConnector } from '../fakes/connector.ts'
import { addIdentity, done, eventsOf, openOne } from '../laws/estate.ts'
import { STORES, storeOfWrit, type StoreOfWrit } from '../store-of-writ.ts'

const quiet = pino({ level: 'silent' })

/** The withdrawals of one more server. */
const oneServer = (shop: FakeShop) => withdrawals({ ...shop.withdrawing, log: quiet, ended: bell() })

/** One more server's search for left-over logins. */
function oneSearch({ of, backend }: FakeShop, connector: FakeConnector): () => Promise<boolean> {
  const reached = { id: backend, name: 'shop', templates: [FAKE_TEMPLATE], connector, templateOf: () => FAKE_TEMPLATE, addressOf: () => assert.fail() }
  const needs: OrphanNeeds = {
    store: of.store, clock: of.clock, entropy: hostEntropy, handlePrefix: 'writ_test_', restoredAt: null, log: quiet, settle: async () => {},
    reach: { reach: async () => reached, forget: async () => {}, close: async () => {} },
  }
  return orphanRound(needs)
}

const typesOf = async (of: StoreOfWrit, ...types: readonly string[]): Promise<readonly string[]> => (await eventsOf(of, ...types)).map((event) => event.type)

/** How often each value is there. */
const timesEach = (values: readonly (string | null)[]): readonly number[] => [...Map.groupBy(values, (one) => one).values()].map((same) => same.length)

for (const store of STORES) {
  describe(`the work that servers share, in ${store}`, () => {
    test('a withdrawal that takes longer than a claim lasts stays with its server; when that one dies, another takes it, and its end is recorded once', async (t) => {
      const shop = await fakeShop(await storeOfWrit(store, t), { withdraw: 'hangs' })
      const { of, connector } = shop
      const task = await shop.task()
      const lease = await shop.lease(task)
      await shop.end(task)
      const [first, second] = [oneServer(shop), oneServer(shop)]
      await first.round()
      await eventually('the first server is at it', () => connector.calls.includes(`withdraw ${lease.handle}`))
      for (let after = 0; after < 90; after += 5) {
        of.clock.advance(5000)
        await first.round()
        await second.round()
      }
      const tries = (): number => connector.calls.filter((call) => call.startsWith('withdraw')).length
      assert.equal(tries(), 1, 'nobody took it from a server that is alive')

      of.clock.advance(20_001)
      await second.round()
      await eventually('the second server is at it', () => tries() === 2)
      connector.mood.withdraw = 'works'
      connector.release()
      // The first was not dead: it only stood still.
      await Promise.all([first.settled(), second.settled()])
      assert.deepEqual(await typesOf(of, 'lease.ended', 'lease.withdrawal_failed', 'task.closed'), ['lease.ended', 'task.closed'])
      of.clock.advance(60_000)
      await first.round()
      await second.round()
      assert.equal(tries(), 2)
    })

    test('a withdrawal that fails while its claim is being prolonged is tried again when its pause is over, and no later', async (t) => {
      const shop = await fakeShop(await storeOfWrit(store, t))
      const { of } = shop
      const fails = Promise.withResolvers<never>()
      let tries = 0
      const failing: FakeConnector = {
        ...shop.connector,
        withdraw: (...order) => (++tries === 1 ? fails.promise : shop.connector.withdraw(...order)),
      }
      Object.assign(shop.withdrawing, { reach: async () => ({ connector: failing, templateOf: () => FAKE_TEMPLATE }) })
      const task = await shop.task()
      const lease = await shop.lease(task)
      await shop.end(task)
      const server = oneServer(shop)
      await server.round()
      of.clock.advance(15_000)
      fails.reject(new BackendFault('it does not answer', '57P03'))
      await server.round()
      await server.settled()
      assert.deepEqual(await typesOf(of, 'lease.withdrawal_failed', 'lease.ended'), ['lease.withdrawal_failed'])
      of.clock.advance(15_000)
      await server.round()
      await server.settled()
      assert.equal((await shop.find(lease.id)).outcome, 'proved')
    })

    test('a login that is left over and seen by two servers is one finding and withdrawn once; the same login made again is withdrawn again', async (t) => {
      const shop = await fakeShop(await storeOfWrit(store, t))
      const { of, connector } = shop
      // As a real back end answers two who withdraw side by side: it was there for both.
      const crowded: FakeConnector = { ...connector, withdraw: async (...order) => ({ ...await connector.withdraw(...order), existed: true }) }
      const searches = [oneSearch(shop, crowded), oneSearch(shop, crowded)]
      const together = async (): Promise<void> => {
        of.clock.advance(30_000)
        await Promise.all(searches.map((search) => search()))
      }
      for (let made = 1; made <= 2; made++) {
        connector.logins.set('writ_test_left_over', 'x')
        await together()
        await together()
        assert.equal(connector.logins.size, 0)
        const told = await typesOf(of, 'orphan.withdrawn', 'finding.raised')
        assert.deepEqual(told, ['finding.raised', ...Array.from({ length: made }, () => 'orphan.withdrawn')])
      }
    })

    test('tasks and identities whose time is over are ended once each, by whichever of four servers is first', async (t) => {
      const of = await storeOfWrit(store, t)
      const short = { endsAt: plus(of.now(), seconds(3600)) }
      const identities = await Promise.all(Array.from({ length: 12 }, () => addIdentity(of, short)))
      for (const identity of identities) for (let i = 0; i < 3; i++) await openOne(of, { identity })
      of.clock.advance(301_000)
      const fourTimes = async (round: () => Promise<number>): Promise<number> => {
        let all = 0
        for (let some = -1; some !== 0;) {
          some = (await Promise.all([round(), round(), round(), round()])).reduce((sum, one) => sum + one)
          all += some
        }
        return all
      }
      const claim = () => ({ now: of.now(), until: plus(of.now(), milliseconds(30_000)), limit: 5 })
      assert.equal(await fourTimes(() => done(of.store.change(endDueTasks, claim()))), 36)
      const ended = await eventsOf(of, 'task.ended')
      assert.deepEqual([ended.length, ...new Set(timesEach(ended.map((event) => event.task_id)))], [36, 1])

      of.clock.advance(3_600_000)
      assert.equal(await fourTimes(() => done(of.store.change(retireDueIdentities, claim()))), 12)
      const expired = (await eventsOf(of, 'identity.expired')).map((event) => (JSON.parse(event.leaf) as { identity: string }).identity)
      assert.deepEqual([expired.length, new Set(expired).size], [12, 12])
    })
  })
}
