import { DEFAULT_BUNDLE } from '@writ/policy/defaults'
import type { Clock } from '../platform/clock.ts'
import type { Store } from '../record/tx.ts'
import { peekPolicyHead } from '../store/policies.ts'
import { installPolicies } from './apply.ts'
import type { CheckedFiles } from './check.ts'

/** What ships is in force from the first start on, until somebody applies something else: a store without policies would deny everything. */
export async function installDefaults({ store, clock }: { readonly store: Store; readonly clock: Clock }): Promise<void> {
  if (await store.read(peekPolicyHead) !== undefined) return
  // Checked by the tests of this program, and the same in every store. Refused where another server that starts at this moment was first.
  await store.change(installPolicies, { files: DEFAULT_BUNDLE as CheckedFiles, now: clock.now() })
}
