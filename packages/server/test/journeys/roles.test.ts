import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { pathOf } from '@writ/contract/endpoint'
import { ENDPOINTS, type NamedEndpoint as Named } from '@writ/contract/endpoints'
import * as registry from '@writ/contract/registry'
import { MAY, reachOf } from '@writ/contract/roles'
import * as tasks from '@writ/contract/tasks'
import { ROLES, type Role } from '@writ/domain/person'
import { opened } from '../governed-writ.ts'
import { keptIn, onEachStore, refused } from '../kept.ts'
import { askToken, DETAILS } from '../oauth-client.ts'
import { originOf, signInAs, type SignedInPerson } from '../people.ts'

/** Every door that is closed to somebody; whoever asks at a gateway shows a token for just that address, and a test of its own shows who may there. */
const CLOSED = ENDPOINTS.filter(({ endpoint }) => !['anyone', 'webhook', 'token_holder'].includes(endpoint.who))
const FOR_PEOPLE = CLOSED.filter(({ endpoint }) => endpoint.who !== 'identity')

const NOTHING = 'x_00000000000000000000000000'
const parametersOf = ({ endpoint }: Named) => Object.fromEntries([...endpoint.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => [name!, name === 'stream' ? 'human' : NOTHING]))

/** What says who may, and nothing else: whoever gets past the door has sent a body that nobody can read and a key that is none, so that nothing is ever done. */
const CLOSED_CODES = new Set(['role_needed', 'people_only', 'not_allowed', 'outside_task', 'cross_site', 'unauthenticated'])

type Knock = { readonly may: boolean; readonly said: string }

async function knock(url: string, one: Named, headers: Readonly<Record<string, string>>): Promise<Knock> {
  const { endpoint } = one
  const path = pathOf(endpoint, parametersOf(one)).replace('*', '000')
  const answer = await fetch(url + path, {
    method: endpoint.method, headers: { ...headers, ...(endpoint.method === 'GET' ? {} : { 'content-type': 'application/json', 'idempotency-key': 'short' }) }, ...(endpoint.method === 'GET' ? {} : { body: '{' }),
  })
  if (answer.status < 400) {
    // A stream would never end.
    await answer.body?.cancel()
    return { may: true, said: String(answer.status) }
  }
  const { code, detail } = await answer.json() as { readonly code: string; readonly detail?: string }
  assert.notEqual(answer.status, 500, `${one.name}: ${code}`)
  const isClosed = [401, 403].includes(answer.status) && CLOSED_CODES.has(code)
  return { may: !isClosed, said: `${answer.status} ${code} ${detail ?? ''}` }
}

test('the table names what there is for people, and everything of it', () => {
  assert.deepEqual(FOR_PEOPLE.map(({ name }) => name).filter((name) => !(name in MAY)), [], 'is not in the table of roles: nobody may call it')
  assert.deepEqual(Object.keys(MAY).filter((name) => !FOR_PEOPLE.some((one) => one.name === name)), [], 'is in the table, and nowhere else')
})

test('an auditor changes nothing, and a viewer no more', () => {
  // What policies say about a question is asked by POST and changes nothing.
  const asking = new Set(['searchSubjects', 'searchResources', 'searchActions', 'checkPolicies'])
  for (const { name, endpoint } of FOR_PEOPLE) {
    if (endpoint.method === 'GET' || MAY[name] === 'everybody' || asking.has(name)) continue
    for (const role of ['auditor', 'viewer'] as const) assert.equal(reachOf(name, [role]), 'none', `${name} as ${role}`)
  }
})

/** On a server that only this machine can ask the metrics are open: see the test of the surface. */
const DOORS = CLOSED.filter(({ name }) => name !== 'metrics')

