import { checkParsePolicySet, policyToJson, type PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'
import { allFlaws, complaintOf } from './cedar-flaw.ts'
import { statementsOf } from './code-text.ts'
import type { Complaint } from './complaint.ts'
import { placeAt, placesOf } from './place.ts'

/** One policy of a bundle. */
export type Policy = {
  /** Its `@id`. */
  readonly id: string
  readonly effect: 'permit' | 'forbid'
  readonly file: string
  /** The line of its first word (`@id` as a rule), counted from 1. */
  readonly line: number
  readonly text: string
  /** Where the text begins in the file, in UTF-16 code units. */
  readonly at: number
  /** For looking at it. It is never evaluated: JavaScript rounds an integer of it past 2^53. */
  readonly json: PolicyJson
}

const ID = /^[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}$/

const ID_HINT = 'begin it with a line such as `@id("refunds-small")`: letters, digits, `_`, `.`, `:`, `/` and `-`'

/** Reads one file of policies; a syntax error takes the whole file with it. */
export function readPolicies(file: string, text: string): { readonly policies: readonly Policy[]; readonly complaints: readonly Complaint[] } {
  const whole = { file, text, from: 0 }
  const checked = checkParsePolicySet({ staticPolicies: text })
  const flaws = checked.type === 'failure' ? allFlaws(checked.errors).filter(({ sourceLocations = [] }) => sourceLocations.length > 0) : []
  if (flaws.length > 0) return { policies: [], complaints: flaws.map((flaw) => complaintOf(flaw, whole)) }
  const policies: Policy[] = []
  const complaints: Complaint[] = []
  const place = placesOf(text)
  for (const { start, end } of statementsOf(text)) {
    const policyText = text.slice(start, end)
    const read = policyToJson(policyText)
    if (read.type === 'failure') {
      // A template is the only thing that the file as a whole says without a place.
      complaints.push(...read.errors.map((flaw) => complaintOf(flaw, { file, text, from: start })))
      continue
    }
    const { line, column } = place(start)
    const id = read.json.annotations?.['id']
    if (typeof id !== 'string' || !ID.test(id)) {
      const message = typeof id === 'string' && id !== '' ? `\`@id\` says \`${id}\`, which is no id` : 'this policy has no `@id`'
      complaints.push({ file, line, column, message, hint: ID_HINT })
      continue
    }
    policies.push({ id, effect: read.json.effect, file, line, text: policyText, at: start, json: read.json })
  }
  return { policies, complaints }
}

/** Every policy but the first of those that share an id. */
export function duplicatePolicies(policies: readonly Policy[], textOf: (file: string) => string): readonly Complaint[] {
  const first = new Map<string, Policy>()
  return policies.flatMap((policy) => {
    const other = first.get(policy.id)
    if (!other) {
      first.set(policy.id, policy)
      return []
    }
    const message = `the id \`${policy.id}\` is taken`
    return [{ file: policy.file, ...placeAt(textOf(policy.file), policy.at), message, hint: `${other.file}:${other.line} has it` }]
  })
}
