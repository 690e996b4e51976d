import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as contract from '@writ/contract/events'
import { suspendIdentity } from '@writ/contract/registry'
import { openCheckpoint } from '@writ/ledger/checkpoint'
import { checkReceipt, parseReceipt, type ProvedLeaf } from '@writ/ledger/receipt'
import { complete, opened } from '../governed-writ.ts'
import { eventsOf, inStoreOf, onEachStore, refused } from '../kept.ts'
import { signInAs } from '../people.ts'
import { keyOf } from '../proofs.ts'
import { nodePrimitives } from '../read-log.ts'
import type { Api, Got, RunningWrit } from '../running-writ.ts'

const idsOf = (events: readonly contract.EventReply[]): readonly string[] => events.map((event) => event.id)

async function pages(api: Api, query: Readonly<Record<string, string>>): Promise<readonly contract.EventReply[]> {
  const all: contract.EventReply[] = []
  for (let cursor: string | null = ''; cursor !== null;) {
    const { reply }: Got<{ readonly events: readonly contract.EventReply[]; readonly next: string | null }> = await api(contract.listEvents, { query: { ...query, ...(cursor === '' ? {} : { cursor }) } })
    all.push(...reply.events)
    cursor = reply.events.length === 0 ? null : reply.next
  }
  return all
}

/** Verified by an auditor who noted the logs' keys when they began, with nothing of the server's. */
async function proved(writ: RunningWrit, receipt: contract.EventReceiptReply): Promise<ProvedLeaf> {
  const { logs } = (await writ.stranger(contract.listLogs)).reply
  const noted = logs.find(({ stream }) => stream === receipt.stream)!.vkey
  assert.equal(receipt.vkey, noted)
  const checkpoint = openCheckpoint(nodePrimitives, keyOf(noted), receipt.checkpoint)
  const read = parseReceipt(receipt.receipt)
  if (!checkpoint.ok || !read.ok) assert.fail('the receipt can not be read')
  const checked = checkReceipt(nodePrimitives.sha256, checkpoint.value, read.value)
  return checked.ok ? checked.value : assert.fail(checked.refusal.detail)
}

/** Both ways of asking for one event. */
const ASKING: readonly ((api: Api, id: string) => Promise<Got<unknown>>)[] = [
  (api, id) => api(contract.showEvent, { parameters: { id } }), (api, id) => api(contract.showEventReceipt, { parameters: { id } }),
]

const receiptOf = (api: Api, id: string) => api(contract.showEventReceipt, { parameters: { id }, query: { wait_seconds: '10' } })

