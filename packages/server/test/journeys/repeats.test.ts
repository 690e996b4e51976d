import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import * as registry from '@writ/contract/registry'
import { eventsOf, keptIn, onEachStore, refused } from '../kept.ts'
import { REGISTRATION, type RunningWrit } from '../running-writ.ts'

const id = (name: string): string => `spiffe://acme.example/${name}`
const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
const register = (writ: RunningWrit, name: string, key: string, more: object = {}) =>
  writ.operator(registry.registerIdentity, { body: { ...REGISTRATION, spiffe_id: id(name), ...more }, headers: { 'idempotency-key': key } })

onEachStore('requests that come again', (writ) => {
  test('a registration that comes again with its key gets the same identity, and there is one', async () => {
    const first = await register(writ(), 'again', 'key-of-again')
    const before = await keptIn(writ())
    const second = await register(writ(), 'again', 'key-of-again')
    assert.deepEqual([first.status, second.status], [201, 201])
    assert.deepEqual(second.reply, first.reply)
    assert.deepEqual(await keptIn(writ()), before)
  })

  test('the same key with another request is refused', async () => {
    await register(writ(), 'other', 'key-of-other')
    await refused(writ(), () => register(writ(), 'other-2', 'key-of-other'), { status: 422, code: 'idempotency_key_reused' })
    await refused(writ(), () => writ().operator(registry.suspendIdentity,
      { parameters: { id: id('other') }, body: { reason: 'x' }, headers: { 'idempotency-key': 'key-of-other' } }),
      { status: 422, code: 'idempotency_key_reused' })
  })

  test('a refused request does not use its key up', async () => {
    await refused(writ(), () => register(writ(), 'mended', 'key-of-mended', { ends_at: '2020-01-01' }), { status: 400, code: 'ends_in_the_past' })
    assert.equal((await register(writ(), 'mended', 'key-of-mended')).status, 201)
  })

  for (const key of ['short', 'x'.repeat(201), 'with a space in it']) {
    test(`a key of ${key.length} characters like \`${key.slice(0, 10)}\` is refused`, async () => {
      await refused(writ(), () => register(writ(), 'badkey', key), { status: 400, code: 'bad_idempotency_key' })
    })
  }

  test('a storm of repeats, five of each of twenty registrations at once, makes twenty identities and tells each caller the same', async () => {
    const before = await keptIn(writ())
    const asked = Array.from({ length: 100 }, (_, i) => i % 20)
    const got = await Promise.all(asked.map((n) => register(writ(), `storm-${n}`, `key-of-storm-${n}`)))
    assert.deepEqual([...new Set(got.map((one) => one.status))], [201])
    for (let n = 0; n < 20; n++) {
      const ids = new Set(got.filter((_, i) => asked[i] === n).map((one) => one.reply.identity!.id))
      assert.equal(ids.size, 1)
    }
    const after = await keptIn(writ())
    assert.deepEqual(
      [after.identity - before.identity, after.admission - before.admission, after.event - before.event, after.idempotency - before.idempotency],
        [20, 20, 40, 20],
    )
  })

  test('a key that comes again with its request is registered once, and both callers are told so', async () => {
    await register(writ(), 'keyed', 'key-of-keyed')
    const ask = { parameters: { id: id('keyed') }, body: { key: newKey() }, headers: { 'idempotency-key': 'key-of-addkey' } }
    const got = await Promise.all([1, 2, 3].map(() => writ().operator(registry.addKey, ask)))
    assert.deepEqual(got.map((one) => one.status), [201, 201, 201], got.map((one) => one.text).join('\n'))
    assert.ok(got.every((one) => one.reply.credentials.length === 1))
  })

  test('a suspension that comes again is answered again, and is one event', async () => {
    await register(writ(), 'stopped', 'key-of-stopped')
    const before = await keptIn(writ())
    const ask = { parameters: { id: id('stopped') }, body: { reason: 'a look at it' }, headers: { 'idempotency-key': 'key-of-suspend' } }
    const got = await Promise.all([1, 2, 3].map(() => writ().operator(registry.suspendIdentity, ask)))
    assert.deepEqual(got.map((one) => `${one.status} ${one.reply.state}`), Array<string>(3).fill('200 suspended'))
    assert.equal((await keptIn(writ())).event, before.event + 1)
  })
})

