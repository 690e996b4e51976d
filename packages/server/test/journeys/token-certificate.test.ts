import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as tasks from '@writ/contract/tasks'
import { verifyCertificate, type Certificate } from '@writ/ledger/certificate'
import { describeClosure } from '@writ/ledger/describe'
import { nodePrimitives } from '../../../ledger/offline/primitives.ts'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { addShop, leased, refusalOf, show } from '../governed-writ.ts'
import { keptIn, refused } from '../kept.ts'
import { askToken, callWith, claimsIn, introspect, NEW_TASK, proofKey } from '../oauth-client.ts'
import { assertLogsHold, closureIn, eventsOf, logKey } from '../proofs.ts'
import { startWrit, type RunningWrit } from '../running-writ.ts'
import { STORES } from '../store-of-writ.ts'

for (const store of STORES) {
  describe(`the end of access tokens, proved from ${store}`, () => {
    let writ: RunningWrit
    let shop: GovernedPostgres
    before(async () => {
      shop = await governedPostgres(18)
      writ = await startWrit({ store })
      await addShop(writ, shop)
    })
    after(async () => {
      await writ.stop()
      await shop.remove()
    })

    test('a task with two tokens and a login is completed: the tokens are inactive at once, and the certificate proves all three and says until when who checks offline could be fooled', async () => {
      const bot = await writ.register('proves')
      const key = await proofKey()
      const first = (await askToken(writ, bot, NEW_TASK, { key })).reply
      const second = (await askToken(writ, bot, { task: first.task, resource: 'https://shop.example/' }, { key })).reply
      const lease = await leased(bot, first.task)
      const [one, two] = [claimsIn(first.access_token), claimsIn(second.access_token)]
      const shown = (await show(bot, first.task)).reply.leases
      assert.deepEqual(shown.map(({ kind, id, state, audience, user }) => ({ kind, id, state, audience, user })).toSorted((a, b) => (a.id < b.id ? -1 : 1)), [
        { kind: 'access_token', id: one['jti'], state: 'live', audience: writ.url, user: null },
        { kind: 'access_token', id: two['jti'], state: 'live', audience: 'https://shop.example/', user: null },
        { kind: 'login', id: lease.id, state: 'live', audience: null, user: lease.user },
      ].toSorted((a, b) => (String(a.id) < String(b.id) ? -1 : 1)))

      assert.equal((await callWith(writ, { key, token: first.access_token, path: `/v1/tasks/${first.task}/complete` })).status, 200)
      for (const token of [first, second]) assert.deepEqual(await introspect(writ, token.access_token), { active: false })
      const got = await bot.api(tasks.certificate, { parameters: { id: first.task }, query: { wait_seconds: '30' } })
      assert.equal(got.status, 200, got.text)
      const trusted = await logKey(writ)
      const closure = closureIn(trusted, got.text)
      const until = Math.max(Number(one['exp']), Number(two['exp'])) * 1000
      assert.deepEqual([closure.outcome, closure.residual_until, closure.leases.length], ['proved', until, 3])
      assert.equal(await refusalOf(lease), '28P01')
      const lines = describeClosure(closure)
      assert.ok(lines.includes(`    who checks it offline, and never asks, could accept it until: ${new Date(until).toISOString()}`), lines.join('\n'))
      assert.ok(lines.some((line) => /asked about it again: refused by writ, stopped, \d+ ms after/.test(line)))
      assert.deepEqual((await show(bot, first.task)).reply.leases.map(({ state, outcome }) => [state, outcome]), [['ended', 'proved'], ['ended', 'proved'], ['ended', 'proved']])

      const certificate = JSON.parse(got.text) as Certificate
      for (const jti of [one['jti'], two['jti']]) {
        const receipts = certificate.receipts.filter(({ leaf }) => (JSON.parse(leaf) as { lease: string | null }).lease !== jti)
        assert.equal(receipts.length, certificate.receipts.length - 2)
        const less = verifyCertificate(nodePrimitives, trusted, JSON.stringify({ ...certificate, receipts }))
        assert.equal(less.ok ? 'verified' : less.refusal.kind, 'incomplete')
      }
      await assertLogsHold(writ)
    })

    test('one token of a task is revoked by its lease id, by its holder or an operator; the others, the login and the task go on', async () => {
      const [bot, stranger] = [await writ.register('revokes'), await writ.register('revokes-stranger')]
      const key = await proofKey()
      const first = (await askToken(writ, bot, NEW_TASK, { key })).reply
      const more = [first]
      for (let i = 0; i < 3; i++) more.push((await askToken(writ, bot, { task: first.task }, { key })).reply)
      const lease = await leased(bot, first.task)
      const [kept, byToken, byKey, byOperator] = more.map((one) => ({ token: one.access_token, id: String(claimsIn(one.access_token)['jti']) }))
      const body = { reason: 'it was shown to somebody' }
      await refused(writ, () => stranger.api(tasks.revokeLease, { parameters: { id: kept!.id }, body }), { status: 404, code: 'lease_not_found' })
      const other = (await askToken(writ, bot, NEW_TASK, { key })).reply
      assert.equal((await callWith(writ, { key, token: other.access_token, path: `/v1/leases/${kept!.id}/revoke`, body })).status, 404)

      const stopped = await callWith(writ, { key, token: kept!.token, path: `/v1/leases/${byToken!.id}/revoke`, body })
      assert.deepEqual([stopped.status, stopped.value['kind'], stopped.value['id']], [200, 'access_token', byToken!.id])
      assert.equal((await bot.api(tasks.revokeLease, { parameters: { id: byKey!.id }, body })).status, 200)
      assert.equal((await writ.operator(tasks.revokeLease, { parameters: { id: byOperator!.id }, body })).status, 200)
      for (const { token } of [byToken!, byKey!, byOperator!]) assert.deepEqual(await introspect(writ, token), { active: false })
      assert.equal((await introspect(writ, kept!.token))['active'], true)
      const now = (await show(bot, first.task)).reply
      assert.deepEqual([now.state, now.leases.find((one) => one.id === lease.id)?.state], ['open', 'live'])
      const said = (await eventsOf(writ, first.task)).filter((event) => event.type === 'lease.revoked')
      assert.deepEqual(said.map((event) => [event.lease, event.actor.kind, event.said['reason']]), [
        [byToken!.id, 'identity', body.reason], [byKey!.id, 'identity', body.reason], [byOperator!.id, 'operator', body.reason],
      ])

      await bot.api(tasks.completeTask, { parameters: { id: first.task } })
      const before = await bot.api(tasks.certificate, { parameters: { id: first.task }, query: { wait_seconds: '30' } })
      assert.deepEqual([closureIn(await logKey(writ), before.text).outcome, closureIn(await logKey(writ), before.text).leases.length], ['proved', 5])
      const kinds = await keptIn(writ)
      assert.equal((await writ.operator(tasks.revokeLease, { parameters: { id: kept!.id }, body })).status, 200, 'what has ended answers as it stands')
      assert.equal((await keptIn(writ)).event, kinds.event)
    })
  })
}
