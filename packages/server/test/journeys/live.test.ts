import assert from 'node:assert/strict'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, test } from 'node:test'
import { listEvents } from '@writ/contract/events'
import { UNATTENDED } from '@writ/contract/endpoint'
import { revokeSignIn, takeRole } from '@writ/contract/people'
import { whoAmI } from '@writ/contract/registry'
import { addOperator, removeOperator } from '@writ/contract/operators'
import { Client } from 'pg'
import { eventually } from '../eventually.ts'
import { complete, opened } from '../governed-writ.ts'
import { eventsOf, inStoreOf, onEachStore } from '../kept.ts'
import { listen } from '../live-stream.ts'
import { signInAs } from '../people.ts'
import { startSeveral } from '../several-writs.ts'
import { startWrit } from '../running-writ.ts'

onEachStore('the live stream', (writ, store) => {
  test('it begins with hello and then tells what is recorded, within a second, without what was said', async () => {
    const stream = await listen(writ())
    assert.deepEqual({ ...stream.hello(), at: '' }, { at: '', resumed: false, heartbeat_ms: 5000 })
    const began = Date.now()
    const worker = await writ().register('live-worker')
    const seen = await stream.sees('identity.registered')
    assert.ok(Date.now() - began < 1000, `${Date.now() - began} ms`)
    const full = (await eventsOf(writ())).find((event) => event.id === seen.id)!
    assert.deepEqual(Object.keys(seen).toSorted(), ['actor', 'at', 'facts', 'id', 'identity', 'lease', 'stream', 'task', 'type'])
    assert.deepEqual(seen, Object.fromEntries(Object.keys(seen).map((key) => [key, full[key as keyof typeof full]])))
    assert.equal(seen.identity, worker.id)
    stream.cut()
  })

  test('whoever comes back after a cut gets everything that was recorded meanwhile, once and in order, and goes on from there', async () => {
    const worker = await writ().register('live-resumed')
    const first = await listen(writ())
    await complete(worker, await opened(worker))
    await first.sees('task.closed')
    first.cut()
    const before = (await eventsOf(writ())).length
    for (let i = 0; i < 3; i++) await complete(worker, await opened(worker))
    await eventually('all of it is recorded', async () => (await eventsOf(writ())).filter((event) => event.type === 'task.closed').length === 4)
    const second = await listen(writ(), { lastId: first.lastId() })
    assert.equal(second.hello().resumed, true)
    await complete(worker, await opened(worker))
    await eventually('the last task is told of', () => second.events().filter((event) => event.type === 'task.closed').length === 4)
    const all = (await eventsOf(writ())).map((event) => event.id)
    const told = [...first.events(), ...second.events()].map((event) => event.id)
    assert.deepEqual(told, all.slice(all.indexOf(told[0]!)))
    assert.ok(told.length > all.length - before)
    second.cut()
  })

  test('an id that the log does not hold begins anew, and says so', async () => {
    const stream = await listen(writ(), { lastId: 'evt_01zzzzzzzzzzzzzzzzzzzzzzzz' })
    assert.equal(stream.hello().resumed, false)
    stream.cut()
  })

  test('of one task only, or of one stream', async () => {
    const worker = await writ().register('live-filtered')
    const task = await opened(worker)
    const stream = await listen(writ(), { query: { task, stream: 'non-human' } })
    await opened(worker)
    await complete(worker, task)
    await stream.sees('task.closed')
    assert.deepEqual([...new Set(stream.events().map((event) => event.task))], [task])
    stream.cut()
  })

  test('nobody but an operator hears it', async () => {
    const worker = await writ().register('live-curious')
    for (const [bearer, status] of [[worker.assertion(), 403], ['nothing', 401], ['', 401]] as const) assert.equal((await listen(writ(), { bearer })).status, status)
  })

  test('the stream of an operator who is removed ends', async () => {
    const added = (await writ().operator(addOperator, { body: { name: 'Noor' } })).reply
    const stream = await listen(writ(), { bearer: added.key })
    await writ().operator(removeOperator, { parameters: { id: added.id }, body: { reason: 'left' } })
    await stream.ended
    assert.equal((await listen(writ(), { bearer: added.key })).status, 401)
  })

  test('a person hears what their roles let them see: a viewer all, an owner what concerns their own', async () => {
    const [viewer, owner, nobody] = [
      await signInAs(writ(), { roles: ['viewer'], passkey: false }), await signInAs(writ(), { roles: ['owner'], email: 'ana@acme.example', passkey: false }), await signInAs(writ(), { passkey: false }),
    ]
    const mine = await writ().register('live-mine', { owners: { technical: 'team:platform', business: 'person:ana@acme.example' } })
    const other = await writ().register('live-theirs')
    assert.equal((await listen(writ(), { cookie: nobody.cookie })).status, 403)
    const [all, own] = [await listen(writ(), { cookie: viewer.cookie }), await listen(writ(), { cookie: owner.cookie })]
    await complete(other, await opened(other))
    await complete(mine, await opened(mine))
    await own.sees('task.closed')
    await eventually('the viewer sees both', () => all.events().filter(({ type }) => type === 'task.closed').length === 2)
    assert.deepEqual([...new Set(own.events().map(({ identity }) => identity))], [mine.id])
    all.cut()
    // Whose owner somebody is may be another thing from here on: the stream begins anew.
    await writ().register('live-one-more')
    await own.ended
  })

  test('the stream of a person whose role is taken ends, and no other', async () => {
    const [admin, viewer] = [await signInAs(writ(), { roles: ['admin'], passkey: false }), await signInAs(writ(), { roles: ['viewer'], passkey: false })]
    const stream = await listen(writ(), { cookie: viewer.cookie })
    const still = await listen(writ(), { cookie: admin.cookie })
    const taken = await writ().operator(takeRole, { parameters: { id: viewer.id }, body: { role: 'viewer', reason: 'moved on' } })
    assert.equal(taken.status, 200, taken.text)
    await stream.ended
    assert.equal((await listen(writ(), { cookie: viewer.cookie })).status, 403)
    await still.sees('role.taken')
    still.cut()
  })

  test('a stream is no use of the sign-in that opened it, and ends with it: when it idles, when its time is over, when it is revoked', async () => {
    const soon = Date.now() + 3000
    const signedIn = (until: { readonly idle?: number; readonly over?: number }) => signInAs(writ(), { roles: ['viewer'], passkey: false, until })
    const [idle, over, used, revoked] = [await signedIn({ idle: soon }), await signedIn({ over: soon }), await signedIn({ idle: soon }), await signedIn({})]
    const idleUntil = async ({ signIn }: typeof idle) => Number((await inStoreOf(writ(), 'select idle_until from sign_in where id = $1', [signIn]))[0]!['idle_until'])
    const [idles, ends, kept, gone] = await Promise.all([idle, over, used, revoked].map(({ cookie }) => listen(writ(), { cookie })))
    // What a page asks of itself is none either; whoever does not say that it does is there.
    assert.equal((await idle.api(whoAmI, { headers: { [UNATTENDED]: '1' } })).status, 200)
    assert.equal((await used.api(whoAmI)).status, 200)
    assert.deepEqual([await idleUntil(idle), await idleUntil(used) > soon], [soon, true])
    await writ().operator(revokeSignIn, { parameters: { id: revoked.signIn }, body: { reason: 'left open at the office' } })
    await gone!.ended
    await Promise.all([idles!.ended, ends!.ended])
    assert.ok(Date.now() >= soon, 'not before')
    for (const { cookie } of [idle, over, revoked]) assert.equal((await listen(writ(), { cookie })).status, 401)
    assert.equal(await idleUntil(idle), soon)
    await writ().register('live-kept')
    await kept!.sees('identity.registered')
    for (const stream of [idles!, ends!, gone!]) assert.ok(!stream.events().some(({ type }) => type === 'identity.registered'))
    kept!.cut()
  })

  test('two hundred listeners share one reading, and one that does not read holds up nobody', async () => {
    const deaf = await fetch(`${writ().url}/v1/live`, { headers: { authorization: `Bearer ${writ().operatorKey}` } })
    const streams = await Promise.all(Array.from({ length: 200 }, () => listen(writ())))
    await writ().register(`live-many-${store}`)
    await Promise.all(streams.map((stream) => stream.sees('identity.registered')))
    for (const stream of streams) stream.cut()
    await deaf.body?.cancel()
  })
})