onEachStore('an identity and those who would share it', (writ) => {
  for (const identityClass of ['chatbot', 'autonomous', 'assisted'] as const) {
    test(`a second live key for an identity of class ${identityClass} is refused, and is one finding however often it is tried`, async () => {
      const name = `lone-${identityClass}`
      await register(writ(), name, `key-of-${name}`, { class: identityClass, key: newKey() })
      const before = await keptIn(writ())
      const tries = [newKey(), newKey(), newKey()]
      for (const key of tries) {
        const got = await writ().operator(registry.addKey, { parameters: { id: id(name) }, body: { key } })
        assert.deepEqual({ status: got.status, code: got.problem.code }, { status: 409, code: 'identity_may_not_be_shared' }, got.text)
      }
      const after = await keptIn(writ())
      assert.deepEqual([after.credential - before.credential, after.finding - before.finding, after.event - before.event], [0, 1, 1])
      const raised = (await eventsOf(writ(), 'non-human')).at(-1)!
      assert.deepEqual([raised.type, raised.facts['kind'], raised.facts['class']], ['finding.raised', 'shared_identity', identityClass])
      const { findings } = (await writ().operator(registry.listFindings)).reply
      assert.equal(findings[0]!.id, raised.facts['finding'])
      assert.deepEqual([findings[0]!.kind, findings[0]!.identity, findings[0]!.state], ['shared_identity', raised.identity, 'open'])
    })
  }

  test('`replace` puts the new key in the place of the old one in one step', async () => {
    const first = newKey()
    await register(writ(), 'replaced', 'key-of-replaced', { key: first })
    const got = await writ().operator(registry.addKey, { parameters: { id: id('replaced') }, body: { key: newKey(), replace: true } })
    assert.equal(got.status, 201, got.text)
    assert.deepEqual(got.reply.credentials.map((one) => one.state), ['revoked', 'live'])
    assert.deepEqual((await eventsOf(writ(), 'human')).slice(-2).map((one) => [one.type, one.facts['because'] ?? null]),
      [['credential.revoked', 'replaced'], ['credential.registered', null]])
    await refused(writ(), () => writ().operator(registry.addKey, { parameters: { id: id('replaced') }, body: { key: first, replace: true } }),
      { status: 409, code: 'key_in_use' })
    assert.deepEqual((await writ().operator(registry.showIdentity, { parameters: { id: id('replaced') } })).reply.credentials.map((one) =>
      one.state), ['revoked', 'live'])
  })

  test('of two different keys that come at once one is live', async () => {
    await register(writ(), 'race', 'key-of-race')
    const got = await Promise.all([1, 2, 3,
      4].map(() => writ().operator(registry.addKey, { parameters: { id: id('race') }, body: { key: newKey() } })))
    assert.deepEqual(got.map((one) => String(one.status)).toSorted(), ['201', '409', '409', '409'])
    assert.equal((await writ().operator(registry.showIdentity, { parameters: { id: id('race') } })).reply.credentials.length, 1)
  })

  test('a script may be shared: each of its workloads has a key of its own and signs in with it', async () => {
    const before = await keptIn(writ())
    const script = await writ().register('script', { class: 'script' })
    const second = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const got = await writ().operator(registry.addKey, { parameters: { id: script.id }, body: { key: second.publicKey.export({ format: 'jwk' }) } })
    assert.equal(got.status, 201, got.text)
    assert.deepEqual(got.reply.credentials.map((one) => one.state), ['live', 'live'])
    assert.equal((await script.api(registry.whoAmI)).reply.id, script.id)
    assert.equal((await keptIn(writ())).finding, before.finding)
  })

  test('a revoked key signs nothing any more, and revoking it again changes nothing', async () => {
    const bot = await writ().register('revoked')
    const { credentials } = (await writ().operator(registry.showIdentity, { parameters: { id: bot.id } })).reply
    assert.equal((await bot.api(registry.whoAmI)).status, 200)
    const ask = { parameters: { id: bot.id, key: credentials[0]!.thumbprint }, body: { reason: 'it leaked' } }
    assert.equal((await writ().operator(registry.revokeKey, ask)).reply.credentials[0]!.state, 'revoked')
    await refused(writ(), () => bot.api(registry.whoAmI), { status: 401, code: 'unauthenticated' })
    const before = await keptIn(writ())
    assert.equal((await writ().operator(registry.revokeKey, ask)).status, 200)
    assert.equal((await keptIn(writ())).event, before.event)
    await refused(writ(), () => writ().operator(registry.revokeKey, { parameters: { id: bot.id, key: 'crd_nothing' }, body: { reason: 'x' } }),
      { status: 404, code: 'key_not_found' })
  })
})
