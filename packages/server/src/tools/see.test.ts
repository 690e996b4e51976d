import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { McpServerId } from '@writ/domain/id'
import { done } from '../../test/laws/estate.ts'
import { definitionOf, hashOf, mailServer, pinning } from '../../test/laws/tool-steps.ts'
import { OPERATOR } from '../../test/recorded.ts'
import { everyRow, storeForSuite, STORES, type StoreOfWrit } from '../../test/store-of-writ.ts'
import { engines } from '../decide/engines.ts'
import { applyPolicies } from '../policies/apply.ts'
import { listOpenFindings } from '../store/watches.ts'
import { addMcpServer } from './add.ts'
import { pinOf } from './definition.ts'
import { retireMcpServer } from './retire.ts'
import { seeTools, settleTools } from './see.ts'
import { standingOf } from './standing.ts'

const [look, send] = [definitionOf('look', 'Looks.'), definitionOf('send', 'Sends.')]
const changed = definitionOf('look', 'Looks, and sends all of it.')
const unreadable = '{"name":"look","inputSchema":{"properties":{"constructor":{}}}}'
const poisoned = definitionOf('look', `Looks.${String.fromCodePoint(0xe0069)}`)

for (const store of STORES) {
  describe(`what a server lists, on ${store}`, () => {
    const opened = storeForSuite(store)
    const inForce = engines()
    const needs = (writ: StoreOfWrit) => ({ store: writ.store, engines: inForce, clock: writ.clock })
    const add = (writ: StoreOfWrit, name: string) => done(writ.store.change(addMcpServer, { server: mailServer(writ, name), secrets: [], by: OPERATOR }))
    const see = (writ: StoreOfWrit, server: McpServerId, definitions: readonly string[], capabilities = {}) => done(seeTools(needs(writ), server, { definitions, capabilities }))
    const findings = async (writ: StoreOfWrit, name: string) =>
      (await writ.store.read((db) => listOpenFindings(db, ['tool_changed', 'tool_hidden_text', 'tool_unreadable'], `${name}/`))).map((one) => [one.kind, one.subject, one.evidence['seen']])
    const standing = async (writ: StoreOfWrit, id: McpServerId, name: string) =>
      (await writ.store.read((db) => standingOf(db, inForce, { id, name }))).map((one) => [one.name, one.state])
    const pin = async (writ: StoreOfWrit, name: string, definition: string) => {
      await done(writ.store.change(applyPolicies, { files: pinning(name, 'look', hashOf(definition)), expected: null, reason: 'looked at', by: OPERATOR, now: writ.now() }))
      await done(writ.store.change(settleTools, { server: name, now: writ.now() }))
    }
    const lastEvent = async (writ: StoreOfWrit) => JSON.parse(String((await writ.sql('select leaf from event order by seq desc limit 1'))[0]!['leaf'])) as { readonly type: string; readonly facts: Readonly<Record<string, unknown>> }

    test('a list is taken note of where it differs, and the same list writes nothing', async () => {
      const writ = opened()
      const mail = await add(writ, 'mail')
      assert.deepEqual(await see(writ, mail, [look, send], { tools: {}, resources: {}, prompts: null }), { added: ['look', 'send', 'resources/read'], changed: [], gone: [], leftOut: [], raised: [] })
      const { type, facts } = await lastEvent(writ)
      assert.deepEqual([type, facts['added'], facts['counts']], ['tools.seen', [
        { tool: 'look', hash: hashOf(look) }, { tool: 'send', hash: hashOf(send) }, { tool: 'resources/read', hash: 'sha256:U8EJQsIoA9hP_Dydw4pFGfwQpNmuV1QWPaU3DF_FDwo' },
      ], { added: 3, changed: 0, gone: 0, left_out: 0 }])
      writ.clock.advance(1000)
      const before = await everyRow(writ)
      assert.deepEqual(await see(writ, mail, [send, ` ${look} `], { resources: {} }), { added: [], changed: [], gone: [], leftOut: [], raised: [] })
      assert.deepEqual(await everyRow(writ), before)
      assert.deepEqual(await see(writ, mail, [changed, 'x']), { added: [], changed: ['look'], gone: ['resources/read', 'send'], leftOut: [{ because: 'malformed', count: 1 }], raised: [] })
      assert.deepEqual(await standing(writ, mail, 'mail'), [['look', 'new']])
    })

    test('that a list was seen again is kept by the hour, and is no event', async () => {
      const writ = opened()
      const kept = await add(writ, 'kept')
      await see(writ, kept, [look])
      writ.clock.advance(3_600_000)
      const events = (await everyRow(writ)).get('event')
      await see(writ, kept, [look])
      const [row] = await writ.sql(`select last_seen, first_seen from mcp_tool where server_id = '${kept}'`)
      assert.equal(Number(row!['last_seen']) - Number(row!['first_seen']), 3_600_000)
      assert.deepEqual((await everyRow(writ)).get('event'), events)
    })

    test('a pinned tool that is defined otherwise is a finding, until it is as it was or is accepted', async () => {
      const writ = opened()
      const pinned = await add(writ, 'pinned')
      await see(writ, pinned, [look])
      await pin(writ, 'pinned', look)
      assert.deepEqual([await standing(writ, pinned, 'pinned'), await findings(writ, 'pinned')], [[['look', 'pinned']], []])
      assert.equal((await see(writ, pinned, [changed])).raised.length, 1)
      assert.deepEqual([await standing(writ, pinned, 'pinned'), await findings(writ, 'pinned')], [[['look', 'changed']], [['tool_changed', 'pinned/look', hashOf(changed)]]])
      assert.equal((await see(writ, pinned, [changed])).raised.length, 0)
      // Another one in its place is another finding.
      assert.equal((await see(writ, pinned, [definitionOf('look', 'again')])).raised.length, 1)
      assert.deepEqual((await findings(writ, 'pinned')).length, 1)
      await see(writ, pinned, [look])
      assert.deepEqual(await findings(writ, 'pinned'), [])
      await see(writ, pinned, [changed])
      await pin(writ, 'pinned', changed)
      assert.deepEqual([await standing(writ, pinned, 'pinned'), await findings(writ, 'pinned')], [[['look', 'pinned']], []])
      await see(writ, pinned, [])
      assert.deepEqual([await standing(writ, pinned, 'pinned'), await findings(writ, 'pinned')], [[['look', 'gone']], []])
    })

    test('invisible text is a finding until a person has accepted it as it is', async () => {
      const writ = opened()
      const hidden = await add(writ, 'hidden')
      await see(writ, hidden, [poisoned])
      assert.deepEqual(await findings(writ, 'hidden'), [['tool_hidden_text', 'hidden/look', hashOf(poisoned)]])
      await pin(writ, 'hidden', look)
      assert.deepEqual((await findings(writ, 'hidden')).map(([kind]) => String(kind)).toSorted(), ['tool_changed', 'tool_hidden_text'])
      await pin(writ, 'hidden', poisoned)
      assert.deepEqual(await findings(writ, 'hidden'), [])
    })

    test('a definition that can not be read is a finding until it can be read or is gone, whatever is pinned meanwhile', async () => {
      const writ = opened()
      const odd = await add(writ, 'odd')
      const seen = await see(writ, odd, [unreadable, send])
      assert.deepEqual([seen.added, seen.leftOut, seen.raised.length], [['send'], [{ because: 'malformed', count: 1 }], 1])
      assert.deepEqual(await findings(writ, 'odd'), [['tool_unreadable', 'odd/look', pinOf(unreadable)]])
      await done(writ.store.change(settleTools, { server: 'odd', now: writ.now() }))
      assert.equal((await see(writ, odd, [unreadable, send])).raised.length, 0)
      assert.equal((await findings(writ, 'odd')).length, 1)
      await see(writ, odd, [look, send])
      assert.deepEqual(await findings(writ, 'odd'), [])
    })

    test('the findings of one server are none of another whose name begins alike', async () => {
      const writ = opened()
      const [a, ab] = [await add(writ, 'a'), await add(writ, 'a_b')]
      await see(writ, a, [poisoned])
      await see(writ, ab, [poisoned])
      await see(writ, a, [look])
      assert.deepEqual([await findings(writ, 'a'), (await findings(writ, 'a_b')).length], [[], 1])
    })

    test('a retired server is not looked at any more, and has no findings', async () => {
      const writ = opened()
      const old = await add(writ, 'old')
      await see(writ, old, [poisoned])
      await done(writ.store.change(retireMcpServer, { server: 'old', reason: 'replaced', by: OPERATOR, now: writ.now() }))
      assert.deepEqual(await findings(writ, 'old'), [])
      const before = await everyRow(writ)
      assert.deepEqual(await seeTools(needs(writ), old, { definitions: [look], capabilities: {} }), { ok: false, refusal: { kind: 'no_such_server' } })
      assert.deepEqual(await everyRow(writ), before)
    })

    test('a thousand tools with long names fit an entry of the log, and are all taken note of', async () => {
      const writ = opened()
      const large = await add(writ, 'large')
      const many = Array.from({ length: 1000 }, (_, i) => definitionOf(`${String.fromCodePoint(0x1d400).repeat(90)}${i}`, 'x'))
      assert.equal((await see(writ, large, many)).added.length, 1000)
      const { facts } = await lastEvent(writ)
      assert.deepEqual([(facts['counts'] as { added: number }).added, (facts['added'] as readonly unknown[]).length > 10], [1000, true])
      assert.equal((await see(writ, large, [])).gone.length, 1000)
    })

    test('a server that is new each time does not fill the store', async () => {
      const writ = opened()
      const restless = await add(writ, 'restless')
      for (let round = 0; round < 4; round++) await see(writ, restless, Array.from({ length: 600 }, (_, i) => definitionOf(`t${i}`, String(round))))
      const [row] = await writ.sql(`select count(*) as n from mcp_tool where server_id = '${restless}'`)
      assert.equal(Number(row!['n']), 1600)
    })

    test('two servers of ours that hear the same list at once take note of it once', async () => {
      const writ = opened()
      const shared = await add(writ, 'shared')
      const before = (await everyRow(writ)).get('event')!.length
      const lists = await Promise.all([1, 2, 3, 4].map(() => see(writ, shared, [look, poisoned])))
      assert.deepEqual(lists.map((one) => one.leftOut.length), [1, 1, 1, 1])
      const both = await Promise.all([1, 2, 3, 4].map(() => see(writ, shared, [poisoned, send])))
      assert.equal(both.filter((one) => one.added.length > 0).length, 1)
      assert.equal((await everyRow(writ)).get('event')!.length, before + 2)
    })
  })
}
