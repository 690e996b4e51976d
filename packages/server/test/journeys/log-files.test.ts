import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import * as events from '@writ/contract/events'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { openCheckpoint } from '@writ/ledger/checkpoint'
import { eventually } from '../eventually.ts'
import { keyOf } from '../proofs.ts'
import { nodePrimitives } from '../read-log.ts'
import { REGISTRATION, startWrit, type RunningWrit } from '../running-writ.ts'
import { STORES } from '../store-of-writ.ts'

type Checkpoint = { readonly size: number; readonly root: Uint8Array; readonly origin: string }

const sha256 = (...parts: readonly Uint8Array[]): Buffer => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest()
const LEAF = new Uint8Array([0])
const NODE = new Uint8Array([1])

/** RFC 9162 §2.1.1, word for word, and nothing of ours. */
function rootOf(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return sha256()
  if (leaves.length === 1) return leaves[0]!
  const half = 2 ** Math.ceil(Math.log2(leaves.length) - 1)
  return sha256(NODE, rootOf(leaves.slice(0, half)), rootOf(leaves.slice(half)))
}

/** C2SP tlog-tiles: three digits a step, all but the last behind an `x`. */
function pathOf(index: number, width: number): string {
  const digits = String(index).padStart(Math.ceil(String(index).length / 3) * 3, '0').match(/\d{3}/g)!
  const steps = digits.map((part, i) => (i < digits.length - 1 ? `x${part}` : part)).join('/')
  return width === 256 ? steps : `${steps}.p/${width}`
}

const files = (writ: RunningWrit, stream: string) => (path: string, headers: Record<string, string> = {}): Promise<Response> => fetch(`${writ.url}/logs/${stream}/${path}`, { headers })
const asOperator = (writ: RunningWrit) => ({ authorization: `Bearer ${writ.operatorKey}` })

async function bytesOf(answer: Response): Promise<Buffer> {
  assert.equal(answer.status, 200)
  return Buffer.from(await answer.arrayBuffer())
}

/** A client that knows the C2SP text and nothing of Writ: all leaf hashes of a log, twice: from its hash tiles and from its entries. */
async function download(writ: RunningWrit, stream: string, size: number): Promise<{ readonly fromTiles: readonly Buffer[]; readonly fromEntries: readonly Buffer[] }> {
  const get = files(writ, stream)
  const fromTiles: Buffer[] = []
  const fromEntries: Buffer[] = []
  for (let index = 0; index * 256 < size; index++) {
    const path = pathOf(index, Math.min(256, size - index * 256))
    const tile = await bytesOf(await get(`tile/0/${path}`))
    for (let at = 0; at < tile.length; at += 32) fromTiles.push(tile.subarray(at, at + 32))
    const bundle = await bytesOf(await get(`tile/entries/${path}`, asOperator(writ)))
    for (let at = 0; at < bundle.length; at += 2 + bundle.readUInt16BE(at)) fromEntries.push(sha256(LEAF, bundle.subarray(at + 2, at + 2 + bundle.readUInt16BE(at))))
  }
  return { fromTiles, fromEntries }
}

async function checkpointOf(writ: RunningWrit, stream: 'human' | 'non-human'): Promise<Checkpoint> {
  const { logs } = (await writ.stranger(events.listLogs)).reply
  const answer = await files(writ, stream)('checkpoint')
  assert.equal(answer.headers.get('cache-control'), 'no-store')
  const opened = openCheckpoint(nodePrimitives, keyOf(logs.find((log) => log.stream === stream)!.vkey), (await bytesOf(answer)).toString())
  return opened.ok ? opened.value : assert.fail(opened.refusal.detail)
}

/** Counting what comes next needs that nothing from before, like the enrolment of the operator, is still to come. */
async function allIsSealed(writ: RunningWrit): Promise<void> {
  await eventually('all is sealed', async () => (await writ.stranger(events.listLogs)).reply.logs.every((log) => log.unsealed === 0))
}

/** A manifest of so many refused admissions: so many events of people, in one request. */
async function decide(writ: RunningWrit, from: number, many: number): Promise<void> {
  const identities = Array.from({ length: many }, (_, i) => ({
    ...REGISTRATION, spiffe_id: `spiffe://acme.example/never-${from + i}`, admission: { answer: 'delegated_token', reason: 'its caller has a token' },
  }))
  const got = await writ.operator(registry.applyManifest, { body: { identities } })
  assert.equal(got.status, 200, got.text)
}