describe('the live stream of several servers', () => {
  test('what another server records is told within a second', async (t) => {
    const several = await startSeveral({ env: { WRIT_LOG: 'warn' } })
    t.after(() => several.stop())
    const [here, there] = several.writs
    const stream = await listen(there)
    const began = Date.now()
    await here.register('elsewhere')
    await stream.sees('identity.registered')
    assert.ok(Date.now() - began < 1500, `${Date.now() - began} ms`)
    stream.cut()
  })
})

test('nothing is told on PostgreSQL while a transaction that took a lower number may still commit', async (t) => {
  const writ = await startWrit({ store: 'postgres' })
  t.after(() => writ.stop())
  const stream = await listen(writ)
  const slow = new Client({ connectionString: writ.databaseUrl! })
  await slow.connect()
  await slow.query('begin')
  await slow.query("insert into event (id, stream, type, at, leaf, leaf_hash, mac) values ('slow', 'human', 'backend.tested', 1, '{}', '\\x00', '\\x00')")
  const { id } = await writ.register('behind')
  await pause(600)
  assert.equal(stream.events().length, 0)
  await slow.query('commit')
  const told = await stream.sees('identity.registered')
  assert.equal(told.identity, id)
  await slow.end()
  stream.cut()
})

test('a server that stops ends its streams at once, and a new one goes on where they were', async (t) => {
  const writ = await startWrit({ store: 'sqlite' })
  t.after(() => writ.stop())
  const stream = await listen(writ)
  await writ.register('before')
  await stream.sees('identity.registered')
  const began = Date.now()
  await Promise.all([writ.kill('SIGTERM'), stream.ended])
  assert.ok(Date.now() - began < 3000, `${Date.now() - began} ms`)
  await writ.restart()
  const again = await listen(writ, { lastId: stream.lastId() })
  await again.sees('server.started')
  assert.equal(again.hello().resumed, true)
  const last = (await writ.operator(listEvents, { query: { limit: '1000' } })).reply.events.map((event) => event.id)
  assert.deepEqual(again.events().map((event) => event.id), last.slice(last.indexOf(stream.lastId()!) + 1))
  again.cut()
})
