import { validate, type ValidationError } from '@cedar-policy/cedar-wasm/nodejs'
import type { Bundle } from './bundle.ts'
import { complaintOf } from './cedar-flaw.ts'
import type { Complaint } from './complaint.ts'
import type { Policy } from './policies.ts'
import { composeSchema, KIND_TYPES, SCHEMA_FILE } from './schema.ts'

/** More groups than this are checked together, at the price of every kind. */
const MOST_GROUPS = 6

/** What Cedar's strict validator says: types, attributes that the schema does not know, policies that can never apply. */
export function typeComplaints(bundle: Bundle): readonly Complaint[] {
  const operators = Object.hasOwn(bundle.files, SCHEMA_FILE) ? bundle.files[SCHEMA_FILE]! : ''
  const byKinds = Map.groupBy(bundle.policies, ({ text }) => kindsFor(operators + text).join())
  const groups = byKinds.size <= MOST_GROUPS ? [...byKinds] : [[KIND_TYPES.join(), bundle.policies] as const]
  return groups.flatMap(([kinds, policies]) => check(policies, composeSchema(operators, bundle.tools, kinds.split(',')), bundle))
}

/**
 * Cedar checks a policy for every kind of identity by itself, and all kinds have the same attributes: what names some of them says the same
 * of each that it does not name, so that one of those stands for the others.
 */
function kindsFor(text: string): readonly string[] {
  const named = KIND_TYPES.filter((kind) => new RegExp(`\\b${kind}\\b`).test(text))
  const other = KIND_TYPES.find((kind) => !named.includes(kind))
  return other === undefined ? named : [...named, other]
}

function check(policies: readonly Policy[], schema: string, { files }: Bundle): readonly Complaint[] {
  // By place and not by `@id`: what Cedar calls them never gets in the way of their ids.
  const answer = validate({ schema, policies: { staticPolicies: Object.fromEntries(policies.map(({ text }, i) => [`p${i}`, text])) } })
  if (answer.type === 'failure') throw new Error(`what was read can't be checked: ${answer.errors[0]?.message}`)
  const errors = answer.validationErrors
  const wrong = new Set(errors.map((one) => one.policyId))
  // Of a policy with an error Cedar also says that it never applies.
  const warnings = answer.validationWarnings.filter((one) => !wrong.has(one.policyId))
  const once = new Map<string, Complaint>()
  for (const one of [...errors, ...onePerPolicy(warnings)]) {
    const { file, at } = policies[Number(one.policyId.slice(1))]!
    const found = complaintOf(one.error, { file, text: files[file]!, from: at })
    // The same is said once for each action that the policy is for.
    const key = [file, found.line, found.column, found.message.replace(/ for [\w:]+::".*"/, '')].join(' ')
    if (!once.has(key)) once.set(key, found)
  }
  return [...once.values()]
}

/** The first says why a policy never applies, and the next only that it does not. */
const onePerPolicy = (warnings: readonly ValidationError[]): readonly ValidationError[] =>
  [...new Map(warnings.toReversed().map((one) => [one.policyId, one])).values()]
