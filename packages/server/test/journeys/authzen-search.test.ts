import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import * as authzen from '@writ/contract/authzen'
import type { Endpoint } from '@writ/contract/endpoint'
import * as registry from '@writ/contract/registry'
import type { z } from 'zod'
import { authzenBundle, CERTIFICATION_FILES, TOOL_GRANTS, TOOLS_FILE } from '../authzen-estate.ts'
import { keptIn, onEachStore } from '../kept.ts'
import type { Api, Got, RunningWrit, TestIdentity } from '../running-writ.ts'

type Page = { readonly results: readonly { readonly id?: string; readonly name?: string }[]; readonly page: { readonly next_token: string; readonly count: number } }

const ask = async (api: Api, of: Endpoint<z.ZodType, z.ZodType>, body: object): Promise<Got<Page>> => api(of, { body }) as Promise<Got<Page>>

async function found(api: Api, of: Endpoint<z.ZodType, z.ZodType>, body: object): Promise<readonly string[]> {
  const got = await ask(api, of, body)
  assert.equal(got.status, 200, got.text)
  assert.equal(got.reply.page.count, got.reply.results.length)
  return got.reply.results.map(({ id, name }) => id ?? name!)
}

/** Page after page, to the end. */
async function pages(api: Api, of: Endpoint<z.ZodType, z.ZodType>, body: object, limit: number): Promise<readonly (readonly string[])[]> {
  const all: (readonly string[])[] = []
  for (let token: string | undefined; ;) {
    const { reply } = await ask(api, of, { ...body, page: { limit, ...(token === undefined ? {} : { token }) } })
    all.push(reply.results.map(({ id }) => id!))
    token = reply.page.next_token
    if (token === '') return all
  }
}

const MANY = 1200
const records = Array.from({ length: MANY }, (_, i) => ({ uid: { type: 'record', id: `many-${String(i).padStart(4, '0')}` }, attrs: { status: 'archived' }, parents: [] }))
const ENTITIES = JSON.stringify([...JSON.parse(CERTIFICATION_FILES['entities.json']!) as object[], ...records])

const READ_TOOL = { action: { name: 'call' }, resource: { type: 'tool', id: 'crm/search' } }
const agentOf = (one: TestIdentity) => ({ type: 'agent', id: one.spiffeId })

