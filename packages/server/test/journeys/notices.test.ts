import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { after, describe, test } from 'node:test'
import * as contract from '@writ/contract/notices'
import * as registry from '@writ/contract/registry'
import { eventually } from '../eventually.ts'
import { eventsOf, inStoreOf, onEachStore, refused } from '../kept.ts'
import { mailbox } from '../mailbox.ts'
import { isSigned, postBox, type GotPost } from '../post-box.ts'
import type { RunningWrit } from '../running-writ.ts'
import { startSeveral } from '../several-writs.ts'

const posts = await postBox()
const mails = await mailbox()
after(async () => { await Promise.all([posts.stop(), mails.stop()]) })

const ALLOW = { WRIT_OUTBOUND_ALLOW: `127.0.0.1:${posts.port},127.0.0.1:${mails.port}` }

let named = 0
const next = (what: string): string => `${what}-${named++}`

type Body = contract.AddNoticeTargetBody
const add = (writ: RunningWrit, body: Body, headers = {}) => writ.operator(contract.addNoticeTarget, { body, headers })
const hook = (path: string, about: Body['about'] = ['finding.raised', 'finding.resolved']) => ({ kind: 'webhook' as const, name: path.slice(1), about, url: posts.urlOf(path) })
const targetNamed = async (writ: RunningWrit, name: string) => (await writ.operator(contract.listNoticeTargets)).reply.targets.find((one) => one.name === name)!

/** Somebody shares an identity: a finding is raised. Answers its id. */
async function raise(writ: RunningWrit): Promise<{ readonly finding: string; readonly identity: string }> {
  const bot = await writ.register(next('shared'))
  const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })
  assert.equal((await writ.operator(registry.addKey, { parameters: { id: bot.id }, body: { key } })).status, 409)
  return { finding: (await writ.operator(registry.listFindings)).reply.findings.find(({ identity }) => identity === bot.id)!.id, identity: bot.id }
}

const arrived = (path: string, many = 1): Promise<readonly GotPost[]> => eventually(`${many} on ${path}`, () => (posts.on(path).length >= many ? posts.on(path) : undefined))
type Payload = { readonly type: string; readonly data: { readonly link: string; readonly identity: string; readonly facts: Record<string, unknown>; readonly said: readonly { readonly by: string; readonly text: string }[] } }
const payload = (post: GotPost): Payload => JSON.parse(post.body) as Payload

