import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as events from '@writ/contract/events'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { eventually } from '../eventually.ts'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { addShop, leased, open, opened, refusalOf, show } from '../governed-writ.ts'
import { eventsOf, inStoreOf, keptIn, onEachStore, refused } from '../kept.ts'
import type { RunningWrit, TestIdentity } from '../running-writ.ts'

const STATE_CHANGES = { suspend: registry.suspendIdentity, resume: registry.resumeIdentity, retire: registry.retireIdentity } as const
type StateChange = keyof typeof STATE_CHANGES

const change = (writ: RunningWrit, id: string, to: StateChange) =>
  writ.operator(STATE_CHANGES[to], { parameters: { id }, body: { reason: `to ${to}` } })
const whoAmI = (by: TestIdentity) => by.api(registry.whoAmI)

onEachStore('the life of an identity', (writ) => {
  test('it is suspended and resumed, by its id or by its name, and each is one event with who and why', async () => {
    const bot = await writ().register('pause')
    for (const [to, reference, type] of [['suspend', bot.id, 'identity.suspended'], ['resume', bot.spiffeId, 'identity.resumed']] as const) {
      const before = await keptIn(writ())
      const got = await change(writ(), reference, to)
      assert.deepEqual([got.status, got.reply.state, got.reply.state_reason], [200, to === 'suspend' ? 'suspended' : 'active', `to ${to}`], got.text)
      assert.equal((await keptIn(writ())).event, before.event + 1)
      const event = (await eventsOf(writ(), 'human')).at(-1)!
      assert.deepEqual([event.type, event.identity, event.actor.kind, event.said], [type, bot.id, 'operator', { reason: `to ${to}` }])
      assert.equal((await whoAmI(bot)).status, to === 'suspend' ? 401 : 200)
    }
  })

  for (const { path, to, code } of [
    { path: [], to: 'resume', code: 'already_in_state' },
    { path: ['suspend'], to: 'suspend', code: 'already_in_state' },
    { path: ['retire'], to: 'suspend', code: 'identity_retired' },
    { path: ['retire'], to: 'resume', code: 'identity_retired' },
    { path: ['retire'], to: 'retire', code: 'identity_retired' },
    { path: ['suspend', 'retire'], to: 'resume', code: 'identity_retired' },
  ] as const) {
    test(`after ${['register', ...path].join(', ')} it can not ${to}, and nothing is written`, async () => {
      const bot = await writ().register(`path-${['', ...path, to].join('-')}`)
      for (const step of path) assert.equal((await change(writ(), bot.id, step)).status, 200)
      await refused(writ(), () => change(writ(), bot.id, to), { status: 409, code })
    })
  }

  test('a change without a reason is refused by name, and an identity that is not there is not found', async () => {
    const bot = await writ().register('reasons')
    for (const of of Object.values(STATE_CHANGES)) {
      for (const body of [{}, { reason: '' }, { reason: ' ' }, { reason: 'x', force: true }]) await refused(writ(),
        () => writ().operator(of, { parameters: { id: bot.id }, body }), { status: 400, code: 'invalid_fields' })
      for (const id of ['nhi_nobody', 'spiffe://acme.example/nobody', `${bot.id}x`]) await refused(writ(),
        () => writ().operator(of, { parameters: { id }, body: { reason: 'x' } }), { status: 404, code: 'identity_not_found' })
    }
  })

  test('retired is for ever: its keys are revoked, no new one is taken, nobody signs in, no owner changes', async () => {
    const bot = await writ().register('ended')
    const retired = await change(writ(), bot.id, 'retire')
    assert.deepEqual([retired.reply.state, retired.reply.credentials.map((one) => one.state)], ['retired', ['revoked']])
    assert.deepEqual((await eventsOf(writ(), 'human')).slice(-2).map((one) => one.type), ['identity.retired', 'credential.revoked'])
    await refused(writ(), () => whoAmI(bot), { status: 401, code: 'unauthenticated' })
    const key = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' }
    await refused(writ(), () => writ().operator(registry.addKey, { parameters: { id: bot.id }, body: { key } }),
      { status: 409, code: 'identity_retired' })
    await refused(writ(), () => writ().operator(registry.transferIdentity,
      { parameters: { id: bot.id }, body: { technical: 'team:b', reason: 'x' } }), { status: 409, code: 'identity_retired' })
  })

  test('not even a superuser of the database brings a retired identity or a revoked key back, or rewrites who an identity is', async () => {
    const bot = await writ().register('guarded')
    await change(writ(), bot.id, 'retire')
    for (const [statement, rule] of [
      ['update identity set state = \'active\' where id = $1', 'identity_retired_is_for_ever'],
      ['update identity set state = \'suspended\' where id = $1', 'identity_retired_is_for_ever'],
      ['update identity set spiffe_id = \'spiffe://acme.example/other\' where id = $1', 'identity_is_frozen'],
      ['update identity set registered_at = 1 where id = $1', 'identity_is_frozen'],
      ['update identity set technical_owner = \'\' where id = $1', 'identity_has_technical_owner'],
      ['update identity set business_owner = \'\' where id = $1', 'identity_has_business_owner'],
      ['update identity set purpose = \'\' where id = $1', 'identity_has_purpose'],
      ['update identity set system_scope = \'[]\' where id = $1', 'identity_has_scope'],
      ['update identity set trigger_kind = \'none\' where id = $1', 'identity_trigger_known'],
      ['update identity set ends_at = 1 where id = $1', 'identity_ends_after_start'],
      ['update credential set state = \'live\', revoked_at = null where identity_id = $1', 'credential_revoked_is_for_ever'],
      ['update credential set jwk = \'{}\' where identity_id = $1', 'credential_is_frozen'],
      ['delete from credential where identity_id = $1', 'credential_is_never_deleted'],
      ['delete from identity where id = $1', 'identity_is_never_deleted'],
      ['update admission set answer = \'delegated_token\' where $1 = $1', 'admission_is_append_only'],
      ['delete from admission where $1 = $1', 'admission_is_append_only'],
    ] as const) {
      await assert.rejects(inStoreOf(writ(), statement, [bot.id]), (error: Error) => error.message.includes(rule), statement)
    }
    assert.equal((await writ().operator(registry.showIdentity, { parameters: { id: bot.id } })).reply.state, 'retired')
  })

  test('a transfer records the owners before and after, and the next task names the new ones', async () => {
    const bot = await writ().register('moved')
    const got = await writ().operator(registry.transferIdentity,
      { parameters: { id: bot.id }, body: { technical: 'team:shop', business: 'person:noor@acme.example', reason: 'Maya moved on' } })
    assert.deepEqual([got.status, got.reply.owners], [200, { technical: 'team:shop', business: 'person:noor@acme.example' }], got.text)
    const told = (await eventsOf(writ(), 'human')).at(-1)!
    assert.deepEqual([told.type, told.said], ['identity.transferred', {
      technical_owner_before: 'team:platform', business_owner_before: 'person:maya@acme.example', technical_owner: 'team:shop',
        business_owner: 'person:noor@acme.example', reason: 'Maya moved on',
    }])
    const one = await writ().operator(registry.transferIdentity, { parameters: { id: bot.id }, body: { business: 'team:finance', reason: 'again' } })
    assert.deepEqual(one.reply.owners, { technical: 'team:shop', business: 'team:finance' })
    const task = await open(bot)
    assert.equal(task.status, 201, task.text)
    const { events: [first] } = (await writ().operator(events.listEvents, { query: { task: task.reply.id } })).reply
    assert.deepEqual([first!.type, first!.said['technical_owner'], first!.said['business_owner']], ['task.opened', 'team:shop', 'team:finance'])
    await refused(writ(), () => writ().operator(registry.transferIdentity, { parameters: { id: bot.id }, body: { reason: 'to nobody' } }),
      { status: 400, code: 'invalid_fields' })
    await refused(writ(), () => writ().operator(registry.transferIdentity,
      { parameters: { id: bot.id }, body: { technical: '', reason: 'to nobody' } }), { status: 400, code: 'invalid_fields' })
  })

  test('of a suspension and a retirement that come at once, the identity ends retired', async () => {
    for (let i = 0; i < 5; i++) {
      const bot = await writ().register(`both-${i}`)
      const got = await Promise.all((['suspend', 'retire'] as const).map((to) => change(writ(), bot.id, to)))
      assert.ok(got.every((one) => one.status === 200 || one.problem.code === 'identity_retired'), got.map((one) => one.text).join('\n'))
      assert.equal((await writ().operator(registry.showIdentity, { parameters: { id: bot.id } })).reply.state, 'retired')
    }
  })

  test('no task is open for a suspended identity, however many open while it is being suspended', async () => {
    for (let i = 0; i < 3; i++) {
      const bot = await writ().register(`busy-${i}`)
      const opening = Array.from({ length: 8 }, () => open(bot))
      const [suspended, ...got] = await Promise.all([change(writ(), bot.id, 'suspend'), ...opening])
      assert.equal(suspended.status, 200, suspended.text)
      assert.ok(got.every((one) => [201, 401, 409].includes(one.status)), got.map((one) => one.text).join('\n'))
      assert.equal((await inStoreOf(writ(), 'select 1 from task where identity_id = $1 and state = \'open\'', [bot.id])).length, 0)
    }
  })
})

