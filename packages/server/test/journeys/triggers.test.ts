import assert from 'node:assert/strict'
import { createHmac, randomUUID } from 'node:crypto'
import { test } from 'node:test'
import * as backends from '@writ/contract/backends'
import * as issuers from '@writ/contract/issuers'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { governedPostgres } from '../governed-postgres.ts'
import { addShop, leased, opened, show } from '../governed-writ.ts'
import { eventsOf, inStoreOf, keptIn, onEachStore, refused } from '../kept.ts'
import { REGISTRATION, type RunningWrit } from '../running-writ.ts'

type Hook = { readonly id: string; readonly secret: string; readonly spiffeId: string }

async function hooked(writ: RunningWrit, name: string): Promise<Hook> {
  const spiffeId = `spiffe://acme.example/${name}`
  const got = await writ.operator(registry.registerIdentity, { body: { ...REGISTRATION, spiffe_id: spiffeId, trigger: { kind: 'webhook' } } })
  assert.equal(got.status, 201, got.text)
  const { path, secret } = got.reply.webhook!
  assert.equal(path, `/v1/triggers/${got.reply.identity!.id}`)
  return { id: got.reply.identity!.id, secret, spiffeId }
}

type Message = { readonly id?: string; readonly at?: number; readonly body?: string; readonly secret?: string; readonly signature?: string }

/** Standard Webhooks 1.0 §signature scheme: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`. */
function headersOf(secret: string,
  { id = randomUUID(), at = Math.floor(Date.now() / 1000), body = '{"type":"system.deleted"}', signature }: Message): Record<string, string> {
  const mac = createHmac('sha256', secret).update(`${id}.${at}.${body}`).digest('base64')
  return { 'webhook-id': id, 'webhook-timestamp': String(at), 'webhook-signature': signature ?? `v1,${mac}` }
}

const send = (writ: RunningWrit, to: string, secret: string, message: Message = {}) =>
  writ.stranger(registry.fireTrigger,
    { parameters: { id: to }, body: message.body ?? '{"type":"system.deleted"}', headers: headersOf(secret, message) })

const stateOf = async (writ: RunningWrit, id: string): Promise<string> =>
  (await writ.operator(registry.showIdentity, { parameters: { id } })).reply.state
const seconds = (ahead: number): number => Math.floor(Date.now() / 1000) + ahead
const REFUSED = { status: 401, code: 'bad_webhook_signature' } as const

