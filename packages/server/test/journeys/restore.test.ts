import assert from 'node:assert/strict'
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as events from '@writ/contract/events'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { verifyCertificate } from '@writ/ledger/certificate'
import { openCheckpoint } from '@writ/ledger/checkpoint'
import { linesOf } from '@writ/ledger/lines'
import { verifyLog } from '@writ/ledger/log'
import { checkReceipt, parseReceipt } from '@writ/ledger/receipt'
import { nodePrimitives } from '../../../ledger/offline/primitives.ts'
import { backUp, folderForSuite, runRestore } from '../backups.ts'
import { nothingYet, workOnce } from '../crashing.ts'
import { eventually } from '../eventually.ts'
import { governedPostgres, type GovernedPostgres } from '../governed-postgres.ts'
import { addShop, complete, handlePrefixOf, leased, login, opened, refusalOf } from '../governed-writ.ts'
import { allEvents, closureOf, eventsOf, keyOf } from '../proofs.ts'
import { startWrit, type RunningWrit, type TestIdentity } from '../running-writ.ts'

const WAIT = { wait_seconds: '30' }

/** What was there at the backup, what came after it, and what outsiders kept. */
type Before = {
  readonly folder: string
  readonly port: string
  readonly worker: TestIdentity
  readonly gone: TestIdentity
  readonly late: TestIdentity
  readonly closed: string
  readonly closedCertificate: string
  readonly open: string
  readonly openLease: tasks.IssuedLease
  readonly lostLease: tasks.IssuedLease
  readonly staleAssertion: string
  readonly exported: string
  readonly logs: readonly events.LogReply[]
  readonly logsKept: readonly events.LogReply[]
  readonly operatorKey: string
}

const logOf = (logs: readonly events.LogReply[], stream: string): events.LogReply => logs.find((log) => log.stream === stream)!
const sealedSize = async (writ: RunningWrit): Promise<readonly events.LogReply[]> => (await writ.stranger(events.listLogs)).reply.logs
const sealed = (writ: RunningWrit) => eventually('everything is sealed', async () => {
  const { logs } = (await writ.stranger(events.listLogs)).reply
  return logs.every((log) => log.unsealed === 0) && logs
})

/** A life up to the disaster; the server is dead when this returns. */
async function live(writ: RunningWrit, shop: GovernedPostgres, folder: string): Promise<Before> {
  await addShop(writ, shop)
  const [worker, gone] = [await writ.register('worker'), await writ.register('gone')]
  const closed = await opened(worker)
  await leased(worker, closed)
  await complete(worker, closed)
  const closedCertificate = (await worker.api(tasks.certificate, { parameters: { id: closed }, query: WAIT })).text
  const open = await opened(worker)
  const openLease = await leased(worker, open)
  const logs = await sealed(writ)
  const exported = (await writ.operator(events.exportLog, { parameters: { stream: 'non-human' } })).text

  // Others go on working while it is taken.
  const busy = await writ.register('busy')
  const known = nothingYet()
  let taken = false
  const working = (async () => {
    while (!taken) await workOnce(busy, known, false)
  })()
  await eventually('their work is in the log', async () => logOf(await sealedSize(writ), 'non-human').size > logOf(logs, 'non-human').size)
  await backUp(writ, join(folder, 'writ.backup'))
  taken = true
  await working
  assert.ok(known.completed.size > 0)

  // From here on everything is lost.
  const late = await writ.register('late')
  const lostLease = await leased(worker, await opened(worker))
  await (await login(lostLease)).end()
  assert.equal((await writ.operator(registry.retireIdentity, { parameters: { id: gone.id }, body: { reason: 'its work is over' } })).status, 200)
  const logsKept = await sealed(writ)
  for (const { stream, checkpoint } of logsKept) writeFileSync(join(folder, `${stream}.checkpoint`), checkpoint)
  const staleAssertion = worker.assertion()
  await writ.kill()
  cpSync(join(writ.folder, 'data-keys'), join(folder, 'keys'), { recursive: true })
  return { folder, port: new URL(writ.url).port, worker, gone, late, closed, closedCertificate, open, openLease, lostLease, staleAssertion, exported, logs, logsKept, operatorKey: writ.operatorKey }
}

