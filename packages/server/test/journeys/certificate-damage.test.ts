import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as tasks from '@writ/contract/tasks'
import { verifyCertificate } from '@writ/ledger/certificate'
import { describeClosure } from '@writ/ledger/describe'
import type { VerifierKey } from '@writ/ledger/note'
import { eventually } from '../eventually.ts'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { addShop, complete, leased, opened, show } from '../governed-writ.ts'
import { closureOf, eventsOf, logKey } from '../proofs.ts'
import { nodePrimitives } from '../read-log.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'
import { askFile } from '../store-of-writ.ts'

type Receipt = { leaf: string; index: number; proof: string[]; disclosures?: Record<string, { salt: string; value: string }> }
type File = { format: string; checkpoint: string; receipts: Receipt[]; summary: { outcome: string; purpose: string | null; leases: { end: { outcome: string; refused_after_ms: number } }[] } }

const typeOf = (receipt: Receipt): string => (JSON.parse(receipt.leaf) as { type: string }).type
const receiptOf = (file: File, type: string): Receipt => file.receipts.find((one) => typeOf(one) === type)!
const other = (text: string, at: number): string => `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`

const DAMAGES: readonly { readonly what: string; readonly damage: (file: File) => void }[] = [
  { what: 'a fact of a leaf', damage: (file) => { const one = receiptOf(file, 'lease.ended'); one.leaf = one.leaf.replace('"refused_after_ms":', '"refused_after_ms":1') } },
  { what: 'the back end that refused', damage: (file) => { const one = receiptOf(file, 'lease.ended'); one.leaf = one.leaf.replace('"28P01"', '"28P02"').replace('"28000"', '"28P02"') } },
  { what: 'the summary only', damage: (file) => { file.summary.leases[0]!.end.refused_after_ms += 1 } },
  { what: 'the purpose that was disclosed', damage: (file) => { receiptOf(file, 'task.opened').disclosures!['purpose']!.value = 'something nicer'; file.summary.purpose = 'something nicer' } },
  { what: 'a salt', damage: (file) => { const said = receiptOf(file, 'task.opened').disclosures!['purpose']!; said.salt = other(said.salt, 3) } },
  { what: 'a hash of a proof', damage: (file) => { const one = file.receipts.find((receipt) => receipt.proof.length > 0)!; one.proof[0] = other(one.proof[0]!, 5) } },
  { what: 'the number of a leaf', damage: (file) => { file.receipts[0]!.index += 1 } },
  { what: 'a lease left out', damage: (file) => { file.receipts = file.receipts.filter((one) => typeOf(one) !== 'lease.ended') } },
  { what: 'the size of the log in its checkpoint', damage: (file) => { file.checkpoint = file.checkpoint.replace(/\n(\d+)\n/, (_, size: string) => `\n${Number(size) + 1}\n`) } },
  { what: 'the signature of its checkpoint', damage: (file) => { file.checkpoint = other(file.checkpoint, file.checkpoint.length - 12) } },
  { what: 'a receipt twice', damage: (file) => { file.receipts.push(file.receipts[0]!) } },
  { what: 'a field more', damage: (file) => { Object.assign(file, { note: 'all is well' }) } },
]