onEachStore('the webhook of a system that is gone', (writ) => {
  test('the true word retires the identity with no person acting, and ends what it does', async () => {
    const { id, secret } = await hooked(writ(), 'true')
    const got = await send(writ(), id, secret)
    assert.deepEqual([got.status, got.reply], [202, { retired: true }], got.text)
    assert.equal(await stateOf(writ(), id), 'retired')
    const event = (await eventsOf(writ(), 'non-human')).at(-1)!
    assert.deepEqual([event.type, event.identity, event.actor], ['identity.trigger_fired', id, { kind: 'writ', id: 'writ' }])
  })

  test('a suspended identity is retired too, and the word about one that is retired changes nothing', async () => {
    const { id, secret } = await hooked(writ(), 'asleep')
    await writ().operator(registry.suspendIdentity, { parameters: { id }, body: { reason: 'a look at it' } })
    assert.deepEqual((await send(writ(), id, secret)).reply, { retired: true })
    const before = await keptIn(writ())
    const again = await send(writ(), id, secret)
    assert.deepEqual([again.status, again.reply], [202, { retired: false }])
    assert.deepEqual(await keptIn(writ()), before)
  })

  for (const { what, forge } of [
    { what: 'has a signature of zeros', forge: () => ({ signature: `v1,${Buffer.alloc(32).toString('base64')}` }) },
    { what: 'has a signature cut short', forge: () => ({ signature: 'v1,AAAA' }) },
    { what: 'has a signature of another version', forge: () => ({ signature: 'v1a,AAAA' }) },
    { what: 'has no signature', forge: () => ({ signature: '' }) },
    { what: 'is six minutes old', forge: () => ({ at: seconds(-360) }) },
    { what: 'is six minutes ahead', forge: () => ({ at: seconds(360) }) },
    { what: 'has no time', forge: () => ({ at: Number.NaN }) },
    { what: 'has a time of ever so many digits', forge: () => ({ at: 1e20 }) },
    { what: 'has an id with a blank', forge: () => ({ id: 'a b' }) },
    { what: 'has an id that is too long', forge: () => ({ id: 'x'.repeat(201) }) },
  ]) {
    test(`a word is refused that ${what}`, async () => {
      const { id, secret } = await hooked(writ(), `forged-${what.replaceAll(/[^a-z]/g, '-')}`)
      await refused(writ(), () => send(writ(), id, secret, forge()), REFUSED)
      assert.equal(await stateOf(writ(), id), 'active')
    })
  }

  test('a word is refused that another identity\'s system has signed, or nobody\'s, or that says something else than was signed', async () => {
    const [one, other] = [await hooked(writ(), 'one'), await hooked(writ(), 'other')]
    const unhooked = await writ().register('unhooked')
    await refused(writ(), () => send(writ(), one.id, other.secret), REFUSED)
    await refused(writ(), () => send(writ(), one.id, 'writ_hook_guess'), REFUSED)
    await refused(writ(), () => send(writ(), one.id, 'nobody'), REFUSED)
    await refused(writ(), () => send(writ(), one.id, ''), REFUSED)
    for (const id of [unhooked.id, 'nhi_00000000000000000000000000', 'nobody', one.spiffeId]) await refused(writ(), () => send(writ(), id, 'nobody'),
      REFUSED)
    const changed = await refused(writ(),
      () => writ().stranger(registry.fireTrigger, { parameters: { id: one.id }, body: '{"other":1}', headers: headersOf(one.secret, {}) }), REFUSED)
    assert.ok(!changed.text.includes(one.secret))
    for (const { id } of [one, other]) assert.equal(await stateOf(writ(), id), 'active')
  })

  test('a word is heard once', async () => {
    const { id, secret } = await hooked(writ(), 'heard')
    const message = { id: randomUUID(), at: seconds(0) }
    assert.equal((await send(writ(), id, secret, message)).status, 202)
    await refused(writ(), () => send(writ(), id, secret, message), REFUSED)
  })

  test('of two signatures one is enough, as during a change of secrets', async () => {
    const { id, secret } = await hooked(writ(), 'two-keys')
    const body = '{}'
    const good = headersOf(secret, { body })
    const got = await writ().stranger(registry.fireTrigger,
      { parameters: { id }, body, headers: { ...good, 'webhook-signature': `v1,AAAA ${good['webhook-signature']}` } })
    assert.equal(got.status, 202, got.text)
  })

  test('an oversized word is refused unread', async () => {
    const { id, secret } = await hooked(writ(), 'loud')
    await refused(writ(), () => send(writ(), id, secret, { body: JSON.stringify({ x: 'y'.repeat(2_000_000) }) }), { status: 413, code: 'too_large' })
    assert.equal(await stateOf(writ(), id), 'active')
  })

  test('its secret is shown to the one who registered, again to the repeat of that request, and to nobody else', async () => {
    const ask = { body: { ...REGISTRATION, spiffe_id: 'spiffe://acme.example/shown', trigger: { kind: 'webhook' } },
      headers: { 'idempotency-key': 'shown-once-please' } }
    const first = (await writ().operator(registry.registerIdentity, ask)).reply
    const again = (await writ().operator(registry.registerIdentity, ask)).reply
    assert.deepEqual(again.webhook, first.webhook)
    const { secret } = first.webhook!
    const shown = await writ().operator(registry.showIdentity, { parameters: { id: first.identity!.id } })
    const listed = await writ().operator(registry.listIdentities, { query: { limit: '1000' } })
    assert.ok(![shown.text, listed.text, JSON.stringify(await eventsOf(writ())), writ().log()].some((text) => text.includes(secret)))
    const rows = await inStoreOf(writ(), 'select sealed_secret as text from trigger_hook union all select result from idempotency')
    assert.ok(!rows.some((row) => String(row['text']).includes(secret)))
  })

  test('a word that was cut off by a crash may come again, and then it is heard', async () => {
    const { id, secret } = await hooked(writ(), 'crash')
    const message = { id: randomUUID(), at: seconds(0) }
    await writ().kill()
    await writ().restart({ WRIT_FAILPOINT: 'store.before_commit:identity.fire_trigger' })
    await assert.rejects(send(writ(), id, secret, message))
    await writ().ended()
    await writ().restart({ WRIT_FAILPOINT: '' })
    assert.equal(await stateOf(writ(), id), 'active')
    const got = await send(writ(), id, secret, message)
    assert.deepEqual([got.status, got.reply], [202, { retired: true }], got.text)
  })
})

