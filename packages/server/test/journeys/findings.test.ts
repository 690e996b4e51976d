import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import * as registry from '@writ/contract/registry'
import { eventsOf, onEachStore, refused } from '../kept.ts'

onEachStore('a finding', (writ) => {
  test('is resolved by a person with a reason, once, and found again when it is so again', async () => {
    const bot = await writ().register('bot')
    const share = () => writ().operator(registry.addKey, { parameters: { id: bot.id }, body: { key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }) } })
    const findings = async () => (await writ().operator(registry.listFindings)).reply.findings
    const resolve = (id: string, headers = {}) => writ().operator(registry.resolveFinding, { parameters: { id }, body: { reason: 'it was a try' }, headers })
    assert.equal((await share()).status, 409)
    const [found] = await findings()
    assert.deepEqual([found!.kind, found!.state], ['shared_identity', 'open'])
    await refused(writ(), () => resolve('fnd_nothing'), { status: 404, code: 'finding_not_found' })
    await refused(writ(), () => writ().operator(registry.resolveFinding, { parameters: { id: found!.id }, body: {} }), { status: 400, code: 'invalid_fields' })
    await refused(writ(), () => bot.api(registry.resolveFinding, { parameters: { id: found!.id }, body: { reason: 'mine' } }), { status: 403, code: 'not_allowed' })
    const headers = { 'idempotency-key': 'resolve-it-once' }
    const resolved = await resolve(found!.id, headers)
    assert.deepEqual([resolved.status, resolved.reply], [200, { ...found!, state: 'resolved' }], resolved.text)
    assert.deepEqual((await resolve(found!.id, headers)).reply, resolved.reply)
    await refused(writ(), () => resolve(found!.id), { status: 409, code: 'already_resolved' })
    const told = (await eventsOf(writ(), 'human')).filter(({ type }) => type === 'finding.resolved')
    assert.deepEqual(told.map(({ actor, identity, facts, said }) => [actor.kind, identity, facts, said]), [['operator', bot.id, { finding: found!.id, kind: 'shared_identity' }, { reason: 'it was a try' }]])
    assert.equal((await share()).status, 409)
    assert.deepEqual((await findings()).map(({ state }) => state), ['open', 'resolved'])
  })
})
