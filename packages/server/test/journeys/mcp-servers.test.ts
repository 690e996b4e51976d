import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as mcp from '@writ/contract/mcp-servers'
import { showCurrentPolicies } from '@writ/contract/policies'
import * as registry from '@writ/contract/registry'
import { definitionOf, hashOf } from '../laws/tool-steps.ts'
import { eventsOf, inStoreOf, keptIn, onEachStore, refused } from '../kept.ts'
import { rawRequest } from '../raw-request.ts'
import type { RunningWrit } from '../running-writ.ts'

const LISTING = fileURLToPath(new URL('../mcp/listing-stdio.ts', import.meta.url))
const CANARY = 'a-canary-that-nobody-may-see'
const http = (name: string, more: object = {}) => ({ name, transport: 'http', url: 'https://mail.example/mcp', ...more })
const stdio = (name: string, more: object = {}) => ({ name, transport: 'stdio', command: 'mail-server', ...more })
const terms = { effect: 'read', reversible: true, labels: [], trust: null } as const

const BAD: readonly { readonly what: string; readonly body: object; readonly field: string }[] = [
  ...[
    'http://mail.example/mcp', 'https://127.0.0.1/mcp', 'https://127.1/', 'https://2130706433/', 'https://0x7f000001/', 'https://[::1]/', 'https://[::ffff:127.0.0.1]/', 'https://169.254.169.254/',
    'https://10.0.0.8/mcp', 'https://[fd00::1]/', 'https://0.0.0.0/', 'https://user:pass@mail.example/', 'https://mail.example/#here', 'file:///etc/passwd', 'gopher://mail.example/', 'mail.example', '//mail.example', 'javascript:1',
  ].map((url) => ({ what: `the URL ${url}`, body: http('bad', { url }), field: 'url' })),
  { what: 'an authority that is no certificate', body: http('bad', { ca: 'trust me' }), field: 'ca' },
  { what: 'a name with a slash', body: http('bad/name'), field: 'name' },
  { what: 'a header of the way', body: http('bad', { headers: { Host: 'other.example' } }), field: 'headers.Host' },
  { what: 'a header of the protocol', body: http('bad', { headers: { 'MCP-Session-Id': 'x' } }), field: 'headers.MCP-Session-Id' },
  { what: 'a header with a line end', body: http('bad', { headers: { 'X-Key': 'a\r\nHost: other.example' } }), field: 'headers.X-Key' },
  { what: 'a header twice', body: http('bad', { headers: { 'X-Key': 'a', 'x-key': 'b' } }), field: 'headers' },
  { what: 'variables over HTTP', body: http('bad', { variables: { KEY: 'x' } }), field: 'variables' },
  { what: 'a command line in one', body: stdio('bad', { command: 'sh -c evil' }), field: 'command' },
  { what: 'a relative path', body: stdio('bad', { command: './evil' }), field: 'command' },
  { what: 'an option for a command', body: stdio('bad', { command: '-c' }), field: 'command' },
  { what: 'an argument with NUL', body: `{"name":"bad","transport":"stdio","command":"x","args":["a\\u0000b"]}` as unknown as object, field: 'unsafe' },
  { what: 'a relative folder', body: stdio('bad', { cwd: 'here' }), field: 'cwd' },
  { what: 'a variable with a sign in its name', body: stdio('bad', { variables: { 'A=B': 'x' } }), field: 'variables.A=B' },
  { what: 'no transport', body: { name: 'bad', url: 'https://mail.example/mcp' }, field: 'transport' },
]

