import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { readBundle, type BundleFiles } from '@writ/policy/bundle'
import { failedCases, runCases } from '@writ/policy/cases'
import type { Complaint } from '@writ/policy/complaint'
import { openEngine } from '@writ/policy/engine'

declare const checked: unique symbol

/** Files that parse, fit the schema and pass their own test cases: nothing else is ever applied. */
export type CheckedFiles = BundleFiles & { readonly [checked]: true }

/** All that is wrong with a directory of policies, or the files as they may be applied. */
export function checkFiles(files: BundleFiles): Outcome<CheckedFiles, readonly Complaint[]> {
  const bundle = readBundle(files)
  if (!bundle.ok) return bundle
  const engine = openEngine(bundle.value)
  try {
    const ran = runCases(engine, bundle.value)
    if (!ran.ok) return ran
    const failed = failedCases(ran.value)
    return failed.length === 0 ? ok(files as CheckedFiles) : refuse(failed)
  } finally {
    engine.close()
  }
}
