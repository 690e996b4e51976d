import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as approvals from '@writ/contract/approvals'
import * as contract from '@writ/contract/stops'
import * as mcp from '@writ/contract/mcp-servers'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { eventually } from '../eventually.ts'
import { GRANT, opened, show } from '../governed-writ.ts'
import { inStoreOf, refused } from '../kept.ts'
import { accessTo, governServer, rawNewer, type Access } from '../mcp/estate.ts'
import { json, rawHttp, type RawAsked, type RawHttp } from '../mcp/raw-http.ts'
import { signInAs } from '../people.ts'
import { eventsOf } from '../proofs.ts'
import type { Got, RunningWrit, TestIdentity } from '../running-writ.ts'
import { startWrit } from '../running-writ.ts'
import { startSeveral, type SeveralWrits } from '../several-writs.ts'
import { STORES } from '../store-of-writ.ts'

type Shop = { readonly http: RawHttp; isHanging: boolean; readonly called: RawAsked[] }

/** A server whose one tool answers, or hangs. */
async function shopServer(): Promise<Shop> {
  const shop = { isHanging: false, called: [] as RawAsked[] }
  const http = await rawHttp((asked) => {
    if (asked.method === 'tools/list') return json(asked, { tools: ['buy', 'pay'].map((name) => ({ name, inputSchema: { type: 'object', properties: { thing: { type: 'string' } } } })) })
    if (asked.method !== 'tools/call') return false
    shop.called.push(asked)
    return shop.isHanging ? true : json(asked, { content: [{ type: 'text', text: 'bought' }] })
  })
  return Object.assign(shop, { http })
}

const buying = (access: Access, tool = 'buy'): Promise<Response> => rawNewer(access, 'tools/call', { params: { name: tool, arguments: { thing: 'a hat' } } })
const BECAUSE = { reason: 'it was told to buy everything' }

const stopping = (writ: RunningWrit, kind: 'task' | 'identity' | 'identity_tree', id: string, more: object = {}): Promise<Got<(typeof contract.makeStop)['reply']['_output']>> =>
  writ.operator(contract.makeStop, { body: { target: { kind, id }, ...BECAUSE, ...more } })
const stopOf = async (writ: RunningWrit, id: string): Promise<contract.StopWithPointsReply> => (await writ.operator(contract.showStop, { parameters: { id } })).reply
const settled = (writ: RunningWrit, id: string): Promise<contract.StopWithPointsReply> => eventually('it is settled', async () => {
  const stop = await stopOf(writ, id)
  return stop.state !== 'containing' && stop
})
const stateOf = async (writ: RunningWrit, id: string): Promise<string> => (await writ.operator(registry.showIdentity, { parameters: { id } })).reply.state