onEachStore('an MCP server', (writ) => {
  const operator = () => writ().operator
  const add = (body: object) => operator()(mcp.addMcpServer, { body })
  const list = (name: string) => join(writ().folder, `${name}.json`)
  const addListing = async (name: string, definitions: readonly string[], more: object = {}) => {
    relist(writ(), name, definitions)
    const added = await add(stdio(name, { command: process.execPath, args: [LISTING, list(name)], ...more }))
    assert.equal(added.status, 201, added.text)
  }
  const relist = (of: RunningWrit, name: string, definitions: readonly string[]) => writeFileSync(join(of.folder, `${name}.json`), `[${definitions.join(',')}]`)
  const tools = async (name: string, fresh = 'true') => {
    const got = await operator()(mcp.listMcpTools, { parameters: { name }, query: { fresh } })
    assert.equal(got.status, 200, got.text)
    return got.reply
  }
  const accept = (name: string, accepted: readonly object[], more: object = {}) =>
    operator()(mcp.acceptMcpTools, { parameters: { name }, body: { tools: accepted, reason: 'looked at' }, ...more })
  const findings = async () => (await operator()(registry.listFindings)).reply.findings.filter((one) => one.state === 'open').map((one) => one.kind)

  test('is registered with secrets that nobody is ever shown again', async () => {
    const added = await add(http('mail', { url: `https://mail.example/${CANARY}`, headers: { Authorization: `Bearer ${CANARY}` }, environment: 'test' }))
    assert.equal(added.status, 201, added.text)
    assert.deepEqual({ ...added.reply, id: '', added_at: '', added_by: '' }, {
      id: '', name: 'mail', transport: 'http', url: `https://mail.example/${CANARY}`, own_ca: false, command: null, args: [], cwd: null, has_secrets: true, leases: [], environment: 'test',
      state: 'active', added_by: '', added_at: '', secret_set_at: null, endpoint: `${writ().url}/mcp/mail`,
    })
    const rotated = await operator()(mcp.setMcpServerSecrets, { parameters: { name: 'mail' }, body: { headers: { Authorization: `Bearer ${CANARY}2` } } })
    assert.ok(rotated.status === 200 && rotated.reply.secret_set_at !== null, rotated.text)
    await add(stdio('local', { variables: { KEY: CANARY }, args: [CANARY] }))
    const told = (await eventsOf(writ(), 'human')).filter(({ type }) => type.startsWith('mcp_server.'))
    assert.deepEqual(told.map(({ type, facts }) => [type, facts['name'], facts['secrets'], facts['origin'] ?? facts['command']]), [
      ['mcp_server.added', 'mail', ['Authorization'], 'https://mail.example'], ['mcp_server.changed', 'mail', ['Authorization'], undefined], ['mcp_server.added', 'local', ['KEY'], 'mail-server'],
    ])
    const rows = JSON.stringify(await inStoreOf(writ(), 'select sealed_secret from mcp_server')) + JSON.stringify(told) + writ().log()
    assert.ok(!rows.includes(CANARY))
    const shown = await operator()(mcp.showMcpServer, { parameters: { name: 'mail' } })
    assert.ok(!shown.text.includes('Bearer'))
  })

  for (const { what, body, field } of BAD) {
    test(`is refused with ${what}, and nothing is written`, async () => {
      const code = field === 'unsafe' ? 'unsafe_text' : 'invalid_fields'
      const got = await refused(writ(), () => add(body), { status: 400, code })
      if (field !== 'unsafe') assert.ok(got.problem.errors?.some((one) => one.field === field), got.text)
    })
  }

  test('is refused where its body can be read in two ways, or is too large', async () => {
    const before = await keptIn(writ())
    const post = (body: string) => rawRequest(writ().url, { method: 'POST', path: '/v1/mcp-servers', headers: [['content-type', 'application/json'], ['authorization', `Bearer ${writ().operatorKey}`]], body: Buffer.from(body) })
    for (const [body, status] of [[`{"name":"twice","name":"two","transport":"stdio","command":"x"}`, 400], [JSON.stringify(http('large', { ca: 'x'.repeat(2_000_000) })), 413]] as const) {
      assert.equal((await post(body)).status, status)
    }
    assert.deepEqual(await keptIn(writ()), before)
  })

  test('is no business of an identity, and of nobody without a key', async () => {
    const bot = await writ().register('bot')
    for (const endpoint of [mcp.addMcpServer, mcp.listMcpServers, mcp.showMcpServer, mcp.retireMcpServer, mcp.setMcpServerSecrets, mcp.listMcpTools, mcp.acceptMcpTools, mcp.listToolCalls]) {
      await refused(writ(), () => bot.api(endpoint as never, { parameters: { name: 'mail' } }), { status: 403, code: 'not_allowed' })
      await refused(writ(), () => writ().stranger(endpoint as never, { parameters: { name: 'mail' } }), { status: 401, code: 'unauthenticated' })
    }
  })

  test('has its name alone until it is retired, and a repeated request makes one', async () => {
    const headers = { 'idempotency-key': 'add-it-once' }
    const once = () => operator()(mcp.addMcpServer, { body: http('once'), headers })
    const [first, second] = [await once(), await once()]
    assert.deepEqual([first.status, second.reply], [201, first.reply])
    await refused(writ(), () => add(http('once')), { status: 409, code: 'already_exists' })
    await refused(writ(), () => operator()(mcp.addMcpServer, { body: http('other'), headers }), { status: 422, code: 'idempotency_key_reused' })
    const retire = () => operator()(mcp.retireMcpServer, { parameters: { name: 'once' }, body: { reason: 'replaced' } })
    assert.equal((await retire()).reply.state, 'retired')
    for (const gone of [retire, () => operator()(mcp.showMcpServer, { parameters: { name: 'once' } }), () => operator()(mcp.listMcpTools, { parameters: { name: 'once' }, query: { fresh: 'true' } }), () => accept('once', [{ ...terms, name: 'x', hash: 'x' }])]) {
      await refused(writ(), gone as never, { status: 404, code: 'no_such_server' })
    }
    assert.equal((await add(http('once'))).status, 201)
    assert.deepEqual((await operator()(mcp.listMcpServers)).reply.servers.filter((one) => one.name === 'once').map((one) => one.state).toSorted((a, b) => (a < b ? -1 : 1)), ['active', 'retired'])
  })

  test('that can not be asked is named, and what it listed before still shows', async () => {
    await add(stdio('absent', { command: 'there-is-no-such-program' }))
    const got = await refused(writ(), () => operator()(mcp.listMcpTools, { parameters: { name: 'absent' }, query: { fresh: 'true' } }), { status: 502, code: 'upstream' })
    assert.match(got.problem.detail!, /`absent` can not be asked: command_not_found/)
    assert.deepEqual(await tools('absent', 'false'), { tools: [], left_out: [] })
  })

  test('shows its tools with proposals, which a person accepts as they are, and blocks what changed since', async () => {
    const [look, changed] = [definitionOf('look', 'Looks.'), definitionOf('look', 'Looks, and sends.')]
    await addListing('files', [look, '{"name":"send"}', '{"name":"send"}', '{"name":"a b"}'], { variables: { EXTRA_TOOL: 'extra' } })
    const first = await tools('files')
    assert.deepEqual(first.tools.map((one) => [one.name, one.state, one.proposal?.effect, one.pin]), [['extra', 'new', 'external', null], ['look', 'new', 'read', null], ['resources/read', 'new', 'read', null]])
    assert.deepEqual(first.left_out, [{ because: 'bad_name', count: 1 }, { because: 'named_twice', count: 1 }])
    const before = (await operator()(showCurrentPolicies)).reply
    const accepted = await accept('files', [{ ...terms, name: 'look', hash: hashOf(look), labels: ['pii'] }])
    assert.deepEqual([accepted.status, accepted.reply.policy_version], [200, before.version + 1], accepted.text)
    assert.deepEqual(accepted.reply.tools.map((one) => [one.name, one.state, one.terms?.labels ?? null]), [['extra', 'new', null], ['look', 'pinned', ['pii']], ['resources/read', 'new', null]])
    relist(writ(), 'files', [changed])
    await tools('files')
    assert.deepEqual(await findings(), ['tool_changed'])
    const stale = await accept('files', [{ ...terms, name: 'look', hash: hashOf(look) }])
    assert.deepEqual([stale.status, stale.problem.code, stale.problem.errors], [409, 'stale', [{ field: 'look', message: `is ${hashOf(changed)} now` }]])
    const [, blocked] = (await tools('files', 'false')).tools
    assert.deepEqual([blocked!.state, blocked!.hash, blocked!.pin, blocked!.pinned_definition === null, JSON.parse(blocked!.definition!)], ['changed', hashOf(changed), hashOf(look), false, JSON.parse(changed)])
    assert.equal((await accept('files', [{ ...terms, name: 'look', hash: hashOf(changed) }])).status, 200)
    assert.deepEqual(await findings(), [])
  })

  test('is looked at once more before a tool is accepted, so that nobody accepts what is no longer listed', async () => {
    const [look, changed] = [definitionOf('look', 'Looks.'), definitionOf('look', 'Looks otherwise.')]
    await addListing('swift', [look])
    await tools('swift')
    relist(writ(), 'swift', [changed])
    const stale = await accept('swift', [{ ...terms, name: 'look', hash: hashOf(look) }])
    assert.deepEqual([stale.status, stale.problem.code], [409, 'stale'], stale.text)
  })

  test('whose definitions hold invisible text is a finding, and says where', async () => {
    await addListing('sly', [definitionOf('look', 'Looks.\u200b')])
    const [tool] = (await tools('sly')).tools
    assert.deepEqual(tool!.flags, [{ at: '/description', in: 'value', characters: ['U+200B'] }])
    assert.deepEqual(await findings(), ['tool_hidden_text'])
    await operator()(mcp.retireMcpServer, { parameters: { name: 'sly' }, body: { reason: 'sly' } })
    assert.deepEqual(await findings(), [])
  })

  test('has calls that are listed by task, page by page', async () => {
    assert.deepEqual((await operator()(mcp.listToolCalls, { query: { task: 'tsk_none' } })).reply, { calls: [], next: null })
    assert.equal((await operator()(mcp.listToolCalls, { query: { limit: '0' } })).status, 400)
  })
})