describe('the certificate of a task that had a lease', () => {
  let shop: GovernedPostgres
  let writ: RunningWrit
  let agent: TestIdentity
  let key: VerifierKey
  let task: string
  let text: string
  before(async () => {
    shop = await governedPostgres(18)
    writ = await startWrit()
    await addShop(writ, shop)
    agent = await writ.register('agent')
    task = await opened(agent, { purpose: 'tidies the orders' })
    await leased(agent, task)
    await complete(agent, task)
    const got = await agent.api(tasks.certificate, { parameters: { id: task }, query: { wait_seconds: '30' } })
    assert.equal(got.status, 200, got.text)
    text = got.text
    key = await logKey(writ)
  })
  after(async () => {
    await writ?.stop()
    await shop?.remove()
  })

  test('is accepted as it is, and tells what its receipts cover and no more', () => {
    const verified = verifyCertificate(nodePrimitives, key, text)
    assert.ok(verified.ok)
    const told = describeClosure(verified.value.closure).join('\n')
    assert.match(told, /outcome: proved/)
    assert.match(told, /purpose \(said by the agent, not verified\): "tidies the orders"/)
    assert.ok(!told.includes('writ_pg_'))
  })

  for (const { what, damage } of DAMAGES) {
    test(`is refused when somebody changes ${what}`, () => {
      const file = JSON.parse(text) as File
      damage(file)
      const damaged = JSON.stringify(file)
      assert.notEqual(damaged, JSON.stringify(JSON.parse(text)), 'nothing was damaged')
      assert.equal(verifyCertificate(nodePrimitives, key, damaged).ok, false)
    })
  }

  test('is still given, and the purpose not, once the purpose was erased', async () => {
    const [event] = (await eventsOf(writ, task)).filter((one) => one.type === 'task.opened')
    askFile(`${writ.folder}/data/writ.db`, 'delete from event_said where event_id = $1', [event!.id])
    const closure = await closureOf(writ, agent.api, task)
    assert.equal(closure.purpose, null)
    assert.equal(closure.outcome, 'proved')
    assert.match(describeClosure(closure).join('\n'), /purpose \(said by the agent, not verified\): committed to and not disclosed/)
  })

  test('does not suffer from a row that somebody put under the task past Writ', async () => {
    const file = `${writ.folder}/data/writ.db`
    for (const [id, leaf] of [['evt_forged_1', 'not even JSON'], ['evt_forged_2', '{}']]) {
      askFile(file, 'insert into event (id, stream, type, at, task_id, leaf, leaf_hash, mac) values ($1, \'non-human\', \'task.closed\', 1, $2, $3, x\'00\', x\'00\')', [id, task, leaf])
    }
    await eventually('both are found', () => askFile(file, 'select id from finding where kind = \'row_forged\'').length === 2)
    assert.equal((await closureOf(writ, agent.api, task)).outcome, 'proved')
    assert.deepEqual((await eventsOf(writ, task)).filter((one) => one.id.startsWith('evt_forged')), [])
  })

  test('never says proved when two sealed secrets were swapped in the store, and the server goes on', async () => {
    const both = await opened(agent)
    const [one, two] = [await leased(agent, both), await leased(agent, both)]
    const file = `${writ.folder}/data/writ.db`
    const sealed = (id: string): string => String(askFile(file, 'select sealed_secret from lease where id = $1', [id])[0]!['sealed_secret'])
    const [first, second] = [sealed(one.id), sealed(two.id)]
    askFile(file, 'update lease set sealed_secret = $1 where id = $2', [second, one.id])
    askFile(file, 'update lease set sealed_secret = $1 where id = $2', [first, two.id])
    await complete(agent, both)
    const closure = await closureOf(writ, agent.api, both)
    assert.notEqual(closure.outcome, 'proved')
    for (const lease of (await show(agent, both)).reply.leases) assert.notEqual(lease.outcome, 'proved')
    for (const user of [one.user, two.user]) assert.deepEqual(await shop.rolesNamed(user), [], 'the logins are gone all the same')
    await leased(agent, await opened(agent))
  })

  test('no lease is given out when its making can not be recorded, and none is left at the back end', async () => {
    const file = `${writ.folder}/data/writ.db`
    for (const type of ['lease.intended', 'lease.minted']) {
      const asking = await opened(agent)
      askFile(file, `create trigger no_event before insert on event when new.type = '${type}' begin select raise(abort, 'rule no_event'); end`)
      const got = await agent.api(tasks.issueLease, { parameters: { id: asking }, body: { type: 'postgres', resource: 'shop', action: 'ddl' } })
      askFile(file, 'drop trigger no_event')
      assert.equal(got.status, 500, type)
      assert.ok(!got.text.includes('writ_pg_'), type)
      // What the crash-safe intention keeps is withdrawn when its time has come; the test lets it come now.
      askFile(file, 'update lease set due_at = 1 where task_id = $1 and state <> \'ended\'', [asking])
      await complete(agent, asking)
      const closure = await closureOf(writ, agent.api, asking)
      assert.equal(closure.outcome, 'nothing_issued', type)
      for (const lease of closure.leases) assert.deepEqual('handle' in lease && await shop.rolesNamed(lease.handle), [])
    }
  })
})