for (const store of STORES) {
  describe(`what a person stops, on ${store}`, () => {
    let shop: Shop
    let writ: RunningWrit
    let bot: TestIdentity
    before(async () => {
      shop = await shopServer()
      writ = await startWrit({ store, env: { WRIT_OUTBOUND_ALLOW: new URL(shop.http.url).host, WRIT_LOG: 'warn' } })
      await governServer(writ, { name: 'shop', transport: 'http', url: shop.http.url }, (tool) => (tool === 'pay' ? { effect: 'external', reversible: false } : {}))
      bot = await writ.register('buyer', { authority: ['mcp:shop:buy', 'mcp:shop:pay'], owners: { technical: 'person:li@acme.example', business: 'team:shop' } })
    })
    after(async () => {
      await writ.stop()
      shop.http.stop()
    })

    test('a dry run says what it would touch and changes nothing; the stop ends it, cancels what is in flight, and is contained once all have confirmed', async () => {
      const access = await accessTo(writ, bot, { server: 'shop', tools: ['buy', 'pay'] })
      await (await buying(access, 'pay')).text()
      shop.isHanging = true
      const answering = buying(access)
      await eventually('it is in flight', () => shop.called.length > 0)
      const dry = await stopping(writ, 'task', access.task, { dry_run: true })
      assert.equal(dry.status, 200, dry.text)
      assert.deepEqual([dry.reply.stop, dry.reply.touches, dry.reply.suspends, dry.reply.mcp], [
        null, { identities: 0, tasks: 1, logins: 0, access_tokens: 1, calls_in_flight: 1, approvals: 1 }, [], { sessions: 0, links: 1, servers_not_evaluated: 0 },
      ])
      assert.equal((await show(bot, access.task)).reply.state, 'open')

      const made = await stopping(writ, 'task', access.task)
      const began = performance.now()
      assert.equal(made.status, 200, made.text)
      assert.deepEqual([made.reply.stop?.state, made.reply.touches.calls_in_flight], ['containing', 1])
      assert.equal((await buying(access)).status, 401)
      assert.match(await (await answering).text(), /task_ended/)
      assert.ok(performance.now() - began < 1000, `${Math.round(performance.now() - began)} ms`)
      shop.isHanging = false

      const stop = await settled(writ, made.reply.stop!.id)
      assert.deepEqual([stop.state, stop.confirmed, stop.of, stop.target, stop.spiffe_id, stop.reason, stop.tasks], ['contained', 2, 2, { kind: 'task', id: access.task }, bot.spiffeId, BECAUSE.reason, [access.task]])
      assert.deepEqual(stop.points.map((one) => [one.kind, one.state]), [['server', 'acknowledged'], ['access_token', 'proved']])
      assert.deepEqual((await writ.operator(mcp.listToolCalls, { query: { task: access.task } })).reply.calls.map(({ status }) => status), ['cancelled'])
      assert.deepEqual((await writ.operator(approvals.listApprovals, { query: { task: access.task } })).reply.approvals.map(({ state, why }) => [state, why]), [['cancelled', 'stopped']])
      const told = (await eventsOf(writ, access.task)).map(({ type }) => type)
      for (const type of ['stop.made', 'task.ended', 'approval.cancelled', 'call.finished'] as const) assert.ok(told.includes(type), `${type} in ${told.join()}`)
      assert.equal((await stopping(writ, 'task', access.task)).status, 200)
    })

    test('an identity is suspended with all its tasks; with whoever it has delegated to, where that is asked for', async () => {
      const [lead, hand] = [await writ.register('lead'), await writ.register('hand')]
      const above = await opened(lead)
      const below = async (): Promise<string> => (await lead.api(tasks.delegateTask, { parameters: { id: above }, body: { identity: hand.spiffeId, purpose: 'helps', authorization_details: GRANT, ttl_seconds: 60 } })).reply.id
      const [helping, elsewhere] = [await below(), await opened(hand)]
      const dry = await stopping(writ, 'identity', lead.spiffeId, { dry_run: true })
      assert.deepEqual([dry.reply.touches.identities, dry.reply.touches.tasks, dry.reply.suspends], [1, 2, [lead.spiffeId]])
      const tree = await stopping(writ, 'identity_tree', lead.id, { dry_run: true })
      assert.deepEqual([tree.reply.touches.identities, tree.reply.touches.tasks, tree.reply.suspends.toSorted()], [2, 3, [hand.spiffeId, lead.spiffeId]])

      const made = await stopping(writ, 'identity', lead.spiffeId)
      assert.deepEqual([await stateOf(writ, lead.id), await stateOf(writ, hand.id)], ['suspended', 'active'])
      for (const [id, state] of [[above, 'closed'], [helping, 'closed'], [elsewhere, 'open']] as const) assert.equal((await writ.operator(tasks.showTask, { parameters: { id } })).reply.state, state)
      assert.equal((await settled(writ, made.reply.stop!.id)).state, 'contained')

      await writ.operator(registry.resumeIdentity, { parameters: { id: lead.id }, body: { reason: 'looked at' } })
      const again = await opened(lead)
      await lead.api(tasks.delegateTask, { parameters: { id: again }, body: { identity: hand.spiffeId, purpose: 'helps', authorization_details: GRANT, ttl_seconds: 60 } })
      const all = await stopping(writ, 'identity_tree', lead.id)
      assert.deepEqual([await stateOf(writ, lead.id), await stateOf(writ, hand.id), all.reply.suspends.length], ['suspended', 'suspended', 2])
      assert.equal((await writ.operator(tasks.showTask, { parameters: { id: elsewhere } })).reply.end_reason, 'identity_suspended')
      assert.equal((await settled(writ, all.reply.stop!.id)).state, 'contained')
    })

    test('an owner stops what is theirs, a responder everything, a viewer nothing; an agent nothing at all', async () => {
      const [li, rosa, vic] = [
        await signInAs(writ, { roles: ['owner'], email: 'li@acme.example', passkey: false }), await signInAs(writ, { roles: ['responder'], passkey: false }), await signInAs(writ, { roles: ['viewer'], passkey: false }),
      ]
      const other = await writ.register('not-of-li')
      const [own, foreign] = [await accessTo(writ, bot, { server: 'shop', tools: ['buy'] }), await opened(other)]
      const body = (id: string) => ({ body: { target: { kind: 'task' as const, id }, ...BECAUSE } })
      await refused(writ, () => li.api(contract.makeStop, body(foreign)), { status: 404, code: 'task_not_found' })
      await refused(writ, () => vic.api(contract.makeStop, body(foreign)), { status: 403, code: 'role_needed' })
      await refused(writ, () => other.api(contract.makeStop, body(foreign)), { status: 403, code: 'not_allowed' })
      await refused(writ, () => rosa.api(contract.makeStop, { body: { target: { kind: 'task', id: foreign } } as never }), { status: 400, code: 'invalid_fields' })
      const made = await li.api(contract.makeStop, body(own.task))
      assert.equal(made.status, 200, made.text)
      assert.deepEqual(made.reply.stop?.by, { kind: 'person', id: li.id })
      const byRosa = await rosa.api(contract.makeStop, body(foreign))
      assert.equal(byRosa.status, 200, byRosa.text)
      assert.equal((await li.api(contract.showStop, { parameters: { id: byRosa.reply.stop!.id } })).status, 404)
      assert.deepEqual((await li.api(contract.listStops)).reply.stops.every((one) => one.spiffe_id === bot.spiffeId), true)
    })

    test('the database itself refuses to call contained what nobody has confirmed, and a confirmation with a call in flight', async () => {
      const access = await accessTo(writ, bot, { server: 'shop', tools: ['buy'] })
      const { stop } = (await stopping(writ, 'task', access.task)).reply
      await settled(writ, stop!.id)
      const statements = {
        stop_is_frozen: 'update stop set reason = \'another\' where id = $1', stop_goes_forward: 'update stop set state = \'containing\', settled_at = null where id = $1',
        stop_is_never_deleted: 'delete from stop where id = $1', stop_server_answers_once: 'update stop_server set answer = \'gone\' where stop_id = $1', stop_task_stays: 'delete from stop_task where stop_id = $1',
        stop_lease_stays: 'delete from stop_lease where stop_id = $1', stop_server_is_never_deleted: 'delete from stop_server where stop_id = $1',
      }
      for (const [rule, statement] of Object.entries(statements)) await assert.rejects(inStoreOf(writ, `${statement} returning *`, [stop!.id]), new RegExp(rule), rule)
      // As if one were made of what goes on: its task is open, its token works, its call is in flight.
      const running = await accessTo(writ, bot, { server: 'shop', tools: ['buy'] })
      shop.isHanging = true
      const before = shop.called.length
      buying(running).catch(() => undefined)
      await eventually('it is in flight', () => shop.called.length > before)
      await inStoreOf(writ, `insert into stop (id, target, target_id, identity_id, reason, made_by_kind, made_by, made_at, touched, state, settled_at)
        select 'stp_of_the_test', target, target_id, identity_id, reason, made_by_kind, made_by, made_at, touched, 'containing', null from stop where id = $1 returning id`, [stop!.id])
      await inStoreOf(writ, 'insert into stop_task (stop_id, task_id) values ($1, $2) returning stop_id', ['stp_of_the_test', running.task])
      await inStoreOf(writ, `insert into stop_server (stop_id, instance_id, address, calls) select $1, instance_id, null, 1 from tool_call where task_id = '${running.task}' returning stop_id`, ['stp_of_the_test'])
      const claims = { stop_contained_is_confirmed: 'update stop set state = \'contained\', settled_at = made_at + 1 where id = $1', stop_server_has_no_call_in_flight: 'update stop_server set answer = \'acknowledged\', answered_at = 1 where stop_id = $1' }
      for (const [rule, statement] of Object.entries(claims)) await assert.rejects(inStoreOf(writ, `${statement} returning *`, ['stp_of_the_test']), new RegExp(rule), rule)
      await stopping(writ, 'task', running.task)
      shop.isHanging = false
    })
  })
}

