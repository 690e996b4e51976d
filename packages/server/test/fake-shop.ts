import assert from 'node:assert/strict'
import type { BackendId, IdentityId, LeaseId } from '@writ/domain/id'
import type { Outcome } from '@writ/domain/outcome'
import { milliseconds, seconds } from '@writ/domain/time'
import { issueLease, type Issued, type IssueNeeds, type IssueRefusal } from '../src/issue/issue-lease.ts'
import { hostEntropy } from '../src/platform/entropy.ts'
import { certificateOf } from '../src/prove/certificate.ts'
import { endTask } from '../src/revoke/end-task.ts'
import { withdrawLease, type WithdrawNeeds } from '../src/revoke/withdraw.ts'
import { findLease, type StoredLease } from '../src/store/leases.ts'
import { findLog } from '../src/store/logs.ts'
import { findTask } from '../src/store/tasks.ts'
import { listIncidents, type Incident } from '../src/store/watches.ts'
import type { Task } from '@writ/domain/task'
import { FAKE_TEMPLATE, fakeConnector, type FakeConnector, type Mood } from './fakes/connector.ts'
import { addIdentity, addShop, claimAll, openOne, permits } from './laws/estate.ts'
import { closureIn, keyOf, type Closure } from './proofs.ts'
import type { StoreOfWrit } from './store-of-writ.ts'

/** Writ's store and its deeds around a back end that does as the test says, at times that the test says. */
export type FakeShop = {
  readonly of: StoreOfWrit
  readonly connector: FakeConnector
  readonly backend: BackendId
  readonly identity: IdentityId
  readonly issuing: IssueNeeds
  readonly withdrawing: WithdrawNeeds
  task(): Promise<Task>
  issue(task: Task, key?: string): Promise<Outcome<Issued, IssueRefusal>>
  /** A lease that must be given. */
  lease(task: Task): Promise<StoredLease>
  end(task: Task): Promise<void>
  /** Withdraws all that is due now, as the server's job does; answers which leases it took. */
  sweep(): Promise<readonly LeaseId[]>
  find(lease: LeaseId): Promise<StoredLease>
  incidents(): Promise<readonly Incident[]>
  closure(task: Task): Promise<Closure>
}

export async function fakeShop(of: StoreOfWrit, mood: Partial<Mood> = {}): Promise<FakeShop> {
  const connector = fakeConnector(mood)
  const identity = await addIdentity(of)
  const backend = await addShop(of)
  const { store, clock, keys } = of
  const about = { store, clock, secrets: keys.secrets, entropy: hostEntropy }
  const withdrawing: WithdrawNeeds = {
    ...about, reach: async () => ({ connector, templateOf: () => FAKE_TEMPLATE }), retryBase: milliseconds(10_000),
  }
  const issuing: IssueNeeds = {
    ...about, handlePrefix: 'writ_test_', wake: () => {},
    backendNamed: async (name) => (name !== 'shop' ? undefined : {
      id: backend, connector, templates: [FAKE_TEMPLATE], addressOf: (user) => ({ host: 'fake', port: 1, database: 'shop', user, tls: false }),
    }),
  }
  let count = 0
  const issue: FakeShop['issue'] = (task, key = `key-${++count}`) => issueLease(
    issuing, { task: task.id, identity: task.identity, permit: permits('ddl')[0]!, workload: null, traceId: 'a test' },
    { caller: task.identity, key, requestHash: 'the same', now: clock.now() },
  )
  return {
    of, connector, backend, identity, issuing, withdrawing, issue,
    task: () => openOne(of, { identity, authority: permits('ddl') }),
    async lease(task) {
      const issued = await issue(task)
      return issued.ok ? issued.value.lease : assert.fail(`refused: ${issued.refusal.kind}`)
    },
    async end(task) {
      const by = { kind: 'identity', id: task.identity } as const
      const ended = await store.change(endTask, { task: task.id, because: 'completed', by, now: clock.now() })
      assert.ok(ended.ok)
    },
    async sweep() {
      const claimed = await claimAll(of, 100)
      for (const lease of claimed) await withdrawLease(withdrawing, lease)
      return claimed.map((lease) => lease.id)
    },
    find: async (lease) => (await store.read((db) => findLease(db, lease)))!,
    incidents: () => store.read((db) => listIncidents(db, { limit: 100 })),
    async closure(task) {
      await of.sealAll()
      const text = await store.read(async (db) => certificateOf(db, (await findTask(db, task.id))!))
      const log = (await store.read((db) => findLog(db, 'non-human')))!
      assert.ok(text !== undefined, 'there is a certificate')
      return closureIn(keyOf(log.vkey), text)
    },
  }
}

/** Past the longest that a mint may take. */
export const AFTER_ANY_MINT = seconds(16)
