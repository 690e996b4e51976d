import assert from 'node:assert/strict'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import * as decisions from '@writ/contract/decisions'
import * as mcp from '@writ/contract/mcp-servers'
import * as policies from '@writ/contract/policies'
import * as tasks from '@writ/contract/tasks'
import { canary, filesBelow, heardIn } from '../canaries.ts'
import { eventually } from '../eventually.ts'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { addShop, complete, GRANT, handlePrefixOf, show } from '../governed-writ.ts'
import { eventsOf, inStoreOf, onEachStore, refused } from '../kept.ts'
import { accessTo, connected, governServer, rawNewer, type Access, type Denied } from '../mcp/estate.ts'
import { assertLogsHold, closureOf } from '../proofs.ts'
import type { TestIdentity } from '../running-writ.ts'

const QUERYING = fileURLToPath(new URL('../mcp/querying-server.ts', import.meta.url))
const SHOP = { variables: 'PG', type: 'postgres', resource: 'shop', action: 'ddl' } as const

onEachStore('an MCP server that is lent a login of a back end', (writ) => {
  let shop: GovernedPostgres
  let bot: TestIdentity
  before(async () => {
    shop = await governedPostgres(18)
    await addShop(writ(), shop)
    await governServer(writ(), { ...program('db'), leases: [SHOP] })
    bot = await writ().register('asker', { authority: ['postgres:shop:ddl', 'mcp:db:orders', 'mcp:db:environment', 'mcp:db:backwards'] })
  })
  after(async () => { await shop.remove() })
  afterEach(() => { rmSync(starts(), { force: true }) })

  const starts = (): string => join(writ().folder, 'starts')
  const program = (name: string) => ({ name, transport: 'stdio' as const, command: process.execPath, args: [QUERYING, starts()] })
  const isStarted = (): boolean => existsSync(starts())
  const TOOLS = { type: 'mcp', locations: ['db'], actions: ['orders', 'environment', 'backwards'] }
  const access = (details: readonly object[] = [TOOLS, ...GRANT], task?: string): Promise<Access> =>
    accessTo(writ(), bot, { server: 'db', form: { authorization_details: JSON.stringify(details) }, ...(task === undefined ? {} : { task }) })
  const errorOf = async (of: Access): Promise<Denied> => {
    const { error } = await (await rawNewer(of, 'tools/list')).json() as { readonly error: Denied }
    assert.ok(!JSON.stringify(error).includes('writ_pg_'))
    return error
  }
  const textOf = (result: unknown): string => JSON.stringify((result as { readonly content: unknown }).content)
  const loginsOf = async (task: string) => (await show(bot, task)).reply.leases.filter((one) => one.kind === 'login')
  const rolesLeft = async () => shop.rolesNamed(await handlePrefixOf(writ()))

  test('is shown with what it is lent, and so is its event', async () => {
    const { reply } = await writ().operator(mcp.showMcpServer, { parameters: { name: 'db' } })
    assert.deepEqual(reply.leases, [SHOP])
    const added = (await eventsOf(writ(), 'human')).find(({ type, facts }) => type === 'mcp_server.added' && facts['name'] === 'db')
    assert.deepEqual(added?.facts['leases'], ['PG=postgres:shop:ddl'])
  })

  test('asks the database with it, the task proves in the end that it is dead, and its secret was nowhere', async () => {
    // The token at hand holds the tools alone: it is the task that lends the login.
    const own = await access([TOOLS], (await access()).task)
    const { client, close } = await connected(own)
    const answers = [await client.callTool({ name: 'orders', arguments: {} }), await client.callTool({ name: 'environment', arguments: {} })].map(textOf)
    assert.match(answers[0]!, /lamp chair/)
    const [lease, ...more] = await loginsOf(own.task)
    assert.deepEqual([lease?.state, lease?.backend, more], ['live', 'shop', []])
    const environment = JSON.parse((JSON.parse(answers[1]!) as readonly { readonly text: string }[])[0]!.text) as Readonly<Record<string, string>>
    assert.deepEqual([environment['PGPASSWORD'], environment['PGUSER'], environment['PGDATABASE']], ['[withheld]', lease?.user, shop.database])
    const told = (await client.callTool({ name: 'backwards', arguments: {} })).content as readonly { readonly text: string }[]
    const secret = told[0]!.text.split('').toReversed().join('')
    assert.match(secret, /^writ_pg_/)
    const rows = async () => JSON.stringify(await Promise.all(['lease', 'mcp_server', 'decision', 'tool_call'].map((table) => inStoreOf(writ(), `select * from ${table}`))))
    const assertSilent = (said: string): void => {
      assert.deepEqual(heardIn(Buffer.from(said), [canary('the secret', secret)]), [])
      for (const file of filesBelow(writ().folder)) assert.deepEqual(heardIn(readFileSync(file), [canary('the secret', secret)]), [], file)
    }
    assertSilent(answers.join() + await rows())
    const decided = await writ().operator(decisions.listDecisions, { query: { task: own.task } })
    assert.ok(decided.reply.decisions.some((one) => one.action === 'connect' && one.answer === 'allow'), decided.text)
    await close()
    await complete(bot, own.task)
    const closure = await closureOf(writ(), bot.api, own.task)
    assert.equal(closure.outcome, 'proved')
    assert.ok(closure.leases.some((one) => one.lease === lease?.id))
    assert.deepEqual(await rolesLeft(), [])
    await assert.rejects(shop.login({ handle: lease!.user!, secret }))
    assertSilent(await rows() + JSON.stringify(await eventsOf(writ())) + writ().log() + (await bot.api(tasks.certificate, { parameters: { id: own.task } })).text)
  })

  test('is not even started for a task that may not have it, and nothing is minted', async () => {
    const own = await access([TOOLS])
    // Nobody waits for a denial to wear off: the second one is as the first.
    for (let i = 0; i < 2; i++) {
      const { code, message, data } = await errorOf(own)
      assert.deepEqual([code, data['upstream'], data['backend'], (data['explanation'] as decisions.ExplanationReply).verdict], [-32001, 'db', 'shop', 'deny'])
      assert.equal(message, 'the MCP server `db` needs a lease of `shop`: denied')
    }
    assert.deepEqual([isStarted(), await loginsOf(own.task), await rolesLeft()], [false, [], []])
  })

  test('is not started either when the back end mints nothing, and the error names both', async () => {
    await shop.asSuperuser(`alter role ${shop.settings.user} nocreaterole`)
    const own = await access()
    const { code, data } = await errorOf(own)
    await shop.asSuperuser(`alter role ${shop.settings.user} createrole`)
    assert.deepEqual([code, data], [-32603, { code: 'lease_not_minted', why: '42501', upstream: 'db', backend: 'shop', retryable: true }])
    assert.equal(isStarted(), false)
    await complete(bot, own.task)
    assert.deepEqual((await closureOf(writ(), bot.api, own.task)).leases.length, 2)
  })

  test('gives it back with its way, while the task goes on, and is lent another for the next', async () => {
    const own = await access()
    const { client, close } = await connected(own)
    await client.callTool({ name: 'orders', arguments: {} })
    const [first] = await loginsOf(own.task)
    const set = await writ().operator(mcp.setMcpServerSecrets, { parameters: { name: 'db' }, body: { variables: { OTHER: 'x' } } })
    assert.equal(set.status, 200, set.text)
    await eventually('the first one is dead', async () => (await loginsOf(own.task)).some((one) => one.id === first!.id && one.outcome === 'proved'))
    assert.match(textOf(await client.callTool({ name: 'orders', arguments: {} })), /lamp chair/)
    assert.deepEqual((await loginsOf(own.task)).map(({ id, state }) => `${id === first!.id ? 'first' : 'second'} ${state}`).toSorted(), ['first ended', 'second live'])
    assert.equal((await show(bot, own.task)).reply.state, 'open')
    await close()
    await complete(bot, own.task)
    assert.equal((await closureOf(writ(), bot.api, own.task)).outcome, 'proved')
    await assertLogsHold(writ())
  })

  test('is started anew with another when the one that it has was taken from it', async () => {
    const own = await access()
    const { client, close } = await connected(own)
    await client.callTool({ name: 'orders', arguments: {} })
    const [first] = await loginsOf(own.task)
    // As another server of Writ does with what this one lent, where this one was silent for long.
    assert.equal((await writ().operator(tasks.revokeLease, { parameters: { id: first!.id }, body: { reason: 'it was silent' } })).status, 200)
    // A call that is on its way just then ends with the way.
    const asked = async () => textOf(await client.callTool({ name: 'orders', arguments: {} }).catch((error: unknown) => ({ content: String(error) })))
    await eventually('it asks the database again', async () => (await asked()).includes('lamp chair') && (await loginsOf(own.task)).some(({ id, state }) => id !== first!.id && state === 'live'))
    assert.equal(readFileSync(starts(), 'utf8').trim().split('\n').length, 2)
    await close()
    await complete(bot, own.task)
    assert.equal((await closureOf(writ(), bot.api, own.task)).outcome, 'proved')
  })

  test('has it no more once its server of Writ was stopped, and is lent another by the next', async () => {
    const own = await access()
    const { client, close } = await connected(own)
    await client.callTool({ name: 'orders', arguments: {} })
    const [first] = await loginsOf(own.task)
    await writ().kill('SIGTERM')
    await writ().restart()
    await eventually('the first one is dead', async () => (await loginsOf(own.task)).some((one) => one.id === first!.id && one.outcome === 'proved'))
    assert.match(textOf(await client.callTool({ name: 'orders', arguments: {} })), /lamp chair/)
    await close()
    await complete(bot, own.task)
    assert.equal((await closureOf(writ(), bot.api, own.task)).outcome, 'proved')
  })

  test('has it no more once its server of Writ was killed, while the task goes on', async () => {
    const own = await access()
    const { client, close } = await connected(own)
    await client.callTool({ name: 'orders', arguments: {} })
    const [first] = await loginsOf(own.task)
    await writ().kill()
    await close().catch(() => undefined)
    // Another run takes the one before for gone once it was silent for long: here the store says that it was.
    await inStoreOf(writ(), 'update server_instance set gone_at = seen_at where gone_at is null')
    await writ().restart()
    await eventually('it is dead', async () => (await loginsOf(own.task)).some((one) => one.id === first!.id && one.outcome === 'proved'))
    assert.equal((await show(bot, own.task)).reply.state, 'open')
    assert.deepEqual(await rolesLeft(), [])
    const revoked = (await eventsOf(writ())).filter(({ type, lease }) => type === 'lease.revoked' && lease === first!.id)
    assert.deepEqual(revoked.map(({ actor }) => actor.kind), ['writ'])
    // What is lent by a run that lives is left alone.
    const again = await connected(own)
    assert.match(textOf(await again.client.callTool({ name: 'orders', arguments: {} })), /lamp chair/)
    await again.close()
    assert.deepEqual((await loginsOf(own.task)).map(({ state }) => state).toSorted(), ['ended', 'live'])
    await complete(bot, own.task)
    assert.equal((await closureOf(writ(), bot.api, own.task)).outcome, 'proved')
    await assertLogsHold(writ())
  })

  test('is not started for a task whose lease the policies forbid, and the explanation says which', async () => {
    const { files } = (await writ().operator(policies.showCurrentPolicies)).reply
    const forbids = `@id("no-logins") forbid (principal == Writ::Agent::"${bot.spiffeId}", action == Writ::Action::"connect", resource);`
    const apply = async (more: object): Promise<void> => {
      const applied = await writ().operator(policies.applyPolicies, { body: { files: { ...files, ...more }, reason: 'no logins' } })
      assert.equal(applied.status, 201, applied.text)
    }
    await apply({ 'policies/no-logins.cedar': forbids })
    const own = await access()
    const { code, data } = await errorOf(own)
    await apply({})
    assert.deepEqual([code, data['backend'], (data['explanation'] as decisions.ExplanationReply).forbidden_by?.policy], [-32001, 'shop', 'no-logins'])
    assert.deepEqual([isStarted(), await loginsOf(own.task)], [false, []])
  })

  for (const { what, more, says } of [
    { what: 'of a back end that there is not', more: { leases: [{ ...SHOP, resource: 'gone' }] }, says: /no back end `gone` has a template `ddl`/ },
    { what: 'of a template that there is not', more: { leases: [{ ...SHOP, action: 'dml' }] }, says: /no back end `shop` has a template `dml`/ },
    { what: 'twice under one name', more: { leases: [SHOP, SHOP] }, says: /must not name the same variables twice/ },
    { what: 'under a name that it has already', more: { leases: [SHOP], variables: { PGUSER: 'x' } }, says: /`PGUSER` comes with a lease/ },
  ]) {
    test(`is not registered with a lease ${what}`, async () => {
      const got = await refused(writ(), () => writ().operator(mcp.addMcpServer, { body: { ...program('no'), ...more } }), { status: 400, code: 'invalid_fields' })
      assert.match(got.text, says)
    })
  }
})
