import { PROBLEM_BASE, PROBLEMS, type Problem, type ProblemType } from '@writ/contract/problem'
import { unreachable } from '@writ/domain/outcome'
import type { Complaint } from '@writ/policy/complaint'
import type { UrlFault } from '../platform/outbound.ts'

/** What a caller is told, besides what the problem's type says. */
export type ProblemDetails = {
  /** The refusal inside, as a stable word. */
  readonly code?: string
  readonly detail?: string
  readonly hint?: string
  readonly errors?: readonly { readonly field: string; readonly message: string }[]
  /** Why the task is over, for its holder. */
  readonly endReason?: string | null
  /** The recorded denial. */
  readonly decision?: string
}

/** An answer that is a problem; routes return it, and `serve` sends it. */
export type ProblemAnswer = { readonly problem: ProblemType; readonly details: ProblemDetails; readonly headers?: Readonly<Record<string, string>> }

export const problem = (type: ProblemType, details: ProblemDetails = {}): ProblemAnswer => ({ problem: type, details })

export const NO_TASK = problem('not-found', { code: 'task_not_found', detail: 'there is no such task, or it is not yours' })

export const badField = (field: string, message: string): ProblemAnswer => problem('invalid-fields', { detail: '1 field is missing or wrong; nothing was written', errors: [{ field, message }] })

/** A file is named as its author's tools name a place in it: `payments.cedar:4:12`. */
export const policiesRefused = (complaints: readonly Complaint[]): ProblemAnswer => problem('policy-refused', {
  detail: `${complaints.length} ${complaints.length === 1 ? 'fault' : 'faults'} in the policies; nothing was applied, and the version in force stays`,
  hint: 'writ policy check DIR',
  errors: complaints.map(({ file, line, column, message, hint }) => ({ field: `${file}:${line}:${column}`, message: hint === undefined ? message : `${message}; ${hint}` })),
})

/** Why a URL may not be called, as what is said of its field. */
export function urlFaultText(fault: UrlFault): string {
  switch (fault.kind) {
    case 'bad_url': return fault.why === 'scheme' ? 'must be an https URL' : `can not be asked (${fault.why})`
    case 'address_not_allowed': return `\`${fault.host}\` is not on the internet: name it in WRIT_OUTBOUND_ALLOW if Writ may call it`
    default: return unreachable(fault)
  }
}

/** RFC 9457 §3 problem details. */
export function toProblem(answer: ProblemAnswer, traceId: string): Problem {
  const { status, title, retryable } = PROBLEMS[answer.problem]
  const { code, detail, hint, errors, endReason, decision } = answer.details
  return {
    type: PROBLEM_BASE + answer.problem,
    title,
    status,
    code: code ?? answer.problem.replaceAll('-', '_'),
    ...(detail === undefined ? {} : { detail }),
    ...(hint === undefined ? {} : { hint }),
    ...(errors === undefined ? {} : { errors: [...errors] }),
    ...(endReason === undefined || endReason === null ? {} : { end_reason: endReason }),
    ...(decision === undefined ? {} : { decision }),
    retryable,
    trace_id: traceId,
  }
}

/** What a type of problem means, for whoever follows it; undefined where there is no such type. */
export function explainProblem(type: string): string | undefined {
  if (!Object.hasOwn(PROBLEMS, type)) return undefined
  const { status, title, retryable } = PROBLEMS[type as ProblemType]
  return `${title}\n\nHTTP status: ${status}\nTrying again can help: ${retryable ? 'yes' : 'no'}\n`
}
