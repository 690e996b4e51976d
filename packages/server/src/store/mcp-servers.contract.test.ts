import assert from 'node:assert/strict'
import { test } from 'node:test'
import { epochMs } from '@writ/domain/time'
import { onBothStores } from '../../test/both-stores.ts'
import { decidedWorld, decisionOf, lost, newId, write, type Call, type DecidedStore } from '../../test/decided/world.ts'
import { RuleBroken } from './faults.ts'
import { findMcpServer, findMcpServerById, listListedTools, listMcpServers, listSeenTools, type McpServer, type SeenTool } from './mcp-servers.ts'
import { findServerInstance, listServerInstances } from './server-instances.ts'
import type { Tables } from './tables.ts'
import { findToolCall, hasLostCall, listToolCalls, type NewToolCall } from './tool-calls.ts'

const at = epochMs
const identity = newId('identity')
const [task, other] = [newId('task'), newId('task')]

const serverOf = (more: Partial<McpServer> = {}): McpServer => ({
  id: newId('mcpServer'), name: 'mail', settings: { transport: 'http', url: 'https://mail.example/mcp', ca: null }, sealedSecret: 'w1.sealed', environment: 'production',
  state: 'active', addedBy: 'opr_1', addedAt: at(1000), secretSetAt: null, ...more,
})
const put = (server: McpServer): Call => ({ name: 'insertMcpServer', given: [server] })

type Put = Omit<SeenTool, 'firstSeen' | 'lastSeen' | 'goneAt'>
const server = serverOf()
const toolOf = (name: string, hash: string): Put => ({ server: server.id, name, hash: `sha256:${hash}`, definition: `{"name":"${name}"}`, flags: [{ at: '/name', in: 'value', characters: ['U+200B'] }] })
const see = (tool: Put, now: number): Call => ({ name: 'putSeenTool', given: [tool, at(now)] })
const gone = (names: readonly string[], now: number): Call => ({ name: 'markToolsGone', given: [server.id, names, at(now)] })

