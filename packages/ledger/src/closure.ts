import { toBase64 } from './bytes.ts'
import { fails, holds, type Checked } from './checked.ts'
import { readFacts } from './facts.ts'
import { gather, type Gathered } from './gather.ts'
import { inert } from './inert.ts'
import { closureOfLogin, outcomeOfLease, overallOutcome, TASK_OUTCOMES, type LoginClosure, type TaskOutcome } from './lease-closure.ts'
import type { ProvedLeaf } from './receipt.ts'
import { closureOfToken, type TokenClosure } from './token-closure.ts'
import { closuresOfWidenings, type WideningClosure } from './widening-closure.ts'

/** One lease: a login on a back end, or an access token. */
export type LeaseClosure = LoginClosure | TokenClosure

export const isToken = (lease: LeaseClosure): lease is TokenClosure => !('handle' in lease)

export type DescendantClosure = { readonly task: string; readonly closed_at: number; readonly outcome: TaskOutcome }

/**
 * What the receipts of one task show, and nothing else. The summary of a certificate is this object; instants are milliseconds since
 * 1970. A text that was committed to and not disclosed is null.
 */
export type Closure = {
  readonly task: string
  readonly identity: string
  readonly spiffe_id: string
  readonly class: string
  readonly environment: string
  readonly system_scope: readonly string[]
  /** The caller's words. */
  readonly purpose: string | null
  readonly technical_owner: string | null
  readonly business_owner: string | null
  readonly for_a_user: boolean
  readonly on_behalf_of: string | null
  /** What the task was opened with. */
  readonly authority: readonly string[]
  /** What it was given later, in order. Absent where its end does not say how often: records of before there were widenings. */
  readonly widenings?: readonly WideningClosure[]
  readonly parent: string | null
  readonly depth: number
  readonly opened_at: number
  readonly deadline: number
  readonly ended_at: number
  readonly reason: string
  readonly ended_by: string
  readonly closed_at: number
  readonly budget_calls: number
  readonly calls_used: number
  readonly leases: readonly LeaseClosure[]
  readonly descendants: readonly DescendantClosure[]
  /** Until when somebody who checks offline could still accept a token of this task's own leases. */
  readonly residual_until: number | null
  readonly outcome: TaskOutcome
}

/** Derives the closure of a task from leaves that were proved to stand in one log; refuses what is incomplete, foreign or contradicts itself. */
export function closureOf(leaves: readonly ProvedLeaf[]): Checked<Closure> {
  const gathered = gather(leaves)
  if (!gathered.ok) return gathered
  const { opened, ended, closed } = gathered.value
  const closing = readFacts(closed.leaf, (facts) => ({
    leases: facts.each('leases', (one) => ({ name: one.text('lease'), leaf: one.text('leaf') })),
    descendants: facts.each('descendants', (one) => ({ name: one.text('task'), leaf: one.text('leaf') })),
    outcome: facts.oneOf('outcome', TASK_OUTCOMES),
  }))
  if (!closing.ok) return closing
  const why = whyNotComplete('lease', closing.value.leases, new Map([...gathered.value.leases].map(([lease, { end }]) => [lease, end])))
    ?? whyNotComplete('task', closing.value.descendants, gathered.value.descendants)
  if (why !== undefined) return fails('incomplete', why)

  const terms = readTerms(opened)
  if (!terms.ok) return terms
  const ending = readFacts(ended.leaf, (facts) =>
    ({ reason: facts.text('reason'), ended_by: facts.text('by'), calls_used: facts.count('calls_used') }))
  if (!ending.ok) return ending
  const widenings = closuresOfWidenings(gathered.value, terms.value.authority)
  if (!widenings.ok) return widenings
  const leases = closuresOfLeases(gathered.value, terms.value.deadline)
  if (!leases.ok) return leases
  const descendants = closuresOfDescendants(gathered.value)
  if (!descendants.ok) return descendants

  const outcome = overallOutcome([...leases.value.map(({ end }) => outcomeOfLease(end)), ...descendants.value.map((one) => one.outcome)])
  if (outcome !== closing.value.outcome) {
    return fails('contradiction', `the task is closed as ${closing.value.outcome} and its receipts show ${outcome}`)
  }
  return holds({
    ...terms.value, ...ending.value, ...(widenings.value === null ? {} : { widenings: widenings.value }),
    ended_at: ended.leaf.at, closed_at: closed.leaf.at,
    leases: leases.value, descendants: descendants.value, residual_until: latest(leases.value), outcome,
  })
}

