import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { done } from '../../test/laws/estate.ts'
import { definitionOf, hashOf, mailServer } from '../../test/laws/tool-steps.ts'
import { OPERATOR } from '../../test/recorded.ts'
import { everyRow, storeForSuite, STORES, type StoreOfWrit } from '../../test/store-of-writ.ts'
import { engines } from '../decide/engines.ts'
import { applyFiles } from '../policies/apply-files.ts'
import { policiesAside } from '../policies/aside.ts'
import { findPolicyFiles, findPolicyHead } from '../store/policies.ts'
import { acceptTools, type AcceptedTool, type AcceptOrder } from './accept.ts'
import { addMcpServer } from './add.ts'
import { seeTools } from './see.ts'
import { toolsInForce } from './tool-findings.ts'

const look = definitionOf('look', 'Looks.')
const terms = { effect: 'read', reversible: true, labels: ['pii'], trust: 'untrusted', public: [] } as const

for (const store of STORES) {
  describe(`a tool that a person accepts, on ${store}`, () => {
    const opened = storeForSuite(store)
    const inForce = engines()
    const aside = policiesAside()
    after(() => aside.close())
    const list = async (writ: StoreOfWrit, name: string, ...definitions: readonly string[]) => {
      const server = await done(writ.store.change(addMcpServer, { server: mailServer(writ, name), secrets: [], by: OPERATOR }))
      await done(seeTools({ store: writ.store, engines: inForce, clock: writ.clock }, server, { definitions, capabilities: { resources: {} } }))
    }
    const accept = (writ: StoreOfWrit, server: string, tools: readonly AcceptedTool[], more: Partial<AcceptOrder> = {}) =>
      acceptTools({ ...writ, apply: (order) => applyFiles({ ...writ, aside }, order) }, { server, tools, reason: 'looked at', by: OPERATOR, once: { caller: OPERATOR.id, key: null, requestHash: '', now: writ.now() }, ...more })
    const known = async (writ: StoreOfWrit, server: string) => [...(await writ.store.read((db) => toolsInForce(db, inForce, server))).values()].map((one) => [one.name, one.effect, one.labels, one.trust, one.pin])

    test('is pinned in a new version of the policies, in which nothing else changed', async () => {
      const writ = opened()
      await list(writ, 'mail', look)
      const before = await writ.store.read(async (db) => findPolicyFiles(db, (await findPolicyHead(db)).version))
      const applied = await done(accept(writ, 'mail', [{ ...terms, name: 'look', hash: hashOf(look) }]))
      assert.deepEqual([applied.version, applied.changed], [2, true])
      assert.deepEqual(await known(writ, 'mail'), [['look', 'read', ['pii'], 'untrusted', hashOf(look)]])
      const { 'tools.json': written, ...rest } = await writ.store.read((db) => findPolicyFiles(db, 2))
      assert.deepEqual(rest, before)
      const { public: _, ...said } = terms
      assert.deepEqual(JSON.parse(written!), [{ server: 'mail', name: 'look', ...said, pin: hashOf(look), description: 'Looks.', input: JSON.parse(look).inputSchema }])
      const again = await done(accept(writ, 'mail', [{ ...terms, name: 'look', hash: hashOf(look) }]))
      assert.deepEqual([again.version, again.changed], [2, false])
    })

    test('is refused where another definition is listed by now, or none, and nothing is written', async () => {
      const writ = opened()
      const [seen, listed] = [definitionOf('pay', 'Pays.'), definitionOf('pay', 'Pays more.')]
      await list(writ, 'bank', listed)
      const before = await everyRow(writ)
      assert.deepEqual(await accept(writ, 'bank', [{ ...terms, name: 'pay', hash: hashOf(seen) }]), { ok: false, refusal: { kind: 'stale', tools: [{ name: 'pay', seen: hashOf(listed) }] } })
      assert.deepEqual(await accept(writ, 'bank', [{ ...terms, name: 'pay', hash: hashOf(listed) }, { ...terms, name: 'no', hash: hashOf(seen) }]), { ok: false, refusal: { kind: 'stale', tools: [{ name: 'no', seen: null }] } })
      assert.deepEqual(await accept(writ, 'nobody', [{ ...terms, name: 'pay', hash: hashOf(listed) }]), { ok: false, refusal: { kind: 'no_such_server' } })
      assert.deepEqual(await everyRow(writ), before)
    })

    test('is refused where the policies would not take it, and nothing is written', async () => {
      const writ = opened()
      const odd = definitionOf('o', 'x').replace('"o"', '"\u{1f600}:()"')
      await list(writ, 'odd', odd)
      const before = await everyRow(writ)
      const refused = await accept(writ, 'odd', [{ ...terms, effect: 'sleep' as never, name: '\u{1f600}:()', hash: hashOf(odd) }])
      assert.ok(!refused.ok && refused.refusal.kind === 'policies_refused' && refused.refusal.complaints[0]!.file === 'tools.json')
      assert.deepEqual(await everyRow(writ), before)
      assert.ok((await accept(writ, 'odd', [{ ...terms, name: '\u{1f600}:()', hash: hashOf(odd) }])).ok)
    })

    test('stands for the abilities beside tools too', async () => {
      const writ = opened()
      await list(writ, 'files')
      const hash = 'sha256:U8EJQsIoA9hP_Dydw4pFGfwQpNmuV1QWPaU3DF_FDwo'
      await done(accept(writ, 'files', [{ ...terms, labels: [], trust: null, name: 'resources/read', hash }]))
      assert.deepEqual(await known(writ, 'files'), [['resources/read', 'read', [], undefined, hash]])
    })

    test('is accepted once by a request that is repeated', async () => {
      const writ = opened()
      const twice = definitionOf('twice', 'x')
      await list(writ, 'twice', twice)
      const once = { caller: OPERATOR.id, key: 'k', requestHash: 'h', now: writ.now() }
      const [first, second] = [await done(accept(writ, 'twice', [{ ...terms, name: 'twice', hash: hashOf(twice) }], { once })), await done(accept(writ, 'twice', [{ ...terms, name: 'twice', hash: hashOf(twice) }], { once }))]
      assert.deepEqual([second, first.changed], [first, true])
      const other = await accept(writ, 'twice', [{ ...terms, name: 'twice', hash: hashOf(twice) }], { once: { ...once, requestHash: 'other' } })
      assert.deepEqual(other, { ok: false, refusal: { kind: 'key_reused' } })
    })
  })
}