onBothStores<Tables, null>(decidedWorld, (name, open) => {
  const opened = async (t: Parameters<typeof open>[0], ...calls: readonly Call[]): Promise<DecidedStore> => {
    const store = await open(t)
    await store.change(write, calls)
    return store
  }
  const breaks = (store: DecidedStore, rule: string, call: Call) =>
    assert.rejects(store.change(write, [call]), (error) => error instanceof RuleBroken && error.rule === rule, rule)
  const set = (table: keyof Tables, id: object, columns: object): Call => ({ name: 'breakRule', given: [{ table, set: columns, id }] })

  test(`${name}: an MCP server is read back as it was registered, by its name and by its id`, async (t) => {
    const local = serverOf({ name: 'files', settings: { transport: 'stdio', command: '/usr/bin/files', args: ['--root', '/srv'], cwd: null, leases: [{ variables: 'PG', type: 'postgres', resource: 'shop', action: 'ddl' }] }, sealedSecret: null, environment: null })
    const store = await opened(t, put(server), put(local))
    for (const one of [server, local]) {
      assert.deepEqual(await store.read((db) => findMcpServer(db, one.name)), one)
      assert.deepEqual(await store.read((db) => findMcpServerById(db, one.id)), one)
    }
    for (const no of ['Mail', 'mail ', '', server.id]) assert.equal(await store.read((db) => findMcpServer(db, no)), undefined)
    assert.deepEqual((await store.read(listMcpServers)).map((one) => one.name), ['files', 'mail'])
  })

  test(`${name}: one active server has a name, and one that is retired leaves it free`, async (t) => {
    const [again, third] = [serverOf(), serverOf()]
    const store = await opened(t, put(server))
    const tried = await store.change(write, [put(again)])
    assert.deepEqual(tried.ok && tried.value, [false])
    assert.deepEqual(await store.read(listMcpServers), [server])
    await store.change(write, [{ name: 'markMcpServerRetired', given: [server.id, at(2000)] }])
    assert.equal(await store.read((db) => findMcpServer(db, 'mail')), undefined)
    const taken = await store.change(write, [put(third)])
    assert.deepEqual(taken.ok && taken.value, [true])
    assert.deepEqual(await store.read((db) => findMcpServer(db, 'mail')), third)
    await breaks(store, 'mcp_server_retired_is_for_ever', set('mcp_server', { id: server.id }, { state: 'active', retired_at: null }))
  })

  test(`${name}: of a server nothing changes but its secret`, async (t) => {
    const store = await opened(t, put(server))
    for (const columns of [{ name: 'post' }, { settings: '{}' }, { transport: 'stdio' }, { environment: 'test' }, { added_at: 1 }]) {
      await breaks(store, 'mcp_server_is_frozen', set('mcp_server', { id: server.id }, columns))
    }
    await breaks(store, 'mcp_server_retired_has_time', set('mcp_server', { id: server.id }, { state: 'retired' }))
    await breaks(store, 'mcp_server_is_never_deleted', { name: 'remove', given: ['mcp_server' as never] })
    await store.change(write, [{ name: 'setMcpSecret', given: [server.id, 'w1.other', at(3000)] }])
    assert.deepEqual(await store.read((db) => findMcpServer(db, 'mail')), { ...server, sealedSecret: 'w1.other', secretSetAt: 3000 })
    for (const [rule, more] of [['mcp_server_transport_known', { settings: { transport: 'smoke' } as never }], ['mcp_server_environment_known', { environment: 'moon' as never }]] as const) {
      await breaks(store, rule, put(serverOf({ name: 'other', ...more })))
    }
  })

  test(`${name}: what a server lists is kept beside what it listed before`, async (t) => {
    const store = await opened(t, put(server), see(toolOf('read', 'a'), 1000), see(toolOf('send', 'b'), 1000))
    const listed = async () => (await store.read((db) => listListedTools(db, server.id))).map((one) => [one.name, one.hash, one.lastSeen])
    assert.deepEqual(await listed(), [['read', 'sha256:a', 1000], ['send', 'sha256:b', 1000]])
    await store.change(write, [gone(['read'], 2000), see(toolOf('read', 'c'), 2000), { name: 'touchListedTools', given: [server.id, at(2500)] }])
    assert.deepEqual(await listed(), [['read', 'sha256:c', 2500], ['send', 'sha256:b', 2500]])
    const all = await store.read((db) => listSeenTools(db, server.id))
    assert.deepEqual(all.map((one) => [one.name, one.hash, one.firstSeen, one.goneAt]), [['read', 'sha256:c', 2000, null], ['send', 'sha256:b', 1000, null], ['read', 'sha256:a', 1000, 2000]])
    assert.deepEqual(all[2], { ...toolOf('read', 'a'), firstSeen: 1000, lastSeen: 1000, goneAt: 2000 })
    await store.change(write, [gone(['read'], 3000), see(toolOf('read', 'a'), 3000)])
    assert.deepEqual(await listed(), [['read', 'sha256:a', 3000], ['send', 'sha256:b', 2500]])
    // As after the list of another server of ours whose clock was ahead.
    await store.change(write, [gone(['read'], 3000), see(toolOf('read', 'a'), 2000)])
    assert.deepEqual((await listed())[0], ['read', 'sha256:a', 3000])
  })

  test(`${name}: a tool is listed once, and a definition never changes under its hash`, async (t) => {
    const store = await opened(t, put(server), see(toolOf('read', 'a'), 1000))
    await assert.rejects(store.change(write, [see(toolOf('read', 'b'), 2000)]), RuleBroken)
    const row = { server_id: server.id, name: 'read' }
    for (const columns of [{ definition: '{}' }, { hash: 'sha256:b' }, { name: 'write' }, { first_seen: 1 }]) await breaks(store, 'mcp_tool_is_frozen', set('mcp_tool', row, columns))
    await breaks(store, 'mcp_tool_last_seen_only_grows', set('mcp_tool', row, { last_seen: 999 }))
    await breaks(store, 'mcp_tool_gone_after_seen', set('mcp_tool', row, { gone_at: 999 }))
    assert.equal((await store.read((db) => listSeenTools(db, server.id))).length, 1)
  })

  test(`${name}: of definitions that are gone the oldest are forgotten, and never one to keep`, async (t) => {
    const versions = ['a', 'b', 'c', 'd'].flatMap((hash, i) => [see(toolOf('read', hash), 1000 + i * 10), gone(['read'], 1005 + i * 10)])
    const store = await opened(t, put(server), ...versions, see(toolOf('read', 'e'), 2000))
    await store.change(write, [{ name: 'forgetGoneTools', given: [server.id, 1, new Set(['sha256:a'])] }])
    assert.deepEqual((await store.read((db) => listSeenTools(db, server.id))).map((one) => one.hash).toSorted(), ['sha256:a', 'sha256:d', 'sha256:e'])
  })

  const instance = newId('serverInstance')
  const begin: Call = { name: 'insertServerInstance', given: [{ id: instance, address: 'https://10.0.0.7:8443', startedAt: at(1000) }] }
  const estate: Call = { name: 'estate', given: [{ identity, tasks: [task, other] }] }
  const callsOf = (many: number): readonly { readonly call: NewToolCall; readonly writes: readonly Call[] }[] => Array.from({ length: many }, (_, i) => {
    const decision = decisionOf({ task: i % 2 === 0 ? task : other, identity, at: at(1000 + i) })
    const call: NewToolCall = { decision: decision.id, task: decision.task!, identity, server: 'mail', tool: 'resources/read', instance, startedAt: at(1000 + i) }
    return { call, writes: [{ name: 'insertDecision', given: [decision] }, { name: 'insertToolCall', given: [call] }] }
  })

  test(`${name}: a call is in flight until it is finished, and finished once`, async (t) => {
    const [first, second] = callsOf(2) as [ReturnType<typeof callsOf>[0], ReturnType<typeof callsOf>[0]]
    const store = await opened(t, begin, estate, ...first.writes, ...second.writes)
    const found = (of: typeof first) => store.read((db) => findToolCall(db, of.call.decision))
    assert.deepEqual(await found(first), { ...first.call, status: 'in_flight', finishedAt: null, result: null, durationMs: null })
    const end = { outcome: 'succeeded', result: { bytes: 7, sha256: 'ab' }, durationMs: 12, finishedAt: at(1500) } as const
    const finish = (of: typeof first, more: object = {}): Call => ({ name: 'markCallsFinished', given: [[{ decision: of.call.decision, ...end, ...more }]] })
    await store.change(write, [finish(first), finish(second, { outcome: 'unknown', result: null, durationMs: null })])
    assert.deepEqual(await found(first), { ...first.call, status: 'succeeded', finishedAt: 1500, result: end.result, durationMs: 12 })
    await breaks(store, 'tool_call_ends_once', finish(first, { outcome: 'failed' }))
    await breaks(store, 'tool_call_ends_once', finish(first, { outcome: 'unknown', result: null, durationMs: null }))
    await breaks(store, 'tool_call_result_is_of_one_finished', finish(second, { outcome: 'unknown', result: null }))
    await breaks(store, 'tool_call_attempt_is_frozen', set('tool_call', { decision_id: first.call.decision }, { tool: 'send' }))
    await breaks(store, 'tool_call_is_never_deleted', { name: 'remove', given: ['tool_call' as never] })
    await store.change(write, [finish(second, { outcome: 'tool_error' })])
    assert.equal((await found(second))?.status, 'tool_error')
    await assert.rejects(store.change(write, [first.writes[1]!]), RuleBroken)
  })

  test(`${name}: calls are listed newest first, of all tasks or of one, page by page`, async (t) => {
    const calls = callsOf(5)
    const store = await opened(t, begin, estate, ...calls.flatMap((one) => one.writes))
    const ids = async (page: object) => (await store.read((db) => listToolCalls(db, { limit: 100, ...page }))).map((one) => one.decision)
    const all = calls.map((one) => one.call.decision).toReversed()
    assert.deepEqual(await ids({}), all)
    assert.deepEqual(await ids({ limit: 2, before: all[1] }), all.slice(2, 4))
    assert.deepEqual(await ids({ task: other }), [all[1], all[3]])
    assert.deepEqual(await ids({ task: newId('task') }), [])
  })

  test(`${name}: a call is lost once its server is gone or was never known`, async (t) => {
    const calls = callsOf(3)
    const store = await opened(t, begin, estate, ...calls.flatMap((one) => one.writes))
    const found = async (): Promise<readonly string[]> => { const answer = await store.change(lost, 2); return answer.ok ? answer.value : [] }
    assert.deepEqual([await store.read(hasLostCall), await found()], [false, []])
    await store.change(write, [{ name: 'markUnseenInstancesGone', given: [at(1000), at(5000)] }])
    assert.equal(await store.read(hasLostCall), false)
    await store.change(write, [{ name: 'markUnseenInstancesGone', given: [at(1001), at(5000)] }])
    assert.deepEqual([await store.read(hasLostCall), await found()], [true, calls.slice(0, 2).map((one) => one.call.decision)])
    await store.change(write, [{ name: 'touchServerInstance', given: [instance, at(6000)] }])
    assert.equal(await store.read(hasLostCall), false)
    await store.change(write, [{ name: 'markServerInstanceGone', given: [instance, at(7000)] }, { name: 'forgetServerInstances', given: [at(7001)] }])
    assert.deepEqual([await store.read(hasLostCall), (await found()).length, await store.read(listServerInstances)], [true, 2, []])
  })

  test(`${name}: an instance that is seen again lives, and its clock never goes back`, async (t) => {
    const store = await opened(t, begin)
    const whole = { id: instance, address: 'https://10.0.0.7:8443', startedAt: 1000, seenAt: 1000, goneAt: null }
    const found = () => store.read((db) => findServerInstance(db, instance))
    assert.deepEqual(await found(), whole)
    const touched = await store.change(write, [{ name: 'touchServerInstance', given: [instance, at(900)] }, { name: 'touchServerInstance', given: [newId('serverInstance'), at(900)] }])
    assert.deepEqual(touched.ok && touched.value, [true, false])
    assert.deepEqual(await found(), whole)
    await store.change(write, [{ name: 'markServerInstanceGone', given: [instance, at(2000)] }])
    assert.deepEqual([await found(), await store.read(listServerInstances)], [{ ...whole, goneAt: 2000 }, []])
    await store.change(write, [{ name: 'touchServerInstance', given: [instance, at(3000)] }])
    assert.deepEqual(await store.read(listServerInstances), [{ ...whole, seenAt: 3000 }])
    await breaks(store, 'server_instance_is_frozen', set('server_instance', { id: instance }, { address: 'https://elsewhere.example' }))
    await breaks(store, 'server_instance_seen_only_grows', set('server_instance', { id: instance }, { seen_at: 1 }))
  })
})