onEachStore('the doors for people', (writ, store) => {
  const people = new Map<Role | 'nothing', SignedInPerson>()
  before(async () => {
    for (const role of [...ROLES, 'nothing'] as const) people.set(role, await signInAs(writ(), { roles: role === 'nothing' ? [] : [role], passkey: false }))
  })
  const headersOf = (one: SignedInPerson) => ({ cookie: one.cookie, origin: originOf(writ()) })

  test(`who may is the table, at every door and for every role [${store}]`, async () => {
    const before = await keptIn(writ())
    for (const [role, somebody] of people) {
      for (const one of DOORS) {
        const { may, said } = await knock(writ().url, one, headersOf(somebody))
        const wanted = one.endpoint.who !== 'identity' && reachOf(one.name, role === 'nothing' ? [] : [role]) !== 'none'
        assert.equal(may, wanted, `${one.name} as ${role}: ${said}`)
      }
    }
    assert.deepEqual(await keptIn(writ()), before)
  })

  test(`an operator key may whatever is not for people or for identities alone [${store}]`, async () => {
    for (const one of DOORS) {
      const { may, said } = await knock(writ().url, one, { authorization: `Bearer ${writ().operatorKey}` })
      assert.equal(may, ['operator', 'identity_or_operator'].includes(one.endpoint.who), `${one.name}: ${said}`)
    }
  })

  test(`no agent approves, changes policy, raises its own limits or touches the audit, whatever it shows [${store}]`, async () => {
    const agent = await writ().register('agent', { class: 'assisted' })
    const { access_token: token, token_type: type } = (await askToken(writ(), agent, { purpose: 'tidy up', authorization_details: DETAILS })).reply
    assert.equal(type, 'Bearer')
    const before = await keptIn(writ())
    for (const one of DOORS.filter(({ endpoint }) => endpoint.who === 'operator' || endpoint.who === 'person')) {
      for (const bearer of [agent.assertion(), token]) {
        for (const headers of [{ authorization: `Bearer ${bearer}` }, { authorization: `Bearer ${bearer}`, cookie: people.get('admin')!.cookie, origin: originOf(writ()) }]) {
          // What is good once is shown once.
          const shown = bearer === token ? headers : { ...headers, authorization: `Bearer ${agent.assertion()}` }
          const { may, said } = await knock(writ().url, one, shown)
          assert.ok(!may && said.startsWith('403'), `${one.name}: ${said}`)
        }
      }
    }
    assert.deepEqual({ ...await keptIn(writ()) }, before)
  })

  test(`an owner sees and stops what is theirs, and nothing else is there [${store}]`, async () => {
    const mine = await writ().register('mine', { owners: { technical: 'team:platform', business: 'person:maya@acme.example' }, class: 'assisted' })
    const other = await writ().register('theirs', { owners: { technical: 'team:payments', business: 'person:noor@acme.example' }, class: 'assisted' })
    const [own, foreign] = [await opened(mine), await opened(other)]
    const maya = await signInAs(writ(), { roles: ['owner'], email: 'maya@acme.example', passkey: false })
    const byGroup = await signInAs(writ(), { roles: ['owner'], groups: ['payments'], passkey: false })
    const nobody = await signInAs(writ(), { roles: ['owner'], passkey: false })
    const both = await signInAs(writ(), { roles: ['owner', 'viewer'], email: 'maya@acme.example', passkey: false })
    const seen = async ({ api }: SignedInPerson) => [
      (await api(registry.listIdentities)).reply.identities.filter(({ id }) => [mine.id, other.id].includes(id)).map(({ id }) => id),
      (await api(tasks.listTasks)).reply.tasks.filter(({ id }) => [own, foreign].includes(id)).map(({ id }) => id),
    ]
    assert.deepEqual(await seen(maya), [[mine.id], [own]])
    assert.deepEqual(await seen(byGroup), [[other.id], [foreign]])
    assert.deepEqual(await seen(nobody), [[], []])
    assert.deepEqual(await seen(both), [[mine.id, other.id], [foreign, own]])
    const reason = { reason: 'it does something odd' }
    for (const reference of [other.id, other.spiffeId]) {
      await refused(writ(), () => maya.api(registry.showIdentity, { parameters: { id: reference } }), { status: 404, code: 'identity_not_found' })
      await refused(writ(), () => both.api(registry.suspendIdentity, { parameters: { id: reference }, body: reason }), { status: 404, code: 'identity_not_found' })
    }
    await refused(writ(), () => maya.api(tasks.endTask, { parameters: { id: foreign }, body: reason }), { status: 404, code: 'task_not_found' })
    await refused(writ(), () => maya.api(tasks.showTask, { parameters: { id: foreign } }), { status: 404, code: 'task_not_found' })
    assert.equal((await maya.api(tasks.endTask, { parameters: { id: own }, body: reason })).status, 200)
    assert.equal((await maya.api(registry.suspendIdentity, { parameters: { id: mine.spiffeId }, body: reason })).reply.state, 'suspended')
    await refused(writ(), () => maya.api(registry.resumeIdentity, { parameters: { id: mine.id }, body: reason }), { status: 403, code: 'role_needed' })
  })
})