describe('what is stopped on one of two servers', () => {
  let shop: Shop
  let several: SeveralWrits
  let bot: TestIdentity
  before(async () => {
    shop = await shopServer()
    several = await startSeveral({ env: { WRIT_OUTBOUND_ALLOW: new URL(shop.http.url).host, WRIT_LOG: 'warn' } })
    await governServer(several.writs[0], { name: 'shop', transport: 'http', url: shop.http.url })
    bot = await several.writs[0].register('buyer', { authority: ['mcp:shop:buy'] })
  })
  after(async () => {
    await several.stop()
    shop.http.stop()
  })

  /** A call that hangs on the second server. */
  async function hangingThere(): Promise<{ readonly access: Access; readonly answering: Promise<Response> }> {
    const [here, there] = several.writs
    const access = { ...await accessTo(here, bot, { server: 'shop', tools: ['buy'] }), url: `${there.url}/mcp/shop` }
    shop.isHanging = true
    const before = shop.called.length
    const answering = buying(access)
    answering.catch(() => undefined)
    await eventually('it is in flight', () => shop.called.length > before)
    return { access, answering }
  }
  const serversOf = (stop: contract.StopWithPointsReply) => stop.points.flatMap((one) => (one.kind === 'server' ? [one] : []))

  test('a call that the other one serves is cancelled, the next one is refused there at once, and it is contained when both have said so', async () => {
    const [here] = several.writs
    const { access, answering } = await hangingThere()
    const made = await stopping(here, 'identity', bot.id)
    const began = performance.now()
    assert.equal(made.reply.mcp.servers_not_evaluated, 1)
    assert.equal((await buying(access)).status, 401)
    assert.match(await (await answering).text(), /task_ended/)
    assert.ok(performance.now() - began < 1000, `${Math.round(performance.now() - began)} ms`)
    const stop = await settled(here, made.reply.stop!.id)
    assert.deepEqual([stop.state, serversOf(stop).map((one) => one.state), serversOf(stop).map((one) => one.calls).toSorted((a, b) => a - b)], ['contained', ['acknowledged', 'acknowledged'], [0, 1]])
    await here.operator(registry.resumeIdentity, { parameters: { id: bot.id }, body: { reason: 'looked at' } })
  })

  test('a server that stands still has confirmed nothing: it is not contained before it has; of one that died with a call nobody can tell', async () => {
    const [here, there] = several.writs
    const { access } = await hangingThere()
    const paused = there.pause()
    const made = await stopping(here, 'task', access.task)
    const pending = await eventually('all but the other one have confirmed', async () => {
      const stop = await stopOf(here, made.reply.stop!.id)
      return stop.confirmed === stop.of - 1 && stop
    })
    assert.deepEqual([pending.state, serversOf(pending).map((one) => one.state).toSorted()], ['containing', ['acknowledged', 'pending']])
    paused.resume()
    assert.equal((await settled(here, made.reply.stop!.id)).state, 'contained')

    const second = await hangingThere()
    await there.kill()
    const left = await stopping(here, 'task', second.access.task)
    assert.equal((await stopOf(here, left.reply.stop!.id)).state, 'containing')
    await there.restart()
    const lost = await settled(here, left.reply.stop!.id)
    assert.deepEqual([lost.state, serversOf(lost).map((one) => `${one.state} ${one.calls_lost}`).toSorted((a, b) => a.localeCompare(b))], ['not_proved', ['acknowledged 0', 'lost 1']])
  })
})
