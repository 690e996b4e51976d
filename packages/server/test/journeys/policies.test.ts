import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as contract from '@writ/contract/policies'
import * as registry from '@writ/contract/registry'
import { DEFAULT_BUNDLE } from '@writ/policy/defaults'
import { eventsOf, onEachStore, refused } from '../kept.ts'
import { rawRequest } from '../raw-request.ts'
import type { Api, RunningWrit } from '../running-writ.ts'
import { startSeveral } from '../several-writs.ts'

type Files = Readonly<Record<string, string>>

const more = (name: string): Files => ({ ...DEFAULT_BUNDLE, 'more.cedar': `@id("${name}")\nforbid (principal, action, resource == Writ::Tool::"odd/${name}");\n` })
const apply = (by: Api, files: Files, expected?: number, headers = {}) =>
  by(contract.applyPolicies, { body: { files, reason: 'the test says so', ...(expected === undefined ? {} : { expected_version: expected }) }, headers })
const current = async (by: Api) => (await by(contract.showCurrentPolicies)).reply
const applied = async (writ: RunningWrit) => (await eventsOf(writ, 'human')).filter(({ type }) => type === 'policy.applied')

/** The next version, which is in force. */
async function next(writ: RunningWrit, name: string): Promise<contract.AppliedPoliciesReply> {
  const got = await apply(writ.operator, more(name))
  assert.deepEqual([got.status, got.reply.changed, got.reply.in_force], [201, true, true], got.text)
  return got.reply
}

