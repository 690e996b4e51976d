import { mintedAt, mintId, type BackendId, type FindingId } from '@writ/domain/id'
import { ok } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import type { Logger } from 'pino'
import { BackendFault } from '../connectors/connector.ts'
import type { Clock } from '../platform/clock.ts'
import type { Entropy } from '../platform/entropy.ts'
import { failpoint } from '../platform/failpoint.ts'
import type { ReachedBackend, Reach } from '../reach/reach.ts'
import { append } from '../record/append.ts'
import { change, type Store, type Tx } from '../record/tx.ts'
import { listBackends, type Backend } from '../store/backends.ts'
import { isHandleKnown, listOpenHandles } from '../store/leases.ts'
import { insertFindingOnce, lockOpenFinding, setEvidence } from '../store/watches.ts'

/** `lost`: its lease was made after the backup from which this store was restored, which knows nothing of it. */
type OrphanInput = { readonly backend: BackendId; readonly handle: string; readonly lost: boolean; readonly now: EpochMs }

/**
 * A login that carries our mark and that no lease accounts for is a finding. Recorded before the login is touched: afterwards nothing is
 * left from which a server that died in between could learn of it, and one that can't be withdrawn has to be known of too.
 */
export const findOrphan = change('orphan.find', async (tx: Tx, input: OrphanInput & { readonly finding: FindingId }) => {
  const evidence = factsOf(input)
  const finding = { id: input.finding, kind: 'orphan_on_backend', subject: input.handle, identity: null, evidence, state: 'open', raisedAt: input.now } as const
  if (!(await insertFindingOnce(tx.db, finding))) return ok(null)
  await append(tx, input.now, { type: 'finding.raised', actor: { kind: 'writ', id: 'writ' }, facts: { finding: input.finding, kind: 'orphan_on_backend', ...evidence } })
  return ok(null)
})

/** Of several servers that saw the same login and withdrew it side by side, the first says so. `seenAt`: when this one saw it. */
export const withdrawOrphan = change('orphan.withdraw', async (tx: Tx, input: OrphanInput & { readonly seenAt: EpochMs }) => {
  const finding = await lockOpenFinding(tx, 'orphan_on_backend', input.handle)
  const withdrawnAt = finding?.evidence['withdrawn_at']
  if (typeof withdrawnAt === 'number' && withdrawnAt >= input.seenAt) return ok(null)
  if (finding !== undefined) await setEvidence(tx.db, finding.id, { ...finding.evidence, withdrawn_at: input.now })
  await append(tx, input.now, { type: 'orphan.withdrawn', actor: { kind: 'writ', id: 'writ' }, facts: factsOf(input) })
  return ok(null)
})

const factsOf = ({ backend, handle, lost }: OrphanInput) => ({ backend, handle, ...(lost ? { because: 'restored' } : {}) })

export type OrphanNeeds = {
  readonly store: Pick<Store, 'change' | 'read'>
  readonly reach: Reach
  /** Finds out which of two secrets the administrator has after a rotation that broke off. */
  readonly settle: (backend: Backend) => Promise<void>
  readonly clock: Clock
  readonly entropy: Entropy
  readonly handlePrefix: string
  /** When this store was last restored; null for never. */
  readonly restoredAt: EpochMs | null
  readonly log: Logger
}

/**
 * Looks for logins at the back ends that the store knows nothing of (R6). One that is seen in two rounds is withdrawn: a login that is
 * just being tried out, or whose lease ends this moment, is gone by the second. One that a restore has lost is withdrawn at once.
 */
export function orphanRound(needs: OrphanNeeds): () => Promise<boolean> {
  let before = new Set<string>()
  return async () => {
    const seen = new Set<string>()
    for (const backend of await needs.store.read(listBackends)) {
      if (backend.state !== 'active') continue
      try {
        const reached = await needs.reach.reach(backend.id)
        if (reached !== undefined) await lookAt(needs, reached, { before, seen })
      } catch (cause) {
        if (!(cause instanceof BackendFault)) throw cause
        needs.log.warn({ backend: backend.name, code: cause.code }, 'a back end could not be searched for orphans')
        await needs.settle(backend)
      }
    }
    before = seen
    return false
  }
}

async function lookAt(needs: OrphanNeeds, backend: ReachedBackend, marks: { readonly before: ReadonlySet<string>; readonly seen: Set<string> }): Promise<void> {
  const seenAt = needs.clock.now()
  const found = await backend.connector.list(needs.handlePrefix)
  if (found.length === 0) return
  const known = await needs.store.read((db) => listOpenHandles(db, backend.id))
  for (const { handle } of found.filter((one) => !known.has(one.handle))) {
    const mark = `${backend.id} ${handle}`
    const lost = await isLost(needs, handle)
    if (!lost && !marks.before.has(mark)) {
      marks.seen.add(mark)
      continue
    }
    const now = needs.clock.now()
    await needs.store.change(findOrphan, { backend: backend.id, handle, lost, finding: mintId('finding', now, needs.entropy.bytes(10)), now })
    const withdrawn = await backend.connector.withdraw(handle, backend.templates[0]!, async () => {})
    failpoint('orphan.withdrawn.before_record')
    if (withdrawn.existed) await needs.store.change(withdrawOrphan, { backend: backend.id, handle, lost, seenAt, now: needs.clock.now() })
  }
}

/** A handle ends in the part of its lease's id that says when the lease was made. */
async function isLost({ store, handlePrefix, restoredAt }: Pick<OrphanNeeds, 'store' | 'handlePrefix' | 'restoredAt'>, handle: string): Promise<boolean> {
  const at = mintedAt(handle.slice(handlePrefix.length))
  return restoredAt !== null && at !== undefined && at < restoredAt && !(await store.read((db) => isHandleKnown(db, handle)))
}