onEachStore('a thing that identities hang from', (writ) => {
  test('an issuer that is removed retires those whose trigger it is, and no other', async () => {
    const [url, otherUrl] = ['https://ci.acme.example', 'https://ci.other.example']
    const trusted = await writ().operator(issuers.trustIssuer, { body: { url } })
    assert.equal(trusted.status, 201, trusted.text)
    await writ().operator(issuers.trustIssuer, { body: { url: otherUrl } })
    const bots = [await writ().register('ci-1', { trigger: { kind: 'issuer_removed', issuer: url } }),
      await writ().register('ci-2', { trigger: { kind: 'issuer_removed', issuer: url } })]
    const others = [await writ().register('ci-3', { trigger: { kind: 'issuer_removed', issuer: otherUrl } }), await writ().register('ci-4')]
    const task = await opened(bots[0]!)
    await refused(writ(), () => writ().operator(issuers.trustIssuer, { body: { url } }), { status: 409, code: 'already_exists' })
    await refused(writ(), () => writ().operator(issuers.removeIssuer, { parameters: { id: 'iss_nobody' }, body: { reason: 'x' } }),
      { status: 404, code: 'no_such_thing' })
    const removed = await writ().operator(issuers.removeIssuer, { parameters: { id: trusted.reply.id }, body: { reason: 'the pipeline is closed' } })
    assert.deepEqual([removed.status, removed.reply.state], [200, 'removed'], removed.text)
    for (const bot of bots) {
      const seen = (await writ().operator(registry.showIdentity, { parameters: { id: bot.id } })).reply
      assert.deepEqual([seen.state, seen.credentials.map((one) => one.state)], ['retired', ['revoked']])
      await refused(writ(), () => bot.api(registry.whoAmI), { status: 401, code: 'unauthenticated' })
    }
    for (const bot of others) assert.equal(await stateOf(writ(), bot.id), 'active')
    await writ().operator(tasks.certificate, { parameters: { id: task }, query: { wait_seconds: '20' } })
    const ended = (await show({ api: writ().operator }, task)).reply
    assert.deepEqual([ended.state, ended.end_reason], ['closed', 'identity_retired'])
    await refused(writ(), () => writ().operator(issuers.removeIssuer, { parameters: { id: trusted.reply.id }, body: { reason: 'again' } }),
      { status: 409, code: 'already_removed' })
    assert.equal((await writ().operator(issuers.trustIssuer, { body: { url } })).status, 201, 'trusted anew')
    for (const bot of bots) assert.equal(await stateOf(writ(), bot.id), 'retired')
    for (const wrong of ['http://plain.example', 'nonsense', '', 5]) await refused(writ(),
      () => writ().operator(issuers.trustIssuer, { body: { url: wrong } }), { status: 400, code: 'invalid_fields' })
  })

  test('a back end that is removed retires those whose trigger it is, once no lease of it is open', async () => {
    const shop = await governedPostgres(18)
    try {
      await addShop(writ(), shop)
      const bot = await writ().register('shopper', { trigger: { kind: 'backend_removed', backend: 'shop' } })
      const other = await writ().register('passer-by')
      const task = await opened(bot)
      await leased(bot, task)
      const remove = () => writ().operator(backends.removeBackend, { parameters: { name: 'shop' }, body: { reason: 'the shop is closed' } })
      await refused(writ(), remove, { status: 409, code: 'leases_open' })
      await bot.api(tasks.completeTask, { parameters: { id: task } })
      assert.equal((await writ().operator(tasks.certificate, { parameters: { id: task }, query: { wait_seconds: '20' } })).status, 200)
      const next = await opened(bot)
      const removed = await remove()
      assert.deepEqual([removed.status, removed.reply.state], [200, 'removed'], removed.text)
      assert.equal(await stateOf(writ(), bot.id), 'retired')
      assert.equal(await stateOf(writ(), other.id), 'active')
      assert.equal((await show({ api: writ().operator }, next)).reply.end_reason, 'identity_retired')
      const fired = (await eventsOf(writ(), 'non-human')).filter((one) => one.type === 'identity.trigger_fired' && one.identity === bot.id)
      assert.deepEqual(fired.map((one) => [one.actor.kind, one.facts['trigger']]), [['writ', 'backend_removed']])
      await refused(writ(), remove, { status: 409, code: 'already_removed' })
      await refused(writ(), () => writ().operator(registry.registerIdentity,
        { body: { ...REGISTRATION, spiffe_id: 'spiffe://acme.example/late', trigger: { kind: 'backend_removed', backend: 'shop' } } }),
        { status: 400, code: 'trigger_watches_nothing' })
    } finally {
      await shop.remove()
    }
  })
})