onEachStore('a notice', (writ) => {
  test('reaches a webhook, signed, within a second, with a link to where one signs in; another one says what a person said', async () => {
    const path = next('/hook')
    const added = await add(writ(), hook(path))
    assert.equal(added.status, 201, added.text)
    assert.match(added.reply.secret!, /^whsec_[A-Za-z0-9+/]{43}=$/)
    assert.equal(added.reply.place, new URL(posts.urlOf('/')).origin)
    const began = Date.now()
    const { finding, identity } = await raise(writ())
    const [post] = await arrived(path)
    assert.ok(Date.now() - began < 1500, `${Date.now() - began} ms`)
    assert.ok(isSigned(added.reply.secret!, post!))
    assert.ok(!isSigned(`whsec_${Buffer.alloc(32).toString('base64')}`, post!))
    const told = payload(post!)
    assert.deepEqual([told.type, told.data.link, told.data.identity], ['finding.raised', `http://localhost:${new URL(writ().url).port}/go/${finding}`, identity])
    await writ().operator(registry.resolveFinding, { parameters: { id: finding }, body: { reason: 'see https://evil.example\u202e' } })
    const second = payload((await arrived(path, 2))[1]!)
    assert.deepEqual(second.data.said, [{ field: 'reason', by: 'person', text: 'a person\'s words: "see https[:]//evil[.]example\\u{202e}"' }])
    await eventually('both are counted as sent', async () => (await targetNamed(writ(), path.slice(1))).waiting === 0)
    assert.notEqual((await targetNamed(writ(), path.slice(1))).last_sent_at, null)
  })

  test('goes by mail and to a Slack-compatible channel too; who is not told of a matter hears nothing of it', async () => {
    const [slack, other] = [next('/slack'), next('/other')]
    assert.equal((await add(writ(), { kind: 'slack', name: slack.slice(1), about: ['finding.raised'], url: posts.urlOf(slack) })).status, 201)
    assert.equal((await add(writ(), hook(other, ['incident.opened']))).status, 201)
    const mail = next('mail')
    const smtp = { host: '127.0.0.1', port: mails.port, security: 'none' as const }
    assert.equal((await add(writ(), { kind: 'mail', name: mail, about: ['finding.raised'], from: 'writ@acme.example', to: ['maya@acme.example'], smtp })).status, 201)
    const before = mails.got.length
    mails.refuse(1)
    const { finding } = await raise(writ())
    const [post] = await arrived(slack)
    assert.match((JSON.parse(post!.body) as { text: string }).text, new RegExp(`a finding was raised[^]*/go/${finding}`))
    const got = await eventually('the mail', () => mails.got[before])
    assert.match(got.text, new RegExp(`/go/${finding}`))
    assert.equal(got.headers.get('auto-submitted'), 'auto-generated')
    assert.equal(posts.on(other).length, 0)
  })

  test('is sent again until it arrives, with the same id and a signature of its own time', async () => {
    const path = next('/flaky')
    const { secret } = (await add(writ(), hook(path, ['finding.raised']))).reply
    posts.answer(path, 500, 429)
    await raise(writ())
    const got = await arrived(path, 3)
    assert.equal(new Set(got.map(({ headers }) => headers['webhook-id'])).size, 1)
    assert.ok(got.every((post) => isSigned(secret!, post)))
    await eventually('it is settled', async () => {
      const { waiting, trouble } = await targetNamed(writ(), path.slice(1))
      return waiting === 0 && trouble === null
    })
    assert.equal(posts.on(path).length, 3)
  })

  test('is given up where its receiver wants nothing any more: a finding, which others hear of, until something arrives there again', async () => {
    const [gone, other] = [next('/gone'), next('/told')]
    const { id } = (await add(writ(), hook(gone))).reply
    await add(writ(), hook(other))
    posts.answer(gone, 410)
    await raise(writ())
    const told = await eventually('the finding about the target', () => posts.on(other).map(payload).find(({ data }) => data.facts['kind'] === 'notice_undelivered'))
    assert.deepEqual([told.data.facts['notice_target'], told.data.facts['trouble']], [id, 'status_410'])
    const open = (await writ().operator(registry.listFindings)).reply.findings.find(({ kind, evidence }) => kind === 'notice_undelivered' && evidence['notice_target'] === id)!
    assert.equal(open.state, 'open')
    assert.deepEqual(posts.on(gone).length, 1, 'it is not told of its own trouble')
    await raise(writ())
    await eventually('the finding is resolved', () => posts.on(other).map(payload).some(({ type, data }) => type === 'finding.resolved' && data.facts['finding'] === open.id))
  })

  test('is not lost when the server is killed before it is sent, and none that was recorded meanwhile either', async () => {
    const path = next('/killed')
    await add(writ(), hook(path, ['finding.raised']))
    posts.answer(path, ...Array.from({ length: 50 }, () => 503))
    const { finding } = await raise(writ())
    await arrived(path)
    await writ().kill()
    posts.answer(path)
    await writ().restart()
    await eventually('it arrives', () => posts.on(path).map(payload).find(({ data }) => data.facts['finding'] === finding))
  })

  test('is not sent to one that was removed, whose address is destroyed', async () => {
    const path = next('/removed')
    const { id } = (await add(writ(), hook(path, ['finding.raised']))).reply
    posts.answer(path, ...Array.from({ length: 1000 }, () => 503))
    await raise(writ())
    await arrived(path)
    const removed = await writ().operator(contract.removeNoticeTarget, { parameters: { id: path.slice(1) }, body: { reason: 'it moved' } })
    assert.deepEqual([removed.status, removed.reply.state, removed.reply.waiting], [200, 'removed', 0], removed.text)
    assert.deepEqual((await inStoreOf(writ(), 'select sealed_address from notice_target where id = $1', [id])).map((row) => row['sealed_address']), [null])
    await refused(writ(), () => writ().operator(contract.removeNoticeTarget, { parameters: { id }, body: { reason: 'again' } }), { status: 409, code: 'already_removed' })
    assert.equal((await add(writ(), hook(path, ['finding.raised']))).status, 201)
    await writ().operator(contract.removeNoticeTarget, { parameters: { id: path.slice(1) }, body: { reason: 'done' } })
  })

  test('can be tried: it says that it is a test, and whether it arrived is recorded', async () => {
    const path = next('/try')
    const { id } = (await add(writ(), hook(path))).reply
    const tested = () => writ().operator(contract.testNoticeTarget, { parameters: { id }, body: {} })
    assert.deepEqual((await tested()).reply, { arrived: true, trouble: null })
    assert.equal(payload(posts.on(path)[0]!).type, 'writ.test')
    posts.answer(path, 404)
    assert.deepEqual((await tested()).reply, { arrived: false, trouble: 'status_404' })
    assert.deepEqual((await eventsOf(writ(), 'human')).filter(({ type }) => type === 'notice_target.tested').slice(-2).map(({ facts }) => facts['arrived']), ['yes', 'no'])
  })

  test('goes nowhere that Writ may not call, and no secret of a target is ever shown or recorded', async () => {
    const smtp = { host: 'localhost', port: 25 }
    const wrong: readonly (readonly [Body, string])[] = [
      [{ ...hook('/x'), url: 'https://10.0.0.1/x' }, 'url'], [{ ...hook('/x'), url: 'http://acme.example/x' }, 'url'], [{ ...hook('/x'), url: 'https://169.254.169.254/' }, 'url'],
      [{ kind: 'mail', name: 'x', about: ['finding.raised'], from: 'a@b.example', to: ['c@d.example'], smtp: { host: '10.1.2.3', port: 25 } }, 'smtp.host'],
      [{ kind: 'mail', name: 'x', about: ['finding.raised'], from: 'a@b.example', to: ['c@d.example'], smtp: { host: 'mail.acme.example', port: 25, security: 'none' } }, 'smtp.security'],
      [{ kind: 'mail', name: 'x', about: ['finding.raised'], from: 'a@b.example', to: ['c@d.example\r\nBcc: e@f.example'], smtp }, 'to.0'],
      [{ kind: 'mail', name: 'x', about: ['finding.raised'], from: 'a@b.example', to: ['c@d.example'], smtp: { ...smtp, username: 'u' } }, 'smtp'],
      [{ ...hook('/x'), about: [] }, 'about'],
    ]
    for (const [body, field] of wrong) {
      const got = await refused(writ(), () => add(writ(), body), { status: 400, code: 'invalid_fields' })
      assert.deepEqual(got.problem.errors!.map((one) => one.field), [field], got.text)
    }
    const path = next('/secret')
    const body: Body = { kind: 'slack', name: path.slice(1), about: ['finding.raised'], url: posts.urlOf(`${path}/T0/B0/canary-of-the-channel`) }
    const added = await add(writ(), body)
    assert.equal(added.status, 201, added.text)
    await refused(writ(), () => add(writ(), body), { status: 409, code: 'already_exists' })
    const all = [added.text, (await writ().operator(contract.listNoticeTargets)).text, writ().log(), JSON.stringify(await eventsOf(writ()))].join('\n')
    assert.doesNotMatch(all, /canary-of-the-channel/)
    const keyed = { 'idempotency-key': `add-${path}` }
    const first = await add(writ(), hook(`${path}-2`), keyed)
    assert.deepEqual((await add(writ(), hook(`${path}-2`), keyed)).reply, first.reply)
    const stranger = await writ().register(next('stranger'))
    assert.deepEqual([(await stranger.api(contract.listNoticeTargets)).status, (await stranger.api(contract.addNoticeTarget, { body: hook('/y') })).status], [403, 403])
  })
}, { env: ALLOW })

describe('a notice of several servers', () => {
  test('is sent by one of them, whichever recorded it, once', async (t) => {
    const several = await startSeveral({ env: { WRIT_LOG: 'warn', ...ALLOW } })
    t.after(() => several.stop())
    const [here, there] = several.writs
    const path = next('/several')
    assert.equal((await add(here, hook(path, ['finding.raised']))).status, 201)
    const findings = await Promise.all([here, there, here, there, here, there].map(async (writ) => (await raise(writ)).finding))
    await arrived(path, findings.length)
    await eventually('all are settled', async () => (await targetNamed(there, path.slice(1))).waiting === 0)
    assert.equal(posts.on(path).length, findings.length)
    assert.deepEqual(new Set(posts.on(path).map((post) => payload(post).data.facts['finding'])), new Set(findings))
    assert.ok(posts.on(path).every((post) => payload(post).data.link.startsWith('https://writ.acme.example/go/')))
  })
})