onEachStore('policies', (writ) => {
  test('what ships is in force from the first start, and the record says so', async () => {
    const { version, files, applied_by: by, reason, rolled_back_to: from } = await current(writ().operator)
    assert.deepEqual([version, by, reason, from, files], [1, 'writ', null, null, DEFAULT_BUNDLE])
    const [first, ...rest] = await applied(writ())
    assert.deepEqual([first?.actor, first?.facts['version'], first?.facts['before'], rest], [{ kind: 'writ', id: 'writ' }, 1, null, []])
  })

  test('an operator applies other files, and the version counts up', async () => {
    const before = await current(writ().operator)
    const { version, digest } = await next(writ(), 'one')
    assert.equal(version, before.version + 1)
    const now = await current(writ().operator)
    assert.deepEqual([now.version, now.digest, now.files, now.reason], [version, digest, more('one'), 'the test says so'])
    const told = (await applied(writ())).at(-1)!
    assert.deepEqual([told.facts, told.said], [{ version, digest, before: before.version, rolled_back_to: null, files: 5 }, { reason: 'the test says so' }])
    const old = (await writ().operator(contract.showPolicies, { parameters: { version: String(before.version) } })).reply
    assert.deepEqual([old.in_force, old.files], [false, before.files])
  })

  test('the files that are in force already are not applied again, in whatever order they come', async () => {
    const { version } = await next(writ(), 'same')
    const told = (await applied(writ())).length
    const again = await apply(writ().operator, Object.fromEntries(Object.entries(more('same')).toReversed()))
    assert.deepEqual([again.status, again.reply.version, again.reply.changed], [201, version, false])
    assert.equal((await applied(writ())).length, told)
  })

  test('whoever saw another version in force applies nothing', async () => {
    const { version } = await next(writ(), 'seen')
    const got = await refused(writ(), () => apply(writ().operator, more('unseen'), version - 1), { status: 409, code: 'policies_changed_meanwhile' })
    assert.match(got.problem.detail!, new RegExp(`version ${version} is in force`))
    assert.equal((await apply(writ().operator, more('unseen'), version)).reply.version, version + 1)
  })

  test('the repeat of a request applies nothing twice', async () => {
    const headers = { 'idempotency-key': 'apply-these-once' }
    const first = await apply(writ().operator, more('repeat'), undefined, headers)
    await next(writ(), 'after-it')
    const again = await apply(writ().operator, more('repeat'), undefined, headers)
    assert.deepEqual([again.status, again.reply.version, again.reply.in_force], [201, first.reply.version, false])
  })

  for (const { when, file, text, at, says } of [
    { when: 'does not parse', file: 'bad.cedar', text: '@id("bad")\npermit (principal, action, resource) when { context.task == };\n', at: /^bad\.cedar:2:\d+$/, says: /./ },
    { when: 'knows an attribute that there is not', file: 'bad.cedar', text: '@id("bad")\nforbid (principal, action == Writ::Action::"call", resource)\nwhen { context.purposse == Writ::Purpose::"x" };\n', at: /^bad\.cedar:3:\d+$/, says: /did you mean `purpose`/ },
    { when: 'is none of policies', file: 'README.txt', text: 'read me', at: /^README\.txt:1:1$/, says: /no such file/ },
    { when: 'has a case that fails', file: 'tests/bad.json', text: '[\n  { "name": "all may go out", "action": "call", "resource": "Tool odd/send", "expect": "allow" }\n]', at: /^tests\/bad\.json:2:1$/, says: /`all may go out` expects allowed/ },
  ]) {
    test(`a file that ${when} is refused by its place, and the version in force stays`, async () => {
      const { version } = await current(writ().operator)
      const files = { ...more('bad'), [file]: text }
      const got = await refused(writ(), () => apply(writ().operator, files), { status: 422, code: 'policy_refused' })
      const [error] = got.problem.errors!
      assert.match(error!.field, at)
      assert.match(error!.message, says)
      assert.equal((await current(writ().operator)).version, version)
      const { complaints } = (await writ().operator(contract.checkPolicies, { body: { files } })).reply
      assert.deepEqual(complaints.map((one) => `${one.file}:${one.line}:${one.column}`), got.problem.errors!.map((one) => one.field))
    })
  }

  test('a check writes nothing, and has nothing to say of files that are right', async () => {
    const { version } = await current(writ().operator)
    assert.deepEqual((await writ().operator(contract.checkPolicies, { body: { files: more('checked') } })).reply, { complaints: [] })
    assert.equal((await current(writ().operator)).version, version)
  })

  test('an older version comes back as a new one', async () => {
    const [wanted, unwanted] = [await next(writ(), 'wanted'), await next(writ(), 'unwanted')]
    const back = (version: number, expected?: number) =>
      writ().operator(contract.rollBackPolicies, { body: { version, reason: 'it went wrong', ...(expected === undefined ? {} : { expected_version: expected }) } })
    await refused(writ(), () => back(10_000), { status: 404, code: 'no_such_version' })
    await refused(writ(), () => back(wanted.version, wanted.version), { status: 409, code: 'policies_changed_meanwhile' })
    const got = await back(wanted.version)
    assert.deepEqual([got.status, got.reply.version, got.reply.rolled_back_to, got.reply.digest], [201, unwanted.version + 1, wanted.version, wanted.digest], got.text)
    assert.deepEqual((await current(writ().operator)).files, more('wanted'))
    assert.deepEqual((await applied(writ())).at(-1)!.facts['rolled_back_to'], wanted.version)
    assert.equal((await back(wanted.version)).reply.changed, false)
  })

  test('versions are listed page by page, newest first', async () => {
    const { version } = await next(writ(), 'listed')
    const first = (await writ().operator(contract.listPolicies, { query: { limit: '2' } })).reply
    assert.deepEqual(first.versions.map((one) => [one.version, one.in_force]), [[version, true], [version - 1, false]])
    const second = (await writ().operator(contract.listPolicies, { query: { limit: '1000', cursor: first.next! } })).reply
    assert.deepEqual([second.versions[0]!.version, second.versions.at(-1)!.version, second.next], [version - 2, 1, null])
    await refused(writ(), () => writ().operator(contract.listPolicies, { query: { cursor: 'the second' } }), { status: 400, code: 'invalid_fields' })
    for (const unknown of ['0', '100000', 'newest']) {
      await refused(writ(), () => writ().operator(contract.showPolicies, { parameters: { version: unknown } }), { status: 404, code: 'no_such_version' })
    }
  })

  test('policies of more than a mebibyte are applied, and more than four are too many', async () => {
    const large = (bytes: number): Files => ({ ...more('large'), 'README.md': 'x'.repeat(bytes) })
    const got = await apply(writ().operator, large(1_500_000))
    assert.equal(got.status, 201, got.text)
    await refused(writ(), () => apply(writ().operator, large(2_500_000)), { status: 422, code: 'policy_refused' })
    const headers = [['authorization', `Bearer ${writ().operatorKey}`], ['content-type', 'application/json'], ['content-length', '4200000']] as const
    const tooLarge = await rawRequest(writ().url, { method: 'POST', path: contract.applyPolicies.path, headers })
    assert.deepEqual([tooLarge.status, JSON.parse(tooLarge.text).detail], [413, 'a request has at most 4194304 bytes'])
    for (const path of ['../secret.cedar', '/a.cedar', 'a//b.cedar', '.hidden.cedar', 'a\\b.cedar']) {
      await refused(writ(), () => apply(writ().operator, { [path]: '' }), { status: 400, code: 'invalid_fields' })
    }
  })

  test('nobody but an operator reads or applies policies', async () => {
    const agent = await writ().register('policy-reader')
    for (const by of [agent.api, writ().stranger]) {
      const wanted = by === agent.api ? { status: 403, code: 'not_allowed' } : { status: 401, code: 'unauthenticated' }
      await refused(writ(), () => apply(by, more('mine')), wanted)
      await refused(writ(), () => by(contract.showCurrentPolicies), wanted)
      await refused(writ(), () => by(contract.setMode, { body: { subject: { kind: 'identity', id: agent.id }, mode: 'observe', reason: 'I would like that' } }), wanted)
    }
  })

  test('an identity is observed until a day, and enforced again by one command', async () => {
    const agent = await writ().register('observed')
    const until = new Date(Date.now() + 7 * 86_400_000).toISOString()
    const set = (body: object, by: Api = writ().operator) => by(contract.setMode, { body: { subject: { kind: 'identity', id: agent.spiffeId }, reason: 'a trial', ...body } })
    const observed = await set({ mode: 'observe', until })
    assert.deepEqual([observed.status, observed.reply.subject, observed.reply.mode, observed.reply.until], [200, { kind: 'identity', id: agent.id }, 'observe', until], observed.text)
    assert.deepEqual((await writ().operator(contract.listModes)).reply.modes.filter(({ subject }) => subject.id === agent.id), [observed.reply])
    const enforced = await set({ mode: 'enforce' })
    assert.deepEqual([enforced.reply.mode, enforced.reply.until], ['enforce', null])
    const told = (await eventsOf(writ(), 'human')).filter(({ type, identity }) => type === 'mode.changed' && identity === agent.id)
    assert.deepEqual(told.map(({ facts, said }) => [facts['mode'], facts['before'], said]), [['observe', 'enforce', { reason: 'a trial' }], ['enforce', 'observe', { reason: 'a trial' }]])
    for (const body of [{ mode: 'observe' }, { mode: 'enforce', until }, { mode: 'observe', until: '2020-01-01' }, { mode: 'observe', until: '2999-01-01' }]) {
      const got = await refused(writ(), () => set(body), { status: 400, code: 'bad_end' })
      assert.equal(got.problem.errors![0]!.field, 'until')
    }
  })

  test('what is not there is not observed', async () => {
    const until = new Date(Date.now() + 86_400_000).toISOString()
    const observe = (kind: 'identity' | 'server', id: string) => writ().operator(contract.setMode, { body: { subject: { kind, id }, mode: 'observe', reason: 'a trial', until } })
    await refused(writ(), () => observe('identity', 'spiffe://acme.example/nobody'), { status: 404, code: 'no_such_identity' })
    await refused(writ(), () => observe('server', 'nothing'), { status: 404, code: 'no_such_server' })
    const tools = JSON.stringify([{ server: 'mail', name: 'send', effect: 'external', reversible: false, labels: [], input: { type: 'object', properties: {} } }])
    const got = await apply(writ().operator, { ...more('with-tools'), 'tools.json': tools })
    assert.equal(got.status, 201, got.text)
    assert.deepEqual((await observe('server', 'mail')).reply.subject, { kind: 'server', id: 'mail' })
  })

  test('a restarted server decides by the version that was applied', async () => {
    const { version, digest } = await next(writ(), 'kept')
    await writ().kill()
    await writ().restart()
    const { version: now, digest: same } = await current(writ().operator)
    assert.deepEqual([now, same], [version, digest])
    assert.equal((await writ().operator(registry.whoAmI)).status, 200)
  })
})

test('what one server applies is in force on the other at once, and of two who apply at once one is told', async (t) => {
  const several = await startSeveral()
  t.after(() => several.stop())
  const [one, other] = several.writs
  assert.deepEqual([(await current(one.operator)).version, (await current(other.operator)).version, (await applied(one)).length], [1, 1, 1])
  const { version } = await next(one, 'first')
  assert.equal((await current(other.operator)).version, version)
  const raced = await Promise.all([apply(one.operator, more('mine'), version), apply(other.operator, more('yours'), version)])
  assert.deepEqual(raced.map(({ status }) => status).toSorted((a, b) => a - b), [201, 409])
  assert.deepEqual([(await current(one.operator)).version, (await current(other.operator)).version], [version + 1, version + 1])
})