onEachStore('an identity that is stopped while it works', (writ) => {
  let shop: GovernedPostgres
  before(async () => {
    shop = await governedPostgres(18)
    await addShop(writ(), shop)
  })
  after(() => shop.remove())

  for (const { to, reason } of [{ to: 'suspend', reason: 'identity_suspended' }, { to: 'retire', reason: 'identity_retired' }] as const) {
    test(`to ${to} it ends its open tasks and withdraws their leases, and its login is refused`, async () => {
      const bot = await writ().register(`worker-${to}`)
      const bystander = await writ().register(`bystander-${to}`)
      const [first, second, other] = [await opened(bot), await opened(bot), await opened(bystander)]
      const lease = await leased(bot, first)
      const kept = await leased(bystander, other)
      const got = await change(writ(), bot.id, to)
      assert.equal(got.status, 200, got.text)
      for (const task of [first, second]) {
        const certificate = await writ().operator(tasks.certificate, { parameters: { id: task }, query: { wait_seconds: '20' } })
        assert.equal(certificate.status, 200, certificate.text)
        const seen = (await show({ api: writ().operator }, task)).reply
        assert.deepEqual([seen.state, seen.end_reason], ['closed', reason])
      }
      assert.equal((await show({ api: writ().operator }, first)).reply.leases[0]!.outcome, 'proved')
      assert.match(await refusalOf(lease), /^28/)
      await refused(writ(), () => open(bot), { status: 401, code: 'unauthenticated' })
      const ends = (await eventsOf(writ(), 'non-human')).filter((one) => one.type === 'task.ended' && one.identity === bot.id)
      assert.deepEqual(ends.map((one) => one.facts['reason']), [reason, reason])
      const untouched = (await show(bystander, other)).reply
      assert.deepEqual([untouched.state, untouched.leases[0]!.state], ['open', 'live'])
      assert.deepEqual(await shop.rolesNamed(kept.user), [kept.user])
      await bystander.api(tasks.completeTask, { parameters: { id: other } })
      await eventually('the bystander\'s role is gone', async () => (await shop.rolesNamed(kept.user)).length === 0)
    })
  }
})