onEachStore('the record, read by people', (writ) => {
  test('it is paged from the newest back to the oldest, whatever is recorded meanwhile, and any span of time both ways', async () => {
    const worker = await writ().register('paged')
    for (let i = 0; i < 3; i++) await complete(worker, await opened(worker))
    const all = await eventsOf(writ())
    const [newest] = [(await writ().operator(contract.listEvents, { query: { order: 'newest_first', limit: '1' } })).reply]
    await writ().register('meanwhile')
    const back = await pages(writ().operator, { order: 'newest_first', limit: '7', cursor: newest.next! })
    const seen = [...newest.events, ...back]
    assert.deepEqual(idsOf(seen).toReversed(), idsOf(all).slice(0, seen.length))
    assert.ok(seen.length >= all.length && seen.at(-1)!.id === all[0]!.id)
    const [since, until] = [all[4]!.at, all.at(-4)!.at]
    const within = idsOf(all.filter(({ at }) => at >= since && at < until))
    assert.ok(within.length > 3)
    assert.deepEqual(idsOf(await pages(writ().operator, { since, until, limit: '5' })), within)
    assert.deepEqual(idsOf(await pages(writ().operator, { since, until, limit: '5', order: 'newest_first' })).toReversed(), within)
    const human = await pages(writ().operator, { stream: 'human', order: 'newest_first', since, until, limit: '2' })
    assert.deepEqual(idsOf(human).toReversed(), idsOf(all.filter(({ id, stream }) => within.includes(id) && stream === 'human')))
    for (const query of [{ order: 'newest_first', cursor: 'x' }, { order: 'backwards' }, { since: 'yesterday' }]) assert.equal((await writ().operator(contract.listEvents, { query } as object)).status, 400)
  })

  test('each event is shown by its id and proved by its receipt, with what was said, and nothing of any other', async () => {
    const viewer = await signInAs(writ(), { roles: ['viewer'], passkey: false })
    const worker = await writ().register('proved')
    await complete(worker, await opened(worker))
    await writ().operator(suspendIdentity, { parameters: { id: worker.id }, body: { reason: 'it does something odd' } })
    const its = (await eventsOf(writ())).filter(({ identity }) => identity === worker.id)
    assert.ok(its.some(({ said }) => said['reason'] === 'it does something odd') && its.some(({ stream }) => stream === 'non-human'))
    for (const { id, ...listed } of its) {
      const shown = (await viewer.api(contract.showEvent, { parameters: { id } })).reply
      const place = { leaf_index: 0, log: '' }
      assert.deepEqual({ ...shown, ...place }, { id, ...listed, ...place })
      const got = await receiptOf(viewer.api, id)
      assert.equal(got.status, 200, got.text)
      const { leaf, said } = await proved(writ(), got.reply)
      assert.deepEqual([leaf.id, leaf.type, leaf.facts, Object.fromEntries(said)], [id, listed.type, listed.facts, listed.said])
      assert.deepEqual([...new Set(got.text.match(/evt_[0-9a-z]{26}/g))], [id])
    }
    // Whoever may read one event and its proof may not therefore read the log.
    const bundle = await fetch(`${writ().url}/logs/human/tile/entries/000`, { headers: { cookie: viewer.cookie } })
    assert.equal(bundle.status, 403)
  })

  test('what was erased is neither said nor disclosed, and the rest is proved as before', async () => {
    const worker = await writ().register('erased', { purpose: 'knows the name of a customer' })
    const { id } = (await eventsOf(writ())).find(({ identity, type }) => identity === worker.id && type === 'identity.registered')!
    const before = await receiptOf(writ().operator, id)
    assert.equal(before.reply.receipt.disclosures!['purpose']!.value, 'knows the name of a customer')
    await inStoreOf(writ(), 'delete from event_said where event_id = $1 and field = $2 returning event_id', [id, 'purpose'])
    const after = await receiptOf(writ().operator, id)
    assert.doesNotMatch(after.text + (await writ().operator(contract.showEvent, { parameters: { id } })).text, /customer/)
    assert.ok(!after.text.includes(before.reply.receipt.disclosures!['purpose']!.salt))
    const { leaf, said } = await proved(writ(), after.reply)
    assert.deepEqual([Object.keys(leaf.commitments).includes('purpose'), [...said.keys()].toSorted()], [true, ['business_owner', 'technical_owner']])
  })

  test('who is an owner alone reads and proves what concerns their own, without what was said; of the rest there is nothing, and for a stranger or an agent neither', async () => {
    const [owner, nobody] = [await signInAs(writ(), { roles: ['owner'], email: 'ana@acme.example', passkey: false }), await signInAs(writ(), { passkey: false })]
    const mine = await writ().register('mine', { owners: { technical: 'team:platform', business: 'person:ana@acme.example' } })
    const theirs = await writ().register('theirs')
    const all = await eventsOf(writ())
    const registered = (of: string): string => all.find(({ identity, type }) => identity === of && type === 'identity.registered')!.id
    const own = await receiptOf(owner.api, registered(mine.id))
    const { leaf, said } = await proved(writ(), own.reply)
    assert.deepEqual([leaf.identity, said.size, own.reply.receipt.disclosures], [mine.id, 0, undefined])
    assert.deepEqual((await owner.api(contract.showEvent, { parameters: { id: registered(mine.id) } })).reply.said, {})
    const ofNobody = all.find(({ identity }) => identity === null)!.id
    for (const id of [registered(theirs.id), ofNobody, 'evt_01zzzzzzzzzzzzzzzzzzzzzzzz', 'evt_', 'tsk_01zzzzzzzzzzzzzzzzzzzzzzzz', '1 or 1=1']) {
      for (const ask of ASKING) await refused(writ(), () => ask(owner.api, id), { status: 404, code: 'event_not_found' })
    }
    const id = registered(mine.id)
    const callers: readonly (readonly [Api, number])[] = [[nobody.api, 403], [mine.api, 403], [writ().stranger, 401], [writ().operator, 200]]
    for (const [api, status] of callers) for (const ask of ASKING) assert.equal((await ask(api, id)).status, status)
    assert.equal((await owner.api(contract.listEvents)).status, 403)
  })

  test('a row that somebody put there past Writ is no event, and has no receipt', async () => {
    const [id, other] = ['evt_01aaaaaaaaaaaaaaaaaaaaaaaa', (await eventsOf(writ()))[0]!.id]
    await inStoreOf(writ(), `insert into event (id, stream, type, at, leaf, leaf_hash, mac) select '${id}', stream, type, at, leaf, leaf_hash, mac from event where id = $1 returning id`, [other])
    for (const ask of ASKING) assert.equal((await ask(writ().operator, id)).status, 404)
  })
})
