import { textOf, type Authority, type Permit } from '@writ/domain/authority'
import type { PolicyPlace, Question, PolicyAnswer } from './question.ts'

/** What a question comes to for the one who asked: approval is derived from two evaluations, never a third effect. */
export const ANSWERS = ['allow', 'approval_required', 'deny'] as const
export type Answer = (typeof ANSWERS)[number]

export const answerOf = ({ answer, approvable }: PolicyAnswer): Answer => (answer === 'deny' && approvable ? 'approval_required' : answer)

/** The same question as if a person had approved it. */
export const withApproval = (question: Question): Question => ({ ...question, known: { ...question.known, approved: true } })

/** Values of the question by path, as inert text: `context.arguments.amount` is `4200`, a text stands in quotes, what is missing is `absent`. */
export type ActualValues = Readonly<Record<string, string>>

/** A permit that would have allowed it but for these terms, written as in its policy; `line` is where the first of them stands. */
export type NearestPermit = PolicyPlace & { readonly failed: string; readonly actual: ActualValues }

/** A forbid that applied, and the terms that made it so. */
export type AppliedForbid = PolicyPlace & {
  readonly held: string | null
  readonly actual: ActualValues
  /** The exception that the policy itself names: with it the forbid would not have applied. */
  readonly unless: string | null
}

/** Why the task's grant does not hold what was asked; the permits as the command line writes them. */
export type GrantGap = {
  readonly asked: string
  /** The permit of the grant that differs least. */
  readonly nearest: string | null
  /** How it differs: `amount <= 1000`, `action is read`. */
  readonly failed: string | null
  readonly actual: string | null
}

/** One shape everywhere: console, command line, SDK and log show what is in here and nothing else. */
export type Explanation = {
  readonly decision: string | null
  readonly verdict: Answer
  readonly cause: Cause['kind']
  /** Who wanted what, in one line. */
  readonly asked: string
  /** The policy that decided; null when none applied, or none was asked. */
  readonly rule: PolicyPlace | null
  readonly nearest: NearestPermit | null
  readonly forbidden_by: AppliedForbid | null
  /** The permit that allows it once a person has approved it. */
  readonly with_approval: PolicyPlace | null
  readonly grant: GrantGap | null
  /** What of identity, task or owner is not in order. */
  readonly state: string | null
  readonly errors: readonly string[]
  /** What would have to be different; null when it was allowed. */
  readonly would_allow: string | null
  readonly next: { readonly say: string; readonly cli: string | null }
  readonly retryable: boolean
  readonly trace_id: string | null
}

/** What decided. The policies are only one of the things that can deny. */
export type Cause =
  | { readonly kind: 'policy' }
  | { readonly kind: 'grant'; readonly asked: Permit; readonly authority: Authority }
  | { readonly kind: 'budget' }
  /** Identity, task or owner is not in order; `what` as a sentence without a stop: "the task has ended". */
  | { readonly kind: 'state'; readonly what: string }
  | { readonly kind: 'error'; readonly errors: readonly string[] }

/** What of the permits that a grant holds comes closest to what was asked, and what is in the way. */
export function grantGap(authority: Authority, asked: Permit): GrantGap {
  const gaps = authority.map((permit) => gapOf(permit, asked)).toSorted((a, b) => a.rank - b.rank)
  const [closest] = gaps
  if (closest === undefined || closest.rank >= NOTHING_ALIKE) return { asked: inert(textOf(asked)), nearest: null, failed: null, actual: null }
  return { asked: inert(textOf(asked)), nearest: textOf(closest.permit), failed: closest.failed, actual: inert(closest.actual) }
}

const NOTHING_ALIKE = 1000

function gapOf(permit: Permit, asked: Permit): { readonly permit: Permit; readonly rank: number; readonly failed: string; readonly actual: string } {
  if (permit.type !== asked.type) return { permit, rank: NOTHING_ALIKE, failed: '', actual: '' }
  if (permit.resource !== asked.resource) {
    return { permit, rank: permit.action === asked.action ? 200 : NOTHING_ALIKE, failed: `resource is ${permit.resource}`, actual: asked.resource }
  }
  if (permit.action !== asked.action) return { permit, rank: 100, failed: `action is ${permit.action}`, actual: asked.action }
  const broken = Object.entries(permit.limits).filter(([limit, most]) => !(asked.limits[limit] !== undefined && asked.limits[limit] <= most))
  const [limit, most] = broken[0] ?? []
  if (limit === undefined) return { permit, rank: 0, failed: '', actual: '' }
  return { permit, rank: broken.length, failed: `${limit} <= ${most}`, actual: String(asked.limits[limit] ?? ABSENT) }
}

export const ABSENT = 'absent'

/** A caller's text longer than this is cut where it is shown; what was evaluated is kept whole elsewhere. */
const LONGEST = 80

/** Control, format (bidi, zero width), surrogate, private and unassigned characters, line separators, and all that fonts draw as nothing. */
const ACTIVE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu

/** A text that can't move, hide or reorder other text, of at most 80 characters and a mark. */
export function inert(text: string, most = LONGEST): string {
  const characters = Array.from(text.slice(0, 2 * most + 2))
  const shown = characters.slice(0, most).join('').replaceAll(ACTIVE, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`)
  return characters.length > most ? `${shown}...` : shown
}

/** Four lines for a person: what happened, why, what would allow it, what to do now. */
export function linesOf(explanation: Explanation): readonly string[] {
  const { verdict, asked, next } = explanation
  return [
    `${SAID[verdict]}: ${asked}`,
    `why: ${whyOf(explanation)}`,
    `would allow it: ${explanation.would_allow ?? 'it is allowed'}`,
    `next: ${next.say}${next.cli === null ? '' : `: ${next.cli}`}`,
  ]
}

const SAID: Readonly<Record<Answer, string>> = { allow: 'allowed', approval_required: 'needs approval', deny: 'denied' }

function whyOf({ verdict, cause, rule, nearest, forbidden_by: forbid, grant, state, errors, with_approval: approval }: Explanation): string {
  if (errors.length > 0) return `it could not be evaluated: ${errors[0]}${errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''}`
  if (cause === 'grant') {
    const { asked, nearest: near, failed, actual } = grant ?? { asked: 'it', nearest: null, failed: null, actual: null }
    const nearestSays = near === null ? 'nothing in it is alike' : `nearest is ${near}, where ${failed} (is ${actual})`
    return `the task's grant does not hold ${asked}; ${nearestSays}`
  }
  if (cause === 'budget') return 'the task and those it shares its budget with have no call left'
  if (cause === 'state') return state ?? 'identity, task or owner is not in order'
  if (verdict === 'allow') return rule === null ? 'it is allowed' : `permitted by ${placeOf(rule)}`
  if (forbid !== null) return `forbidden by ${placeOf(forbid)}${forbid.held === null ? '' : `: ${forbid.held}${actualOf(forbid.actual)}`}`
  const nearly = nearest === null ? '' : `; nearest is ${placeOf(nearest)}: ${nearest.failed}${actualOf(nearest.actual)}`
  return `no policy permits it${approval === null ? '' : ' without an approval'}${nearly}`
}

export const placeOf = ({ policy, file, line }: PolicyPlace): string => `${policy} (${file}:${line})`

/** ` (is 4200)` for one value, ` (context.a is 1, context.b is absent)` for more. */
export function actualOf(actual: ActualValues): string {
  const values = Object.entries(actual)
  if (values.length === 0) return ''
  if (values.length === 1) return ` (is ${values[0]![1]})`
  return ` (${values.map(([path, value]) => `${path} is ${value}`).join(', ')})`
}
