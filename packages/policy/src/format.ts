import { formatPolicies } from '@cedar-policy/cedar-wasm/nodejs'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { BundleFiles } from './bundle.ts'
import { complaintOf } from './cedar-flaw.ts'
import type { Complaint } from './complaint.ts'

const LINE_WIDTH = 100
const INDENT_WIDTH = 2

/** The texts of those policy files that are not in the one form that everybody's editor agrees on; comments stay. */
export function reformatted(files: BundleFiles): Outcome<BundleFiles, readonly Complaint[]> {
  const changed: Record<string, string> = {}
  const complaints: Complaint[] = []
  for (const [file, text] of Object.entries(files)) {
    if (!file.endsWith('.cedar')) continue
    const formatted = formatPolicies({ policyText: text, lineWidth: LINE_WIDTH, indentWidth: INDENT_WIDTH })
    if (formatted.type === 'failure') {
      complaints.push(...formatted.errors.map((flaw) => complaintOf(flaw, { file, text, from: 0 })))
      continue
    }
    // Cedar begins the form of a file that holds no policy with an empty line.
    const inForm = formatted.formatted_policy.trimStart()
    if (inForm !== text) changed[file] = inForm
  }
  return complaints.length > 0 ? refuse(complaints) : ok(changed)
}
