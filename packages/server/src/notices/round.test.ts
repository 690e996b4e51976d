import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { milliseconds, plus } from '@writ/domain/time'
import pino from 'pino'
import { targetOf } from '../../test/laws/notice-steps.ts'
import { postBox } from '../../test/post-box.ts'
import { OPERATOR } from '../../test/recorded.ts'
import { storeForSuite, STORES, type StoreOfWrit } from '../../test/store-of-writ.ts'
import { hostEntropy } from '../platform/entropy.ts'
import { mailer } from '../platform/mail.ts'
import { outbound } from '../platform/outbound.ts'
import { sealAddress } from './address.ts'
import { claimDueNotices, queueNotices } from './outbox.ts'
import { noticeRounds } from './round.ts'
import { addNoticeTarget, recordTargetTest } from './targets.ts'

const posts = await postBox()
after(() => posts.stop())

function roundsOf(writ: StoreOfWrit) {
  const out = outbound({ allow: [{ kind: 'host', host: `127.0.0.1:${posts.port}` }] })
  return noticeRounds({
    store: writ.store, secrets: writ.keys.secrets, eventMac: writ.keys.eventMac, clock: writ.clock, entropy: hostEntropy, log: pino({ level: 'silent' }), outbound: out, sendMail: mailer(out),
    retryBase: milliseconds(1000), origin: () => 'https://writ.acme.example',
  })
}

async function target(writ: StoreOfWrit, path: string) {
  const made = targetOf(writ, { name: path.slice(1) })
  const sealedAddress = sealAddress(writ.keys.secrets, made.id, { kind: 'webhook', url: posts.urlOf(path), ca: null, secret: Buffer.alloc(32).toString('base64') })
  assert.ok((await writ.store.change(addNoticeTarget, { target: { ...made, sealedAddress }, by: OPERATOR, now: writ.now() })).ok)
  return made.id
}

const ids = (path: string) => posts.on(path).map(({ headers }) => headers['webhook-id'])

for (const name of STORES) {
  describe(`the outbox of notices, on ${name}`, () => {
    const writ = storeForSuite(name)
    test('whoever dies after sending and before it is written down leaves it to the next, who sends it again under the same id', async () => {
      const path = `/dies-${name}`
      const id = await target(writ(), path)
      const notice = { id: writ().newId('notice'), target: id, event: await findingEvent(writ()), matter: 'finding.raised' as const }
      const from = (await toldUpTo(writ(), id))
      await writ().store.change(queueNotices, { target: id, from, upTo: from + 1000, notices: [notice], now: writ().now() })
      // A server that claims it, and is heard of no more.
      const claimed = await writ().store.change(claimDueNotices, { now: writ().now(), until: plus(writ().now(), milliseconds(40_000)), limit: 10 })
      assert.equal(claimed.ok && claimed.value.length, 1)
      const rounds = roundsOf(writ())
      await rounds.round()
      await rounds.settled()
      assert.deepEqual(ids(path), [])
      writ().clock.advance(40_000)
      await rounds.round()
      await rounds.settled()
      assert.deepEqual(ids(path), [notice.id])
      await rounds.round()
      await rounds.settled()
      assert.deepEqual(ids(path), [notice.id])
    })

    test('pauses double from attempt to attempt, and after a day it is given up', async () => {
      const path = `/down-${name}`
      const id = await target(writ(), path)
      posts.answer(path, ...Array.from({ length: 40 }, () => 500))
      const from = await toldUpTo(writ(), id)
      await writ().store.change(queueNotices, { target: id, from, upTo: from + 1000, notices: [{ id: writ().newId('notice'), target: id, event: await findingEvent(writ()), matter: 'finding.raised' }], now: writ().now() })
      const rounds = roundsOf(writ())
      for (let attempts = 1; attempts <= 30; attempts++) {
        await rounds.round()
        await rounds.settled()
        assert.equal(posts.on(path).length, attempts)
        const [row] = await writ().sql('select state, due_at from notice where target_id = $1', [id])
        if (attempts === 30) assert.deepEqual([row!['state'], row!['due_at']], ['failed', null])
        else {
          const pause = Number(row!['due_at']) - writ().now()
          const full = Math.min(3_600_000, 1000 * 2 ** (attempts - 1))
          assert.ok(pause >= full / 2 && pause <= full, `${pause} of ${full}`)
          writ().clock.advance(pause)
        }
      }
    })

    test('what stands there can be changed by nobody but in the ways of the outbox', async () => {
      const id = await target(writ(), `/guarded-${name}`)
      for (const [statement, rule] of [
        ['update notice_target set place = \'elsewhere\' where id = $1', 'notice_target_is_frozen'], ['update notice_target set sealed_address = \'other\' where id = $1', 'notice_target_address_is_frozen'],
        ['update notice_target set told_up_to = -1 where id = $1', 'notice_target_only_goes_on'], ['delete from notice_target where id = $1', 'notice_target_is_never_deleted'],
        ['update notice_target set sealed_address = null where id = $1', 'notice_target_active_has_address'],
        ['update notice set state = \'waiting\', due_at = 1, ended_at = null where state = \'failed\' and $1 = $1', 'notice_ends_once'],
      ] as const) {
        await assert.rejects(writ().sql(statement, [id]), (error: Error) => new RegExp(rule).test(`${error.message} ${String((error as { constraint?: string }).constraint)}`), statement)
      }
    })
  })
}

async function toldUpTo(writ: StoreOfWrit, id: string): Promise<number> {
  return Number((await writ.sql('select told_up_to from notice_target where id = $1', [id]))[0]!['told_up_to'])
}

/** Any event of ours will do. */
async function findingEvent(writ: StoreOfWrit): Promise<string> {
  await writ.store.change(recordTargetTest, { target: writ.newId('noticeTarget'), trouble: null, by: OPERATOR, now: writ.now() })
  return String((await writ.sql('select id from event order by seq desc limit 1'))[0]!['id'])
}
