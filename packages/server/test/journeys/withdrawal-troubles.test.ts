import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MOST_ATTEMPTS } from '@writ/domain/lease'
import { findIdentity } from '../../src/store/identities.ts'
import { findTask } from '../../src/store/tasks.ts'
import { AFTER_ANY_MINT, fakeShop } from '../fake-shop.ts'
import { eventsOf, tryOpen } from '../laws/estate.ts'
import { STORES, storeOfWrit } from '../store-of-writ.ts'

const FACTS = ['lease.ended', 'lease.withdrawal_failed', 'incident.opened', 'incident.resolved', 'identity.contained', 'task.closed'] as const

for (const store of STORES) {
  describe(`what can go wrong when a lease ends, recorded in ${store}`, () => {
    test('a withdrawal that fails six times is an incident until it succeeds: the task closes as one, and the identity is contained', async (t) => {
      const shop = await fakeShop(await storeOfWrit(store, t))
      const { of, connector } = shop
      const task = await shop.task()
      const other = await shop.task()
      const lease = await shop.lease(task)
      connector.mood.withdraw = '57P03'
      await shop.end(task)
      const pauses: number[] = []
      for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt++) {
        assert.deepEqual(await shop.sweep(), [lease.id])
        assert.deepEqual(await shop.sweep(), [], 'not before its time')
        const due = Number((await of.sql('select due_at from lease where id = $1', [lease.id]))[0]!['due_at'])
        assert.equal((await shop.find(lease.id)).attempts, attempt)
        pauses.push(due - of.now())
        if (attempt < MOST_ATTEMPTS) assert.deepEqual(await shop.incidents(), [])
        of.clock.set(due)
      }
      pauses.slice(0, -1).forEach((pause, i) => assert.ok(pause >= 5000 * 2 ** i && pause <= 15_000 * 2 ** i, `${pause} after attempt ${i + 1}`))

      const [incident] = await shop.incidents()
      assert.deepEqual([incident?.state, incident?.kind, incident?.lease, incident?.why], ['open', 'withdrawal_failed', lease.id, '57P03'])
      assert.equal((await shop.find(lease.id)).state, 'stuck')
      assert.equal((await of.store.read((db) => findIdentity(db, shop.identity)))?.state, 'suspended')
      const ended = (await of.store.read((db) => findTask(db, other.id)))!
      assert.deepEqual([ended.state, ended.endReason], ['closed', 'identity_suspended'])
      assert.deepEqual(await tryOpen(of, { identity: shop.identity }).then((got) => !got.ok && got.refusal.kind), 'identity_not_active')
      const closure = await shop.closure(task)
      assert.deepEqual([closure.outcome, closure.leases[0]?.end.kind], ['incident', 'incident'])

      connector.mood.withdraw = 'works'
      of.clock.advance(600_000)
      assert.deepEqual(await shop.sweep(), [lease.id])
      assert.deepEqual((await shop.incidents()).map((one) => one.state), ['resolved'])
      const over = await shop.find(lease.id)
      assert.deepEqual([over.state, over.outcome, over.sealedSecret], ['ended', 'proved', null])
      assert.deepEqual(await shop.closure(task), closure, 'a certificate never changes')
      assert.deepEqual((await eventsOf(of, ...FACTS)).map((one) => one.type).filter((type) => type !== 'task.closed'), [
        ...Array.from({ length: 6 }, () => 'lease.withdrawal_failed'), 'incident.opened', 'identity.contained', 'lease.ended', 'incident.resolved',
      ])
      assert.deepEqual(await shop.sweep(), [])
    })

    test('an incident that is resolved before its task is closed leaves a certificate that can be written and says incident', async (t) => {
      const shop = await fakeShop(await storeOfWrit(store, t), { probe: 'accepted' })
      const { of, connector } = shop
      const task = await shop.task()
      const first = await shop.lease(task)
      connector.mood.mint = '57P03'
      assert.equal((await shop.issue(task)).ok, false)
      await shop.end(task)
      await of.sql('update lease set due_at = due_at + 3600000 where id <> $1', [first.id])
      assert.deepEqual(await shop.sweep(), [first.id])
      connector.mood.probe = 'refused'
      of.clock.advance(600_000)
      assert.deepEqual(await shop.sweep(), [first.id])
      of.clock.advance(3_600_000)
      assert.equal((await shop.sweep()).length, 1)
      const closure = await shop.closure(task)
      assert.deepEqual([closure.outcome, closure.leases.map((one) => one.end.kind).toSorted()], ['incident', ['ended', 'incident']])
    })

    test('a dead secret that is still accepted is an incident at once', async (t) => {
      const shop = await fakeShop(await storeOfWrit(store, t), { probe: 'accepted' })
      const task = await shop.task()
      const lease = await shop.lease(task)
      await shop.end(task)
      await shop.sweep()
      assert.deepEqual((await shop.incidents()).map(({ kind, state }) => [kind, state]), [['still_accepted', 'open']])
      assert.equal((await shop.find(lease.id)).attempts, 1)
      assert.equal((await shop.of.store.read((db) => findIdentity(db, shop.identity)))?.state, 'suspended')
      assert.equal((await shop.closure(task)).outcome, 'incident')
    })

    test('a back end that can not revoke is never asked to, and the certificate says until when its credential could be used', async (t) => {
      const shop = await fakeShop(await storeOfWrit(store, t), { canRevoke: false })
      const task = await shop.task()
      const lease = await shop.lease(task)
      await shop.end(task)
      await shop.sweep()
      assert.deepEqual(shop.connector.calls, [`mint ${lease.handle}`])
      const closure = await shop.closure(task)
      assert.deepEqual([closure.outcome, closure.residual_until], ['not_evaluated', task.deadline])
      assert.equal((await shop.find(lease.id)).outcome, 'not_evaluated')
    })

    for (const { when, mood, why } of [
      { when: 'its control login had failed', mood: { control: false }, why: 'refused' },
      { when: 'the probe got no clear answer', mood: { probe: 'unclear' }, why: 'not_evaluated' },
      { when: 'the catalogue still shows it', mood: { probe: 'still in the catalogue' }, why: 'refused' },
    ] as const) {
      test(`the end of a lease is not evaluated, and never called proved, when ${when}`, async (t) => {
        const shop = await fakeShop(await storeOfWrit(store, t), mood)
        const task = await shop.task()
        const lease = await shop.lease(task)
        await shop.end(task)
        await shop.sweep()
        const closure = await shop.closure(task)
        const [end] = closure.leases
        assert.ok(end?.end.kind === 'ended')
        assert.deepEqual([closure.outcome, end.end.outcome, end.end.probe.kind], ['not_evaluated', 'not_evaluated', why])
        assert.equal((await shop.find(lease.id)).sealedSecret, null)
        assert.deepEqual(await shop.incidents(), [])
      })
    }

    test('a sealed secret that was moved to another lease opens nothing: the login is withdrawn, and its end is not evaluated', async (t) => {
      const shop = await fakeShop(await storeOfWrit(store, t))
      const { of } = shop
      const task = await shop.task()
      const one = await shop.lease(task)
      const two = await shop.lease(task)
      await of.sql('update lease set sealed_secret = $1 where id = $2', [two.sealedSecret, one.id])
      await shop.end(task)
      assert.equal((await shop.sweep()).length, 2)
      assert.deepEqual([...shop.connector.logins], [])
      assert.deepEqual([(await shop.find(one.id)).outcome, (await shop.find(two.id)).outcome], ['not_evaluated', 'proved'])
      of.clock.advance(3_600_000)
      assert.deepEqual(await shop.sweep(), [])
      const closure = await shop.closure(task)
      const moved = closure.leases.find((lease) => lease.lease === one.id)?.end
      assert.equal(closure.outcome, 'not_evaluated')
      assert.ok(moved?.kind === 'ended' && moved.probe.kind === 'not_evaluated' && /sealed/.test(moved.probe.why))
      assert.ok(!JSON.stringify(closure).includes(one.sealedSecret!))
    })

    test('an administrator\'s secret that does not open is an incident after six attempts, not an endless one', async (t) => {
      const shop = await fakeShop(await storeOfWrit(store, t))
      const { of } = shop
      const task = await shop.task()
      const lease = await shop.lease(task)
      const reach = async () => {
        of.keys.secrets.unseal(of.keys.secrets.seal('x', 'here'), 'there')
        return assert.fail('it opened')
      }
      Object.assign(shop.withdrawing, { reach })
      await shop.end(task)
      for (let attempt = 1; attempt <= MOST_ATTEMPTS; attempt++) {
        assert.deepEqual(await shop.sweep(), [lease.id])
        of.clock.set(Number((await of.sql('select due_at from lease where id = $1', [lease.id]))[0]!['due_at']))
      }
      assert.deepEqual((await shop.incidents()).map(({ kind, why }) => [kind, why]), [['withdrawal_failed', 'sealed_not_authentic']])
    })

    test('a mint that fails leaves a lease that was never issued, and what the back end may have made is withdrawn', async (t) => {
      const shop = await fakeShop(await storeOfWrit(store, t), { mint: '53300' })
      const task = await shop.task()
      const got = await shop.issue(task)
      assert.deepEqual(!got.ok && got.refusal, { kind: 'mint_failed', code: '53300' })
      const [id] = await shop.sweep()
      assert.equal((await shop.find(id!)).outcome, 'never_issued')
      assert.deepEqual(shop.connector.calls.map((call) => call.split(' ')[0]), ['mint', 'withdraw', 'probe'])
      await shop.end(task)
      assert.equal((await shop.closure(task)).outcome, 'nothing_issued')
    })

    test('a task that ends while its lease is being made gives no login out, and none stays', async (t) => {
      const shop = await fakeShop(await storeOfWrit(store, t), { mint: 'hangs' })
      const { of, connector } = shop
      const task = await shop.task()
      const issuing = shop.issue(task)
      while (connector.calls.length === 0) await new Promise(setImmediate)
      await shop.end(task)
      assert.deepEqual(await shop.sweep(), [], 'a withdrawal now could come before the login')
      connector.release()
      const got = await issuing
      assert.equal(!got.ok && got.refusal.kind, 'stopped_meanwhile')
      assert.equal((await shop.sweep()).length, 1)
      assert.deepEqual([...connector.logins], [])
      assert.equal((await shop.closure(task)).outcome, 'nothing_issued')
      of.clock.advance(AFTER_ANY_MINT)
      assert.deepEqual(await shop.sweep(), [])
    })

    test('a repeat gets the secret for a minute, and afterwards 409 while the lease is withdrawn', async (t) => {
      const shop = await fakeShop(await storeOfWrit(store, t))
      const { of, connector } = shop
      const task = await shop.task()
      const first = await shop.issue(task, 'one-request')
      assert.ok(first.ok)
      of.clock.advance(59_999)
      const second = await shop.issue(task, 'one-request')
      assert.ok(second.ok)
      assert.deepEqual([second.value.secret, second.value.lease.id], [first.value.secret, first.value.lease.id])
      assert.equal(connector.calls.length, 1)
      of.clock.advance(1)
      const third = await shop.issue(task, 'one-request')
      assert.deepEqual(!third.ok && third.refusal, { kind: 'secret_no_longer_shown', lease: first.value.lease.id })
      assert.deepEqual(await shop.sweep(), [first.value.lease.id])
      assert.deepEqual([...connector.logins], [])
      assert.equal((await of.store.read((db) => findTask(db, task.id)))?.state, 'open')
      const fourth = await shop.issue(task, 'one-request')
      assert.equal(!fourth.ok && fourth.refusal.kind, 'secret_no_longer_shown')
      assert.equal((await of.sql('select id from lease')).length, 1)
    })
  })
}