onEachStore('a search', (at) => {
  const agents: TestIdentity[] = []
  const register = (writ: RunningWrit, name: string, more: object = {}) => writ.register(name, { authority: ['mcp:crm:search', 'mcp:mail:send'], ...more })
  before(async () => {
    await authzenBundle(at(), { 'tools.json': TOOLS_FILE, 'entities.json': ENTITIES })
    for (const name of ['c', 'a', 'b']) agents.push(await register(at(), name))
    await register(at(), 'a-bot', { kind: 'bot' })
    const gone = await register(at(), 'gone', { authority: [...TOOL_GRANTS] })
    const got = await at().operator(registry.suspendIdentity, { parameters: { id: gone.id }, body: { reason: 'a test' } })
    assert.equal(got.status, 200, got.text)
  })

  test('finds the active identities of a kind, in the order of their names, page by page', async () => {
    const all = ['a', 'b', 'c'].map((name) => `spiffe://acme.example/${name}`)
    assert.deepEqual(await found(at().operator, authzen.searchSubjects, { ...READ_TOOL, subject: { type: 'agent' } }), all)
    assert.deepEqual(await pages(at().operator, authzen.searchSubjects, { ...READ_TOOL, subject: { type: 'agent' } }, 2), [all.slice(0, 2), all.slice(2)])
    assert.deepEqual(await found(at().operator, authzen.searchSubjects, { ...READ_TOOL, subject: { type: 'bot' } }), ['spiffe://acme.example/a-bot'])
  })

  test('tells an identity of itself, of what its own authority names, and of no other identity', async () => {
    const [one, other] = agents as [TestIdentity, TestIdentity]
    assert.deepEqual(await found(one.api, authzen.searchSubjects, { ...READ_TOOL, subject: { type: 'agent' } }), [one.spiffeId])
    assert.deepEqual(await found(one.api, authzen.searchSubjects, { ...READ_TOOL, subject: { type: 'bot' } }), [])
    const tools = { action: { name: 'call' }, resource: { type: 'tool' } }
    assert.deepEqual(await found(one.api, authzen.searchResources, { ...tools, subject: agentOf(one) }), ['crm/search'])
    assert.deepEqual(await found(one.api, authzen.searchResources, { ...tools, subject: agentOf(other) }), [])
    assert.deepEqual(await found(one.api, authzen.searchActions, { subject: agentOf(other), resource: { type: 'tool', id: 'crm/search' } }), [])
    assert.deepEqual(await found(one.api, authzen.searchActions, { subject: agentOf(one), resource: { type: 'tool', id: 'crm/search' } }), ['call', 'read'])
    assert.deepEqual(await found(at().operator, authzen.searchResources, { ...tools, subject: agentOf(other) }), ['crm/inbox', 'crm/refund', 'crm/search'])
    assert.equal((await ask(at().stranger, authzen.searchResources, { ...tools, subject: agentOf(one) })).status, 401)
  })

  test('goes through any number of candidates without keeping anything, a thousand at a time', async () => {
    const all = [...records.map(({ uid }) => uid.id), 'record-1', 'record-2']
    const search = { subject: { type: 'user', id: 'alice' }, action: { name: 'read' }, resource: { type: 'record' } }
    assert.deepEqual(await found(at().operator, authzen.searchResources, search), all.slice(0, 100))
    assert.deepEqual((await pages(at().operator, authzen.searchResources, search, 100_000)).map((page) => page.length), [1000, 202])
    assert.deepEqual((await pages(at().operator, authzen.searchResources, search, 300)).flat(), all)
    // Of the first thousand none is hers to write; there is more to look at.
    assert.deepEqual(await pages(at().operator, authzen.searchResources, { ...search, action: { name: 'write' } }, 10), [[], ['record-1']])
  })

  test('records nothing, and takes no token or name that is not its own', async () => {
    const before = await keptIn(at())
    const search = { subject: { type: 'user' }, action: { name: 'read' }, resource: { type: 'record', id: 'record-1' } }
    assert.deepEqual(await found(at().operator, authzen.searchSubjects, search), ['alice', 'bob'])
    for (const [more, code] of [
      [{ page: { token: '!' } }, 'bad_token'], [{ page: { token: Buffer.from('a\0').toString('base64url') } }, 'bad_token'], [{ page: { token: 'YQ==' } }, 'bad_token'],
      [{ page: { token: Buffer.from([0xff]).toString('base64url') } }, 'bad_token'], [{ page: { token: 'A'.repeat(4097) } }, 'invalid_fields'], [{ page: { token: 7 } }, 'invalid_fields'],
      [{ page: { limit: 0 } }, 'invalid_fields'], [{ page: { limit: 1.5 } }, 'invalid_fields'], [{ page: { limit: '1' } }, 'invalid_fields'], [{ page: [] }, 'invalid_fields'],
      [{ context: { approved: true } }, 'context_not_yours'], [{ context: { task: 'tsk_x' } }, 'bad_task'], [{ context: 7 }, 'invalid_fields'],
      [{ subject: { type: '' } }, 'invalid_fields'], [{ subject: {} }, 'invalid_fields'], [{ resource: { type: 'record' } }, 'invalid_fields'],
    ] as const) {
      const got = await ask(at().operator, authzen.searchSubjects, { ...search, ...more })
      assert.deepEqual([got.status, got.problem.code], [400, code], JSON.stringify(more))
    }
    for (const type of ['spaceship', 'Writ::Nothing', '__proto__', 'x"', 'toString']) assert.deepEqual(await found(at().operator, authzen.searchSubjects, { ...search, subject: { type } }), [])
    assert.deepEqual(await keptIn(at()), before)
  })
})