for (const [from, to] of [['sqlite', 'postgres'], ['postgres', 'sqlite']] as const) {
  describe(`after a disaster, a backup of ${from} restored on ${to}`, () => {
    const folder = folderForSuite()
    let shop: GovernedPostgres
    let old: Before
    let dead: RunningWrit
    let writ: RunningWrit
    let said: { readonly restore: string; readonly tasks_ended: number; readonly identities_suspended: number; readonly logs: readonly { readonly stream: string; readonly leaves_lost: number | null; readonly size: number; readonly origin: string }[] }
    before(async () => {
      shop = await governedPostgres(18)
      dead = await startWrit({ store: from })
      old = await live(dead, shop, folder())
      writ = await startWrit({
        store: to, operatorKey: old.operatorKey, env: { WRIT_PORT: old.port, WRIT_KEYS: join(old.folder, 'keys') },
        prepare: async (env) => {
          const done = await runRestore(env, [join(old.folder, 'writ.backup'), `--checkpoint=${join(old.folder, 'human.checkpoint')}`, `--checkpoint=${join(old.folder, 'non-human.checkpoint')}`])
          assert.equal(done.code, 0, done.err)
          said = JSON.parse(done.out) as typeof said
        },
      })
    })
    after(async () => {
      await writ?.stop()
      await dead?.stop()
      await shop?.remove()
    })

    test('a login that the backup does not know is withdrawn at once from the back end, and the record says why', async () => {
      await eventually('the role is gone', async () => !(await shop.rolesNamed(await handlePrefixOf(writ))).includes(old.lostLease.user), 10_000)
      assert.equal(await refusalOf(old.lostLease), '28P01')
      const event = await eventually('the event', async () => (await allEvents(writ)).find((one) => one.type === 'orphan.withdrawn'))
      assert.equal(event.facts['handle'], old.lostLease.user)
      assert.equal(event.facts['because'], 'restored')
    })

    test('the lease that was live in the backup is withdrawn, tried again and refused, and its task\'s certificate verifies with the new key', async () => {
      const closure = await closureOf(writ, writ.operator, old.open)
      assert.equal(closure.reason, 'restored')
      assert.equal(closure.outcome, 'proved')
      assert.equal(await refusalOf(old.openLease), '28P01')
      assert.deepEqual(await shop.rolesNamed(await handlePrefixOf(writ)), [])
      const text = (await writ.operator(tasks.certificate, { parameters: { id: old.open } })).text
      const key = keyOf(logOf((await writ.stranger(events.listLogs)).reply.logs, 'non-human').vkey)
      const verified = verifyCertificate(nodePrimitives, key, text, [logOf(old.logs, 'non-human').checkpoint])
      assert.ok(verified.ok, JSON.stringify(verified))
      assert.deepEqual(verified.value.restores.map((one) => one.restore), [said.restore])
      assert.deepEqual(verified.value.earlier, [{ size: logOf(old.logs, 'non-human').size, kind: 'not_evaluated' }])
      // A receipt of the old log that says it were of the new one holds no more.
      const moved = JSON.parse(text) as { receipts: { log?: string }[] }
      for (const receipt of moved.receipts) delete receipt.log
      assert.ok(!verifyCertificate(nodePrimitives, key, JSON.stringify(moved)).ok)
    })

    test('what was closed before the backup still verifies with the old key, from the old certificate and from a new one', async () => {
      const oldKey = keyOf(logOf(old.logs, 'non-human').vkey)
      assert.ok(verifyCertificate(nodePrimitives, oldKey, old.closedCertificate).ok)
      const again = await writ.operator(tasks.certificate, { parameters: { id: old.closed } })
      const verified = verifyCertificate(nodePrimitives, oldKey, again.text)
      assert.ok(verified.ok && verified.value.closure.outcome === 'proved', JSON.stringify(verified))
    })

    test('both logs begin anew, and their first leaves name what was known outside and how much is lost', async () => {
      const { logs } = (await writ.stranger(events.listLogs)).reply
      for (const stream of ['non-human', 'human'] as const) {
        const [past] = logOf(logs, stream).past
        const kept = logOf(old.logsKept, stream)
        assert.equal(past!.origin, kept.origin)
        assert.notEqual(logOf(logs, stream).origin, kept.origin)
        assert.equal(past!.leaves_lost, kept.size - past!.size)
        assert.ok(past!.leaves_lost > 0)
        const [first] = await allEvents(writ, { stream }).then((all) => all.filter((event) => event.type === 'log.restored'))
        assert.equal(first!.leaf_index, 0)
        assert.equal(first!.log, logOf(logs, stream).origin)
        assert.equal(first!.facts['known_size'], kept.size)
        assert.equal(first!.facts['leaves_lost'], past!.leaves_lost)
        assert.equal(said.logs.find((log) => log.stream === stream)!.leaves_lost, past!.leaves_lost)

        const exported = await writ.operator(events.exportLog, { parameters: { stream } })
        const verified = verifyLog(nodePrimitives, keyOf(logOf(logs, stream).vkey), linesOf([Buffer.from(exported.text)]), [kept.checkpoint])
        assert.ok(verified.ok, JSON.stringify(verified))
        assert.equal(verified.value.restored!.known!.size, kept.size)
        assert.deepEqual(verified.value.before, [{ size: kept.size, kind: 'same_tree' }])
        assert.ok(!verifyLog(nodePrimitives, keyOf(kept.vkey), linesOf([Buffer.from(exported.text)])).ok, 'the old key has not signed the new log')
      }
    })

    test('the old log stays readable, continues what was kept before the backup, and shows what was kept after it to be cut off', async () => {
      const { origin, vkey, checkpoint } = logOf(old.logs, 'non-human')
      const exported = await writ.operator(events.exportLog, { parameters: { stream: 'non-human' }, query: { origin } })
      const read = (earlier: readonly string[]) => verifyLog(nodePrimitives, keyOf(vkey), linesOf([Buffer.from(exported.text)]), earlier)
      assert.ok(read([checkpoint]).ok)
      assert.ok(exported.text.includes(old.exported.split('\n')[5]!))
      const cut = read([logOf(old.logsKept, 'non-human').checkpoint])
      assert.ok(!cut.ok && cut.refusal.kind === 'log_shorter')
      const note = await writ.stranger(events.pastCheckpoint, { parameters: { restore: said.restore, stream: 'non-human' } })
      assert.equal(note.text, (await writ.stranger(events.listLogs)).reply.logs.find((log) => log.stream === 'non-human')!.past[0]!.checkpoint)
      const { id } = JSON.parse((JSON.parse(exported.text.split('\n')[5]!) as { readonly leaf: string }).leaf) as { readonly id: string }
      const { reply: { receipt, ...stood } } = await writ.operator(events.showEventReceipt, { parameters: { id } })
      const tree = openCheckpoint(nodePrimitives, keyOf(vkey), stood.checkpoint)
      const parsed = parseReceipt(receipt)
      const proved = tree.ok && parsed.ok ? checkReceipt(nodePrimitives.sha256, tree.value, parsed.value) : undefined
      assert.ok(proved?.ok && stood.log === origin && stood.vkey === vkey && proved.value.leaf.id === id, 'an event of before is proved in the log of before')
    })

    test('identities wait for a person; one that the backup does not know, and evidence from before, are refused', async () => {
      const { identities } = (await writ.operator(registry.listIdentities)).reply
      assert.ok(identities.every((one) => one.state === 'suspended' && one.state_reason.includes(said.restore)))
      assert.equal(said.identities_suspended, identities.length)
      assert.ok(!identities.some((one) => one.id === old.late.id))
      const tasksBefore = (await writ.operator(tasks.listTasks, { query: { limit: '1000' } })).reply.tasks.length
      assert.equal((await old.worker.api(registry.whoAmI)).status, 401)
      assert.equal((await old.late.api(registry.whoAmI)).status, 401)
      assert.equal((await writ.operator(registry.resumeIdentity, { parameters: { id: old.worker.id }, body: { reason: 'looked through' } })).status, 200)
      assert.equal((await writ.as(() => old.staleAssertion)(registry.whoAmI)).status, 401)
      await eventually('a fresh assertion is heard', async () => (await old.worker.api(registry.whoAmI)).status === 200)
      assert.equal((await writ.as(() => old.staleAssertion)(registry.whoAmI)).status, 401)
      assert.equal((await writ.operator(tasks.listTasks, { query: { limit: '1000' } })).reply.tasks.length, tasksBefore)
      assert.ok(writ.log().includes('restore'), 'the reason is in the log')
    })

    test('it does its work again, and can be backed up again', async () => {
      await eventually('a fresh assertion is heard', async () => (await old.worker.api(registry.whoAmI)).status === 200)
      const task = await opened(old.worker)
      await (await login(await leased(old.worker, task))).end()
      await complete(old.worker, task)
      assert.equal((await closureOf(writ, old.worker.api, task)).outcome, 'proved')
      await backUp(writ, join(old.folder, 'again.backup'))
      const taken = (await allEvents(writ, { stream: 'human' })).filter((event) => event.type.startsWith('backup.')).map((event) => event.type)
      assert.deepEqual(taken.slice(-2), ['backup.begun', 'backup.taken'])
      assert.ok((await eventsOf(writ, task)).every((event) => event.leaf_index === null || event.log === said.logs.find((log) => log.stream === 'non-human')!.origin))
    })
  })
}
