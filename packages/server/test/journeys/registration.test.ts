import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import * as registry from '@writ/contract/registry'
import { ENVIRONMENTS, IDENTITY_KINDS } from '@writ/domain/identity'
import { IDENTITY_CLASSES } from '@writ/domain/profile'
import { eventsOf, inStoreOf, keptIn, onEachStore, refused } from '../kept.ts'
import { REGISTRATION, type RunningWrit } from '../running-writ.ts'

const id = (name: string): string => `spiffe://acme.example/${name}`
const publicKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
const register = (writ: RunningWrit, body: object) => writ.operator(registry.registerIdentity, { body: { ...REGISTRATION, ...body } })

onEachStore('the gate to the registry', (writ) => {
  test('a registration without anything names every missing field at once, and leaves nothing behind', async () => {
    const got = await refused(writ(), () => writ().operator(registry.registerIdentity, { body: {} }), { status: 400, code: 'invalid_fields' })
    assert.deepEqual(got.problem.errors?.map((one) => `${one.field} ${one.message}`).toSorted(), [
      'admission is missing', 'authority is missing', 'class is missing', 'ends_at is missing', 'environment is missing', 'kind is missing',
        'owners is missing',
      'purpose is missing', 'spiffe_id is missing', 'system_scope is missing', 'trigger is missing',
    ])
    assert.equal(got.problem.type, '/problems/invalid-fields')
  })

  for (const field of ['spiffe_id', 'admission', 'kind', 'class', 'purpose', 'owners', 'system_scope', 'environment', 'authority', 'ends_at',
    'trigger'] as const) {
    test(`a registration without \`${field}\` is refused by that name alone`, async () => {
      const { [field]: _left, ...rest } = { spiffe_id: id('nobody'), ...REGISTRATION }
      const got = await refused(writ(), () => writ().operator(registry.registerIdentity, { body: rest }), { status: 400, code: 'invalid_fields' })
      assert.deepEqual(got.problem.errors, [{ field, message: 'is missing' }])
    })
  }

  for (const { when, body, fields } of [
    { when: 'both owners are missing', body: { owners: {} }, fields: ['owners.business', 'owners.technical'] },
    { when: 'the business owner is missing', body: { owners: { technical: 'team:platform' } }, fields: ['owners.business'] },
    { when: 'an owner is neither a team nor a person', body: { owners: { technical: 'maya', business: 'team:' } },
      fields: ['owners.business', 'owners.technical'] },
    { when: 'a field is unknown', body: { ttl: 5 }, fields: ['ttl'] },
    { when: 'a field of a field is unknown', body: { owners: { ...REGISTRATION.owners, deputy: 'team:b' } }, fields: ['owners.deputy'] },
    { when: 'the purpose is blank', body: { purpose: ' \t ' }, fields: ['purpose'] },
    { when: 'the purpose is too long', body: { purpose: 'x'.repeat(1001) }, fields: ['purpose'] },
    { when: 'the scope is empty', body: { system_scope: [] }, fields: ['system_scope'] },
    { when: 'the authority is empty', body: { authority: [] }, fields: ['authority'] },
    { when: 'a grant can not be read', body: { authority: ['postgres:shop:ddl', 'everything'] }, fields: ['authority.1'] },
    { when: 'the end is no date', body: { ends_at: 'next year' }, fields: ['ends_at'] },
    { when: 'the end does not exist in the calendar', body: { ends_at: '2099-02-30' }, fields: ['ends_at'] },
    { when: 'there is no end', body: { ends_at: null }, fields: ['ends_at'] },
    { when: 'the kind is unknown', body: { kind: 'human' }, fields: ['kind'] },
    { when: 'the class is unknown', body: { class: 'admin' }, fields: ['class'] },
    { when: 'the environment is unknown', body: { environment: 'prod' }, fields: ['environment'] },
    { when: 'the trigger is unknown', body: { trigger: { kind: 'never' } }, fields: ['trigger.kind'] },
    { when: 'the trigger waits for no days', body: { trigger: { kind: 'unused', days: 0 } }, fields: ['trigger.days'] },
    { when: 'the trigger waits for ever', body: { trigger: { kind: 'unused', days: 100_000 } }, fields: ['trigger.days'] },
    { when: 'the admission gives no reason', body: { admission: { answer: 'identity' } }, fields: ['admission.reason'] },
    { when: 'the admission gives another answer', body: { admission: { answer: 'maybe', reason: 'who knows' } }, fields: ['admission.answer'] },
  ]) {
    test(`a registration is refused when ${when}`, async () => {
      const got = await refused(writ(), () => register(writ(), { spiffe_id: id('nobody'), ...body }), { status: 400, code: 'invalid_fields' })
      assert.deepEqual(got.problem.errors?.map((one) => one.field).toSorted(), fields)
    })
  }

  for (const name of [
    'acme', 'https://acme.example/bot', 'spiffe://', 'spiffe://acme.example/', 'spiffe://acme.example//bot', 'spiffe://acme.example/../bot',
      'spiffe://acme.example/a b',
    'spiffe://ACME.example/bot', 'SPIFFE://acme.example/bot', 'spiffe://acme.example:80/bot', 'spiffe://me@acme.example/bot',
      'spiffe://acme.example/bot?x', 'spiffe://acme.example/%62ot',
    `spiffe://acme.example/${'x'.repeat(2048)}`, 'spiffe://acme.example/bot\n', 'spiffe://acme.example/b\u00f6t',
  ]) {
    test(`\`${name.slice(0, 40).trim()}\` is no name for an identity`, async () => {
      const got = await refused(writ(), () => register(writ(), { spiffe_id: name }), { status: 400, code: 'invalid_fields' })
      assert.deepEqual(got.problem.errors?.map((one) => one.field), ['spiffe_id'])
    })
  }

  test('every kind, class and environment can be registered, and reads back as it was said', async () => {
    const cases = [
      ...IDENTITY_KINDS.map((kind) => ({ kind })), ...IDENTITY_CLASSES.map((one) => ({ class: one })),
        ...ENVIRONMENTS.map((environment) => ({ environment })),
    ]
    for (const [i, body] of cases.entries()) {
      const got = await register(writ(), { spiffe_id: id(`case-${i}`), ...body })
      assert.equal(got.status, 201, got.text)
      const shown = (await writ().operator(registry.showIdentity, { parameters: { id: id(`case-${i}`) } })).reply
      const { admission: _answer, ends_at: _end, ...said } = { ...REGISTRATION, spiffe_id: id(`case-${i}`), ...body }
      assert.deepEqual(shown, { ...shown, ...said, ends_at: '2099-12-31T00:00:00.000Z', state: 'active', last_used_at: null, credentials: [] })
      assert.deepEqual((await writ().operator(registry.showIdentity, { parameters: { id: shown.id } })).reply, shown)
    }
  })

  test('one list answers owner, purpose, scope, end and trigger of every identity, page by page', async () => {
    const seen: registry.IdentityReply[] = []
    for (let cursor: string | null = null; ;) {
      const page: Awaited<ReturnType<typeof list>> = await list(cursor)
      assert.equal(page.status, 200, page.text)
      seen.push(...page.reply.identities)
      cursor = page.reply.next
      if (cursor === null) break
    }
    assert.equal(seen.length, (await keptIn(writ())).identity)
    assert.equal(new Set(seen.map((one) => one.id)).size, seen.length)
    for (const one of seen) for (const field of ['owners', 'purpose', 'system_scope', 'ends_at', 'trigger'] as const) assert.ok(one[field], field)
    function list(cursor: string | null) {
      return writ().operator(registry.listIdentities, { query: { limit: '3', ...(cursor === null ? {} : { cursor }) } })
    }
  })

  test('an end in the past is refused', async () => {
    const got = await refused(writ(), () => register(writ(), { spiffe_id: id('late'), ends_at: '2020-01-01' }),
      { status: 400, code: 'ends_in_the_past' })
    assert.deepEqual(got.problem.errors, [{ field: 'ends_at', message: 'must be in the future' }])
  })

  for (const { what, trigger, field } of [
    { what: 'back end', trigger: { kind: 'backend_removed', backend: 'nowhere' }, field: 'trigger.backend' },
    { what: 'issuer', trigger: { kind: 'issuer_removed', issuer: 'https://nobody.example' }, field: 'trigger.issuer' },
  ]) {
    test(`a trigger that watches a ${what} which is not there is refused: it would never fire`, async () => {
      const got = await refused(writ(), () => register(writ(), { spiffe_id: id('blind'), trigger }), { status: 400, code: 'trigger_watches_nothing' })
      assert.deepEqual(got.problem.errors?.map((one) => one.field), [field])
    })
  }

  test('a private key is refused, and nothing of it is said again, logged or kept', async () => {
    for (const pair of [generateKeyPairSync('ec', { namedCurve: 'P-256' }), generateKeyPairSync('ed25519'),
      generateKeyPairSync('rsa', { modulusLength: 2048 })]) {
      const key = pair.privateKey.export({ format: 'jwk' })
      const got = await refused(writ(), () => register(writ(), { spiffe_id: id('careless'), key }), { status: 400, code: 'invalid_fields' })
      assert.deepEqual(got.problem.errors?.map((one) => one.field), ['key'])
      assert.match(got.problem.errors![0]!.message, /secret_member/)
      assert.ok(!got.text.includes(key.d!) && !writ().log().includes(key.d!))
    }
    const shared = { kty: 'oct', k: 'c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA' }
    const got = await refused(writ(), () => register(writ(), { spiffe_id: id('careless'), key: shared }), { status: 400, code: 'invalid_fields' })
    assert.ok(!got.text.includes(shared.k))
  })

  test('a key belongs to one identity for ever, also after that one is retired', async () => {
    const key = publicKey()
    const first = await register(writ(), { spiffe_id: id('key-first'), key })
    assert.equal(first.status, 201, first.text)
    await refused(writ(), () => register(writ(), { spiffe_id: id('key-second'), key }), { status: 409, code: 'key_in_use' })
    await writ().operator(registry.retireIdentity, { parameters: { id: id('key-first') }, body: { reason: 'gone' } })
    await refused(writ(), () => register(writ(), { spiffe_id: id('key-second'), key: { ...key, kid: 'another name', use: 'sig' } }),
      { status: 409, code: 'key_in_use' })
  })

  test('a name is used once, also after its identity was retired', async () => {
    assert.equal((await register(writ(), { spiffe_id: id('once') })).status, 201)
    await refused(writ(), () => register(writ(), { spiffe_id: id('once') }), { status: 409, code: 'already_registered' })
    assert.equal((await writ().operator(registry.retireIdentity, { parameters: { id: id('once') }, body: { reason: 'gone' } })).status, 200)
    await refused(writ(), () => register(writ(), { spiffe_id: id('once') }), { status: 409, code: 'already_registered' })
  })

  test('of five people who register one name at once, one does, and the others are told', async () => {
    const got = await Promise.all(Array.from({ length: 5 }, () => register(writ(), { spiffe_id: id('race') })))
    assert.deepEqual(got.map((one) => `${one.status} ${one.problem.code ?? 'registered'}`).toSorted(),
      ['201 registered', ...Array<string>(4).fill('409 already_registered')])
    assert.equal((await inStoreOf(writ(), 'select 1 from identity where spiffe_id = $1', [id('race')])).length, 1)
    assert.equal((await inStoreOf(writ(), 'select 1 from admission where spiffe_id = $1', [id('race')])).length, 1)
  })

  test('of five people who register one key at once, one does, and the others are told', async () => {
    const key = publicKey()
    const before = await keptIn(writ())
    const got = await Promise.all(Array.from({ length: 5 }, (_, i) => register(writ(), { spiffe_id: id(`key-race-${i}`), key })))
    assert.deepEqual(got.map((one) => `${one.status} ${one.problem.code ?? 'registered'}`).toSorted(),
      ['201 registered', ...Array<string>(4).fill('409 key_in_use')])
    const after = await keptIn(writ())
    assert.deepEqual({ identity: after.identity - before.identity, credential: after.credential - before.credential }, { identity: 1, credential: 1 })
  })

  test('the answer "no: use the caller\'s token" is recorded with its reason, and nothing comes into being that could sign in', async () => {
    const before = await keptIn(writ())
    const admission = { answer: 'delegated_token', reason: 'it only ever acts for the person at the screen' }
    const got = await register(writ(), { spiffe_id: id('never'), admission, key: publicKey(), trigger: { kind: 'webhook' } })
    assert.equal(got.status, 201, got.text)
    assert.equal(got.reply.outcome, 'declined')
    assert.match(got.reply.instead!, /delegated token/)
    assert.deepEqual({ identity: got.reply.identity, webhook: got.reply.webhook }, { identity: undefined, webhook: undefined })
    const after = await keptIn(writ())
    assert.deepEqual(after, { ...before, admission: before.admission + 1, event: before.event + 1, event_said: before.event_said + 1 })
    const event = (await eventsOf(writ(), 'human')).at(-1)!
    assert.equal(event.type, 'admission.decided')
    assert.deepEqual(event.facts, { admission: got.reply.admission, spiffe_id: id('never'), answer: 'delegated_token' })
    assert.deepEqual(event.said, { reason: admission.reason })
    assert.equal((await writ().operator(registry.showIdentity, { parameters: { id: id('never') } })).status, 404)
  })

  test('who is registered can not be declined: that would leave its keys alive behind a recorded no', async () => {
    assert.equal((await register(writ(), { spiffe_id: id('here') })).status, 201)
    await refused(writ(), () => register(writ(), { spiffe_id: id('here'), admission: { answer: 'delegated_token', reason: 'not needed' } }),
      { status: 409, code: 'already_registered' })
  })

  test('a registration is recorded as a person\'s act, the answer to the admission question before everything else', async () => {
    const got = await register(writ(), { spiffe_id: id('told'), key: publicKey() })
    const { identity, admission } = got.reply
    const told = (await eventsOf(writ(), 'human')).slice(-3)
    assert.deepEqual(told.map((one) => one.type), ['admission.decided', 'identity.registered', 'credential.registered'])
    assert.ok(told.every((one) => one.actor.kind === 'operator'))
    assert.equal(told[1]!.facts['admission'], admission)
    assert.deepEqual(told[1]!.said,
      { purpose: REGISTRATION.purpose, technical_owner: REGISTRATION.owners.technical, business_owner: REGISTRATION.owners.business })
    assert.deepEqual([told[1]!.identity, told[2]!.identity], [identity!.id, identity!.id])
  })
})
