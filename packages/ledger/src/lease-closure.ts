import { fails, holds, type Checked } from './checked.ts'
import { readFacts, type FactReader } from './facts.ts'
import { inert } from './inert.ts'
import type { Leaf } from './leaf.ts'
import type { ProvedLeaf } from './receipt.ts'

/** How a task's leases ended, taken together. */
export type TaskOutcome = 'proved' | 'not_evaluated' | 'incident' | 'nothing_issued'

/** Worst first: an open incident outweighs all, and what was not evaluated is never called proved. */
export const TASK_OUTCOMES = ['incident', 'not_evaluated', 'proved', 'nothing_issued'] as const satisfies readonly TaskOutcome[]

/** The outcome of a task, from those of its leases and of the tasks below it. */
export const overallOutcome = (outcomes: readonly TaskOutcome[]): TaskOutcome =>
  TASK_OUTCOMES.find((outcome) => outcomes.includes(outcome)) ?? 'nothing_issued'

export type ReassignedObject = {
  readonly database: string
  readonly kind: string
  readonly name: string
  readonly new_owner: string
  readonly disarmed: string | null
}

export type ProbeAnswer =
  | {
    readonly kind: 'refused'
    readonly by: string
    readonly code: string
    readonly message: string
    /** Null for what no catalogue lists. */
    readonly absent_from_catalogue: boolean | null
    readonly took_ms: number | null
  }
  | { readonly kind: 'not_evaluated'; readonly why: string }

export type LeaseEnd =
  | {
    readonly kind: 'ended'
    readonly at: number
    readonly outcome: 'proved' | 'not_evaluated' | 'never_issued'
    readonly withdrawn_at: number | null
    readonly sessions_ended: number
    readonly reassigned: readonly ReassignedObject[]
    readonly control_login: 'ok' | 'failed' | 'none'
    readonly probe: ProbeAnswer
    readonly refused_after_ms: number | null
    readonly residual_until: number | null
    readonly attempts: number
  }
  | {
    readonly kind: 'incident'
    readonly at: number
    readonly incident: string
    readonly incident_kind: string
    readonly attempts: number
    readonly why_code: string | null
  }

/** A login on a back end, from its intention to its end. Instants are milliseconds since 1970. */
export type LoginClosure = {
  readonly lease: string
  readonly backend: string
  readonly backend_kind: string
  readonly template: string
  readonly handle: string
  readonly intended_at: number
  readonly expires_at: number
  /** Null where no receipt shows that it was handed out. */
  readonly minted: { readonly at: number; readonly control_ok: boolean; readonly took_ms: number | null; readonly why: string | null } | null
  readonly end: LeaseEnd
}

/** The receipts that tell of one login. */
export type LoginReceipts = { readonly intended: ProvedLeaf; readonly minted: ProvedLeaf | undefined; readonly end: ProvedLeaf }

export function closureOfLogin(id: string, { intended, minted, end }: LoginReceipts): Checked<LoginClosure> {
  const begun = readFacts(intended.leaf, (facts) => ({
    backend: facts.text('backend'), backend_kind: facts.text('backend_kind'), template: facts.text('template'),
    handle: facts.text('handle'), expires_at: facts.instant('expires_at'),
  }))
  if (!begun.ok) return begun
  const made = minted === undefined
    ? holds(null)
    : readFacts(minted.leaf, (facts) => ({ at: minted.leaf.at, ...facts.inside('control', readControl) }))
  if (!made.ok) return made
  const over = readLeaseEnd(end.leaf, 'catalogue')
  if (!over.ok) return over
  const lease: LoginClosure = { lease: id, ...begun.value, intended_at: intended.leaf.at, minted: made.value, end: over.value }
  const why = whyNotSupported(lease)
  return why === undefined ? holds(lease) : fails('contradiction', `lease \`${inert(id)}\` ${why}`)
}

export function outcomeOfLease(end: LeaseEnd): TaskOutcome {
  if (end.kind === 'incident') return 'incident'
  return end.outcome === 'never_issued' ? 'nothing_issued' : end.outcome
}

const readControl = (facts: FactReader): { control_ok: boolean; took_ms: number | null; why: string | null } =>
  ({ control_ok: facts.yes('ok'), took_ms: facts.lengthOrNull('took_ms'), why: facts.has('why') ? facts.textOrNull('why') : null })

/** `catalogue`: what is asked there besides the credential itself. */
export function readLeaseEnd(leaf: Leaf, catalogue: 'catalogue' | 'no catalogue'): Checked<LeaseEnd> {
  return readFacts(leaf, (facts) => (leaf.type === 'lease.ended' ? readEnded(leaf.at, facts, catalogue) : readIncident(leaf.at, facts)))
}

const readEnded = (at: number, facts: FactReader, catalogue: 'catalogue' | 'no catalogue'): LeaseEnd => ({
  kind: 'ended',
  at,
  outcome: facts.oneOf('outcome', ['not_evaluated', 'proved', 'never_issued']),
  withdrawn_at: facts.instantOrNull('withdrawn_at'),
  sessions_ended: facts.count('sessions_ended'),
  reassigned: facts.each('reassigned', (one) => ({
    database: one.text('database'), kind: one.text('kind'), name: one.text('name'), new_owner: one.text('new_owner'),
    disarmed: one.has('disarmed') ? one.textOrNull('disarmed') : null,
  })),
  control_login: facts.oneOf('control_login', ['none', 'ok', 'failed']),
  probe: facts.inside('probe', (probe) => readProbe(probe, catalogue)),
  refused_after_ms: facts.lengthOrNull('refused_after_ms'),
  residual_until: facts.instantOrNull('residual_until'),
  attempts: facts.count('attempts'),
})

function readProbe(facts: FactReader, catalogue: 'catalogue' | 'no catalogue'): ProbeAnswer {
  if (facts.oneOf('kind', ['not_evaluated', 'refused']) === 'not_evaluated') return { kind: 'not_evaluated', why: facts.text('why') }
  return {
    kind: 'refused', by: facts.text('by'), code: facts.text('code'), message: facts.text('message'),
    absent_from_catalogue: catalogue === 'catalogue' ? facts.yes('absent_from_catalogue') : null, took_ms: facts.lengthOrNull('took_ms'),
  }
}

const readIncident = (at: number, facts: FactReader): LeaseEnd => ({
  kind: 'incident', at, incident: facts.text('incident'), incident_kind: facts.text('kind'), attempts: facts.count('attempts'),
  why_code: facts.has('why_code') ? facts.textOrNull('why_code') : null,
})

/** A log may say `proved` only where its own receipts hold all three parts of the proof. */
function whyNotSupported({ minted, end }: LoginClosure): string | undefined {
  if (end.kind === 'incident') return undefined
  if (minted === null) return end.outcome === 'never_issued' ? undefined : `ended as ${end.outcome} and no receipt shows that it was minted`
  if (minted.control_ok !== (end.control_login === 'ok')) return 'has two different answers of its control login'
  if (end.outcome !== 'proved') return undefined
  if (end.control_login !== 'ok') return 'is called proved without a control login'
  if (end.probe.kind !== 'refused' || end.refused_after_ms === null) return 'is called proved and nobody refused it'
  return end.probe.absent_from_catalogue === true ? undefined : 'is called proved while the catalogue still showed it'
}
