import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import * as registry from '@writ/contract/registry'
import { eventsOf, inStoreOf, keptIn, onEachStore, refused } from '../kept.ts'
import { REGISTRATION, type RunningWrit } from '../running-writ.ts'

const id = (name: string): string => `spiffe://acme.example/${name}`
const entry = (name: string, more: object = {}) => ({ ...REGISTRATION, spiffe_id: id(name), ...more })
const apply = (writ: RunningWrit, identities: readonly object[], dryRun = false) =>
  writ.operator(registry.applyManifest, { body: { identities }, ...(dryRun ? { query: { dry_run: 'true' } } : {}) })
const actionsOf = (reply: { readonly changes: readonly { readonly action: string }[] }): readonly string[] => reply.changes.map((one) => one.action)

onEachStore('a manifest', (writ) => {
  test('a dry run shows everything that would be done, and does nothing', async () => {
    const before = await keptIn(writ())
    const got = await apply(writ(),
      [entry('dry-1'), entry('dry-2', { trigger: { kind: 'webhook' } }),
      entry('dry-3', { admission: { answer: 'delegated_token', reason: 'no need' } })], true)
    assert.equal(got.status, 200, got.text)
    assert.equal(got.reply.applied, false)
    assert.deepEqual(actionsOf(got.reply), ['register', 'register', 'decline'])
    assert.ok(got.reply.changes.every((one) => one.webhook === undefined), 'a secret that will never be')
    assert.deepEqual(got.reply.changes[0]!.fields.find((one) => one.field === 'owners.business'),
      { field: 'owners.business', from: null, to: 'person:maya@acme.example' })
    assert.deepEqual(await keptIn(writ()), before)
  })

  test('applied twice, it changes nothing the second time, and records nothing', async () => {
    const identities = [entry('twice-1'), entry('twice-2', { trigger: { kind: 'webhook' } }),
      entry('twice-3', { admission: { answer: 'delegated_token', reason: 'no need' } })]
    const first = await apply(writ(), identities)
    assert.equal(first.status, 200, first.text)
    assert.deepEqual({ applied: first.reply.applied, actions: actionsOf(first.reply) },
      { applied: true, actions: ['register', 'register', 'decline'] })
    assert.match(first.reply.changes[1]!.webhook!.secret, /^writ_hook_/)
    const before = await keptIn(writ())
    const second = await apply(writ(), identities)
    assert.deepEqual(actionsOf(second.reply), ['none', 'none', 'none'])
    assert.ok(second.reply.changes.every((one) => one.fields.length === 0 && one.webhook === undefined))
    assert.deepEqual(await keptIn(writ()), before)
  })

  test('changed fields are shown with what they were and what they are, and only those change', async () => {
    await apply(writ(), [entry('moving'), entry('staying')])
    const changed = entry('moving', {
      purpose: 'sweeps the shop', owners: { technical: 'team:shop', business: 'person:noor@acme.example' }, ends_at: '2098-01-01',
        authority: ['postgres:shop:read'], environment: 'staging',
    })
    const wanted = [
      { field: 'purpose', from: 'keeps the shop tidy', to: 'sweeps the shop' },
      { field: 'owners.technical', from: 'team:platform', to: 'team:shop' },
      { field: 'owners.business', from: 'person:maya@acme.example', to: 'person:noor@acme.example' },
      { field: 'environment', from: 'test', to: 'staging' },
      { field: 'authority', from: 'postgres:shop:ddl, postgres:shop:read', to: 'postgres:shop:read' },
      { field: 'ends_at', from: '2099-12-31T00:00:00.000Z', to: '2098-01-01T00:00:00.000Z' },
    ]
    const shown = await apply(writ(), [changed, entry('staying')], true)
    assert.deepEqual(shown.reply.changes.map(({ action, fields }) => ({ action, fields })),
      [{ action: 'change', fields: wanted }, { action: 'none', fields: [] }])
    const before = await keptIn(writ())
    const done = await apply(writ(), [changed, entry('staying')])
    assert.deepEqual(done.reply.changes, shown.reply.changes)
    assert.deepEqual((await keptIn(writ())).event, before.event + 1)
    const event = (await eventsOf(writ(), 'human')).at(-1)!
    assert.deepEqual({ type: event.type, said: event.said }, {
      type: 'identity.changed', said: { purpose: 'sweeps the shop', technical_owner: 'team:shop', business_owner: 'person:noor@acme.example' },
    })
    const now = (await writ().operator(registry.showIdentity, { parameters: { id: id('moving') } })).reply
    assert.deepEqual([now.purpose, now.authority, now.environment, now.state], ['sweeps the shop', ['postgres:shop:read'], 'staging', 'active'])
  })

  const used = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
  for (const { what, bad, wanted } of [
    { what: 'ends in the past', bad: entry('bad', { ends_at: '2020-01-01' }), wanted: { status: 400, code: 'ends_in_the_past' } },
    { what: 'has a trigger that watches nothing', bad: entry('bad', { trigger: { kind: 'backend_removed', backend: 'nowhere' } }),
      wanted: { status: 400, code: 'trigger_watches_nothing' } },
    { what: 'lacks its owners', bad: { ...entry('bad'), owners: undefined }, wanted: { status: 400, code: 'invalid_fields' } },
    { what: 'has a key that another identity has', bad: entry('bad', { key: used }), wanted: { status: 409, code: 'key_in_use' } },
    { what: 'is named twice', bad: entry('ten-1'), wanted: { status: 400, code: 'named_twice' } },
    { what: 'is retired, and would change', bad: entry('gone', { purpose: 'comes back' }), wanted: { status: 409, code: 'retired' } },
    { what: 'is registered, and the answer is now no', bad: entry('key-holder', { admission: { answer: 'delegated_token', reason: 'no need' } }),
      wanted: { status: 409, code: 'already_registered' } },
  ]) {
    test(`of ten entries nothing is written when one ${what}`, async () => {
      if ((await writ().operator(registry.showIdentity, { parameters: { id: id('key-holder') } })).status === 404) {
        assert.equal((await apply(writ(), [entry('key-holder', { key: used }), entry('gone')])).status, 200)
        assert.equal((await writ().operator(registry.retireIdentity, { parameters: { id: id('gone') }, body: { reason: 'gone' } })).status, 200)
      }
      const ten = [...Array.from({ length: 9 }, (_, i) => entry(`ten-${i}`)), bad]
      const got = await refused(writ(), () => apply(writ(), ten), wanted)
      assert.match(`${got.problem.detail} ${JSON.stringify(got.problem.errors ?? [])}`, /acme\.example\/|identities\.9/)
      await refused(writ(), () => apply(writ(), ten, true), wanted)
    })
  }

  test('a key that a manifest names for a registered identity must be the registered one: a manifest changes no keys', async () => {
    const [first, second] = [0, 1].map(() => generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }))
    assert.equal((await apply(writ(), [entry('keyed', { key: first })])).status, 200)
    await refused(writ(), () => apply(writ(), [entry('keyed', { key: second })]), { status: 409, code: 'key_not_registered' })
    assert.deepEqual(actionsOf((await apply(writ(), [entry('keyed', { key: first })])).reply), ['none'])
  })

  test('a trigger that becomes a webhook gets one that can fire, and its secret is shown', async () => {
    await apply(writ(), [entry('rewired')])
    const got = await apply(writ(), [entry('rewired', { trigger: { kind: 'webhook' } })])
    assert.equal(got.status, 200, got.text)
    assert.match(got.reply.changes[0]!.webhook?.secret ?? 'none', /^writ_hook_/)
    const { id: identity } = (await writ().operator(registry.showIdentity, { parameters: { id: id('rewired') } })).reply
    assert.equal(got.reply.changes[0]!.webhook!.path, `/v1/triggers/${identity}`)
    assert.equal((await inStoreOf(writ(), 'select 1 from trigger_hook where identity_id = $1', [identity])).length, 1)
    const away = await apply(writ(), [entry('rewired')])
    assert.deepEqual(actionsOf(away.reply), ['change'])
    const back = await apply(writ(), [entry('rewired', { trigger: { kind: 'webhook' } })])
    assert.equal(back.status, 200, back.text)
  })

  test('a class that forbids sharing is not given to an identity that two workloads share', async () => {
    const script = entry('shared', { class: 'script', key: generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }) })
    assert.equal((await apply(writ(), [script])).status, 200)
    const second = await writ().operator(registry.addKey,
      { parameters: { id: id('shared') }, body: { key: generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }) } })
    assert.equal(second.status, 201, second.text)
    await refused(writ(), () => apply(writ(), [{ ...script, class: 'autonomous' }]), { status: 409, code: 'identity_may_not_be_shared' })
  })

  test('a manifest without entries, with too many or with an unknown field is refused by name', async () => {
    for (const [body, field] of [
      [{ identities: [] }, 'identities'], [{ identities: [], owner: 'me' }, 'owner'], [{}, 'identities'],
      [{ identities: Array.from({ length: 1001 }, () => 'x') }, 'identities'], [{ identities: [entry('x', { ttl: 1 })] }, 'identities.0.ttl'],
    ] as const) {
      const got = await refused(writ(), () => writ().operator(registry.applyManifest, { body }), { status: 400, code: 'invalid_fields' })
      assert.ok(got.problem.errors!.some((one) => one.field === field), got.text.slice(0, 300))
    }
    await refused(writ(), () => writ().operator(registry.applyManifest, { body: { identities: [entry('x')] }, query: { dry_run: 'maybe' } }),
      { status: 400, code: 'invalid_fields' })
  })
})
