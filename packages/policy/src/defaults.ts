import type { BundleFiles } from './bundle.ts'
import { FORBID_CASES, PERMIT_CASES } from './default-cases.ts'
import { DEFAULT_FORBIDS, DEFAULT_PERMITS } from './default-policies.ts'

/** What an installation decides by until somebody applies something else, and what a new directory of policies begins with. */
export const DEFAULT_BUNDLE: BundleFiles = {
  'permits.cedar': DEFAULT_PERMITS,
  'forbids.cedar': DEFAULT_FORBIDS,
  'tests/permits.json': PERMIT_CASES,
  'tests/forbids.json': FORBID_CASES,
}
