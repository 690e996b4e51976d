import { mintId, type BackendId, type FindingId } from '@writ/domain/id'
import { ok } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import type { Logger } from 'pino'
import { BackendFault } from '../connectors/connector.ts'
import type { Clock } from '../platform/clock.ts'
import type { Entropy } from '../platform/entropy.ts'
import type { ReachedBackend, Reach } from '../reach/reach.ts'
import { append } from '../record/append.ts'
import { change, type Store, type Tx } from '../record/tx.ts'
import { listBackends, type Backend } from '../store/backends.ts'
import { listOpenHandles } from '../store/leases.ts'
import { findOpenFinding, insertFinding } from '../store/watches.ts'

type OrphanInput = { readonly backend: BackendId; readonly handle: string; readonly finding: FindingId; readonly now: EpochMs }

/** A login that carries our mark and that no lease accounts for was withdrawn: recorded, and a finding. */
export const withdrawOrphan = change('orphan.withdraw', async (tx: Tx, input: OrphanInput) => {
  await append(tx, input.now, { type: 'orphan.withdrawn', actor: { kind: 'writ', id: 'writ' }, facts: { backend: input.backend, handle: input.handle } })
  if ((await findOpenFinding(tx.db, 'orphan_on_backend', input.handle)) !== undefined) return ok(null)
  const evidence = { backend: input.backend, handle: input.handle }
  await insertFinding(tx.db, { id: input.finding, kind: 'orphan_on_backend', subject: input.handle, identity: null, evidence, state: 'open', raisedAt: input.now })
  await append(tx, input.now, { type: 'finding.raised', actor: { kind: 'writ', id: 'writ' }, facts: { finding: input.finding, kind: 'orphan_on_backend', ...evidence } })
  return ok(null)
})

export type OrphanNeeds = {
  readonly store: Pick<Store, 'change' | 'read'>
  readonly reach: Reach
  /** Finds out which of two secrets the administrator has after a rotation that broke off. */
  readonly settle: (backend: Backend) => Promise<void>
  readonly clock: Clock
  readonly entropy: Entropy
  readonly handlePrefix: string
  readonly log: Logger
}

/**
 * Looks for logins at the back ends that the store knows nothing of (R6). One that is seen in two rounds is withdrawn: a login that is
 * just being tried out, or whose lease ends this moment, is gone by the second.
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
  const found = await backend.connector.list(needs.handlePrefix)
  if (found.length === 0) return
  const known = await needs.store.read((db) => listOpenHandles(db, backend.id))
  for (const { handle } of found.filter((one) => !known.has(one.handle))) {
    const mark = `${backend.id} ${handle}`
    if (!marks.before.has(mark)) {
      marks.seen.add(mark)
      continue
    }
    await backend.connector.withdraw(handle, backend.templates[0]!, async () => {})
    const now = needs.clock.now()
    await needs.store.change(withdrawOrphan, { backend: backend.id, handle, finding: mintId('finding', now, needs.entropy.bytes(10)), now })
  }
}