function readTerms(opened: ProvedLeaf) {
  const { leaf, said } = opened
  return readFacts(leaf, (facts) => ({
    task: leaf.task ?? '',
    identity: leaf.identity ?? '',
    spiffe_id: facts.text('spiffe_id'),
    class: facts.text('class'),
    environment: facts.text('environment'),
    system_scope: facts.texts('system_scope'),
    purpose: said.get('purpose') ?? null,
    technical_owner: said.get('technical_owner') ?? null,
    business_owner: said.get('business_owner') ?? null,
    for_a_user: facts.yes('on_behalf_of'),
    on_behalf_of: said.get('on_behalf_of') ?? null,
    authority: facts.texts('authority'),
    parent: facts.textOrNull('parent'),
    depth: facts.count('depth'),
    opened_at: leaf.at,
    deadline: facts.instant('deadline'),
    budget_calls: facts.count('budget_calls'),
  }))
}

/** What the closing names must be there with exactly the leaf that it names, and nothing else may be. */
function whyNotComplete(
  what: string,
  named: readonly { readonly name: string; readonly leaf: string }[],
  found: ReadonlyMap<string, ProvedLeaf>,
): string | undefined {
  const names = new Set(named.map(({ name }) => name))
  if (names.size !== named.length) return `the closing of the task names a ${what} twice`
  for (const { name, leaf } of named) {
    const end = found.get(name)
    if (end === undefined) return `the closing of the task names ${what} \`${inert(name)}\` and its end has no receipt`
    if (toBase64(end.hash) !== leaf) return `the end of ${what} \`${inert(name)}\` is not the one that the closing of the task names`
  }
  const extra = [...found.keys()].find((name) => !names.has(name))
  return extra === undefined ? undefined : `there are receipts of ${what} \`${inert(extra)}\`, which the closing of the task does not name`
}

function closuresOfLeases({ leases }: Gathered, deadline: number): Checked<readonly LeaseClosure[]> {
  const closures: LeaseClosure[] = []
  for (const [lease, receipts] of leases) {
    const closure = receipts.intended === undefined ? closureOfToken(lease, receipts) : closureOfLogin(lease, receipts)
    if (!closure.ok) return closure
    if (closure.value.expires_at > deadline) return fails('contradiction', `lease \`${inert(lease)}\` expires after the deadline of its task`)
    closures.push(closure.value)
  }
  return holds(closures)
}

function closuresOfDescendants({ descendants }: Gathered): Checked<readonly DescendantClosure[]> {
  const closures: DescendantClosure[] = []
  for (const [task, { leaf }] of descendants) {
    const outcome = readFacts(leaf, (facts) => facts.oneOf('outcome', TASK_OUTCOMES))
    if (!outcome.ok) return outcome
    closures.push({ task, closed_at: leaf.at, outcome: outcome.value })
  }
  return holds(closures)
}

/** A token is good offline until it expires, however it ended here. */
function latest(leases: readonly LeaseClosure[]): number | null {
  const ends = leases.flatMap((lease) => {
    if (isToken(lease)) return [lease.expires_at]
    return lease.end.kind === 'ended' && lease.end.residual_until !== null ? [lease.end.residual_until] : []
  })
  return ends.length === 0 ? null : ends.reduce((a, b) => Math.max(a, b))
}