for (const store of STORES) {
  describe(`the logs of a Writ on ${store}`, () => {
    let writ: RunningWrit
    before(async () => { writ = await startWrit({ store }) })
    after(() => writ.stop())

    test('an act of a person stands in the log of people, under a checkpoint soon after', async () => {
      await allIsSealed(writ)
      const before = { human: await checkpointOf(writ, 'human'), machines: await checkpointOf(writ, 'non-human') }
      await decide(writ, 0, 1)
      await eventually('the checkpoint', async () => (await checkpointOf(writ, 'human')).size === before.human.size + 1, 5000)
      assert.equal((await checkpointOf(writ, 'non-human')).size, before.machines.size)
      const { events: told } = (await writ.operator(events.listEvents, { query: { stream: 'human', newest: 'true', limit: '1' } })).reply
      assert.deepEqual({ type: told[0]!.type, said: told[0]!.said, kind: told[0]!.actor.kind }, { type: 'admission.decided', said: { reason: 'its caller has a token' }, kind: 'operator' })
    })

    test('an act of a machine stands in the other log, under a checkpoint soon after', async () => {
      const agent = await writ.register('sealed-agent')
      await allIsSealed(writ)
      const before = { human: await checkpointOf(writ, 'human'), machines: await checkpointOf(writ, 'non-human') }
      const opened = await agent.api(tasks.openTask, {
        body: { purpose: 'nothing', authorization_details: [{ type: 'postgres', locations: ['shop'], actions: ['ddl'] }] },
      })
      assert.equal(opened.status, 201, opened.text)
      await eventually('the checkpoint', async () => (await checkpointOf(writ, 'non-human')).size === before.machines.size + 1, 5000)
      assert.equal((await checkpointOf(writ, 'human')).size, before.human.size)
    })

    test('the two logs have origins and keys of their own', async () => {
      const { logs } = (await writ.stranger(events.listLogs)).reply
      assert.deepEqual(logs.map((log) => log.stream).toSorted(), ['human', 'non-human'])
      assert.notEqual(logs[0]!.origin, logs[1]!.origin)
      assert.notDeepEqual(keyOf(logs[0]!.vkey).publicKey, keyOf(logs[1]!.vkey).publicKey)
      for (const log of logs) assert.ok(log.origin.endsWith(`/${log.stream}`) && (await checkpointOf(writ, log.stream)).origin === log.origin)
    })

    test('anyone can compute the root of each checkpoint from tiles alone, and see that a later one continues an earlier one', async () => {
      const early = await checkpointOf(writ, 'human')
      for (const from of [1, 301]) await decide(writ, from, 300)
      await eventually('all is sealed', async () => (await checkpointOf(writ, 'human')).size >= early.size + 600)
      const late = await checkpointOf(writ, 'human')
      const { fromTiles, fromEntries } = await download(writ, 'human', late.size)
      assert.deepEqual(fromTiles, fromEntries)
      assert.equal(fromTiles.length, late.size)
      assert.deepEqual(Buffer.from(late.root), rootOf(fromTiles))
      assert.deepEqual(Buffer.from(early.root), rootOf(fromTiles.slice(0, early.size)), 'consistency: the same leaves give the earlier root')
      const level1 = await bytesOf(await files(writ, 'human')(`tile/1/${pathOf(0, Math.floor(late.size / 256))}`))
      assert.deepEqual(level1, Buffer.concat([rootOf(fromTiles.slice(0, 256)), rootOf(fromTiles.slice(256, 512))]))
      const machines = await checkpointOf(writ, 'non-human')
      assert.deepEqual(Buffer.from(machines.root), rootOf((await download(writ, 'non-human', machines.size)).fromEntries))
    })

    test('only what can never change may be kept for ever, and the entries only by whom they were given to', async () => {
      const { size } = await checkpointOf(writ, 'human')
      const get = files(writ, 'human')
      const cachingOf = async (path: string): Promise<string | null> => (await get(path, asOperator(writ))).headers.get('cache-control')
      const partial = pathOf(Math.floor(size / 256), size % 256)
      assert.equal(await cachingOf('tile/0/000'), 'public, max-age=31536000, immutable')
      assert.equal(await cachingOf('tile/entries/000'), 'private, max-age=31536000, immutable')
      for (const path of [`tile/0/${partial}`, `tile/entries/${partial}`, 'tile/0/000.p/17', 'tile/1/000.p/2']) assert.equal(await cachingOf(path), 'no-store', path)
      const narrow = await bytesOf(await get('tile/0/000.p/17'))
      assert.deepEqual(narrow, (await bytesOf(await get('tile/0/000'))).subarray(0, 17 * 32))
    })

    test('entries are not for strangers', async () => {
      const answer = await files(writ, 'human')('tile/entries/000')
      assert.equal(answer.status, 401)
      assert.doesNotMatch(await answer.text(), /never-/)
    })

    test('a resource that is not there, or is not there yet, is a 404 that nobody keeps', async () => {
      const { size } = await checkpointOf(writ, 'human')
      const get = files(writ, 'human')
      const next = Math.floor(size / 256)
      const wrong = [
        `tile/0/${pathOf(next, 256)}`, `tile/0/${pathOf(next, (size % 256) + 1)}`, 'tile/1/000', 'tile/2/000.p/1', 'tile/64/000', 'tile/0/0', 'tile/0/00', 'tile/0/000/', 'tile/0/x000/000',
        'tile/0/000.p/0', 'tile/0/000.p/256', 'tile/0/000.p/017', 'tile/-1/000', 'tile/0/000.P/17', 'tile/entries/999', 'tile/entries/000.p/256', 'tile/entries000', 'tile/entries', 'tile/', 'tile',
        'tile/0/%30%30%31.p/zz', 'tile/0/..%2f..%2fcheckpoint', 'checkpoint/', 'checkpoints', 'tile/0/x999/x999/x999/x999/x999/999', 'tile/00/000',
      ]
      for (const path of wrong) {
        const answer = await get(path, asOperator(writ))
        assert.equal(answer.status, 404, path)
        assert.equal(answer.headers.get('cache-control'), 'no-store', path)
        await answer.text()
      }
      for (const stream of ['nobody', 'Human', '__proto__']) assert.equal((await files(writ, stream)('checkpoint')).status, 404, stream)
    })
  })
}
