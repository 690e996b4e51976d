import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { inspect } from 'node:util'
import { calculateJwkThumbprint, createRemoteJWKSet, decodeProtectedHeader, jwtVerify, type JWK } from 'jose'
import { startWrit, type RunningWrit, type TestIdentity } from '../../server/test/running-writ.ts'
import { show } from '../../server/test/governed-writ.ts'
import { Denied, type TaskOptions } from '../src/writ.ts'
import { listening, sendJson } from './listening.ts'
import { workload } from './workload.ts'

const WORK: TaskOptions = { purpose: 'answers a ticket', grants: ['tickets:queue:read', 'tickets:queue:reply'] }
const AUTHORITY = ['tickets:queue:read', 'tickets:queue:reply'] as const

describe('the tokens of a task of the SDK', { concurrency: 1 }, () => {
  let writ: RunningWrit
  let agent: TestIdentity
  before(async () => {
    writ = await startWrit()
    agent = await writ.register('ticket-agent', { authority: [...AUTHORITY] })
  })
  after(() => writ.stop())

  test('are of one task, for one resource, and bound to the key that proves them', async (t) => {
    await using task = await workload(t, writ, agent).task(WORK)
    const resource = await listening(t, (_, response) => sendJson(response, 200, { tickets: [] }))
    const answer = await task.fetch(`${resource.url}/queue?state=open`)
    assert.deepEqual(await answer.json(), { tickets: [] })

    const { headers } = resource.heard[0]!
    const token = String(headers.authorization).replace(/^DPoP /, '')
    const keys = createRemoteJWKSet(new URL(`${writ.url}/oauth/jwks`))
    const { payload } = await jwtVerify(token, keys, { issuer: writ.url, audience: resource.url, typ: 'at+jwt' })
    assert.equal(payload['txn'], task.id)
    assert.equal(payload.sub, agent.spiffeId)
    assert.equal((payload['cnf'] as { jkt: string }).jkt, await calculateJwkThumbprint(decodeProtectedHeader(String(headers.dpop)).jwk as JWK))
  })

  test('are kept while they are fresh, one for each resource', async (t) => {
    await using task = await workload(t, writ, agent).task(WORK)
    const [first, again, other] = [await task.token({ resource: 'https://a.example' }), await task.token({ resource: 'https://a.example' }), await task.token({ resource: 'https://b.example' })]
    assert.equal(first, again)
    assert.notEqual(first.value.reveal(), other.value.reveal())
  })

  test('may hold less than the task may, and never more', async (t) => {
    await using task = await workload(t, writ, agent).task(WORK)
    const narrow = await task.token({ resource: 'https://tickets.example', grants: ['tickets:queue:read'] })
    const claims = JSON.parse(Buffer.from(narrow.value.reveal().split('.')[1]!, 'base64url').toString()) as { authorization_details: unknown }
    assert.deepEqual(claims.authorization_details, [{ type: 'tickets', locations: ['queue'], actions: ['read'] }])
    await assert.rejects(task.token({ resource: 'https://tickets.example', grants: ['tickets:queue:delete'] }), Denied)
  })

  test('show themselves in no log', async (t) => {
    await using task = await workload(t, writ, agent).task(WORK)
    const token = await task.token()
    for (const shown of [inspect(token, { depth: 9 }), JSON.stringify(token), inspect(task, { depth: 9, showHidden: true })]) {
      assert.ok(!shown.includes(token.value.reveal()), shown)
    }
  })

  test('a child task is opened for another workload, which goes on in it by itself', async (t) => {
    const helper = await writ.register('ticket-helper', { authority: [...AUTHORITY] })
    await using task = await workload(t, writ, agent).task(WORK)
    const child = await task.delegate({ identity: helper.spiffeId, purpose: 'reads the queue', grants: ['tickets:queue:read'], ttl: '2m', budget: 5 })
    await using joined = await workload(t, writ, helper).join(child)
    assert.equal(joined.purpose, 'reads the queue')
    const claims = JSON.parse(Buffer.from((await joined.token()).value.reveal().split('.')[1]!, 'base64url').toString()) as { sub: string; act: { sub: string } }
    assert.deepEqual([claims.sub, claims.act.sub], [agent.spiffeId, helper.spiffeId])
    await assert.rejects(workload(t, writ, agent).join(child), Denied)
    await assert.rejects(task.delegate({ identity: helper.spiffeId, purpose: 'too much', grants: ['tickets:queue:delete'] }), Denied)
    await task.end()
    assert.notEqual((await show(helper, child)).reply.state, 'open')
  })
})
