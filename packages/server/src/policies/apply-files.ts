import type { EventActor } from '@writ/domain/event'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { BundleFiles } from '@writ/policy/bundle'
import type { Complaint } from '@writ/policy/complaint'
import type { Clock } from '../platform/clock.ts'
import type { Store } from '../record/tx.ts'
import type { KeyReused, Once } from '../store/store.ts'
import { applyPolicies, type Applied, type ApplyRefusal } from './apply.ts'
import type { PoliciesAside } from './aside.ts'

export type ApplyFilesNeeds = { readonly store: Pick<Store, 'changeOnce'>; readonly aside: Pick<PoliciesAside, 'check'>; readonly clock: Clock }

/** `expected`: the version that whoever asks has seen in force; null where that does not matter. */
export type FilesOrder = { readonly files: BundleFiles; readonly reason: string; readonly expected: number | null; readonly by: EventActor; readonly once: Once }

export type FilesRefusal = { readonly kind: 'policies_refused'; readonly complaints: readonly Complaint[] } | ApplyRefusal | KeyReused

/** Nothing is in force that was not checked and tested: the only way from files to a version. */
export async function applyFiles({ store, aside, clock }: ApplyFilesNeeds, { files, reason, expected, by, once }: FilesOrder): Promise<Outcome<Applied, FilesRefusal>> {
  const checked = await aside.check(files)
  if (!checked.ok) return refuse({ kind: 'policies_refused', complaints: checked.refusal })
  const applied = await store.changeOnce(applyPolicies, { files: checked.value, reason, expected, by, now: clock.now() }, once)
  return applied.ok ? ok(applied.value.value) : applied
}
