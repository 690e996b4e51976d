import type { Checkpoint } from './checkpoint.ts'
import type { Closure } from './closure.ts'
import { inert, quoted } from './inert.ts'
import type { LeaseClosure, LeaseEnd, ProbeAnswer } from './lease-closure.ts'
import { toBase64 } from './bytes.ts'

/** The facts of a closure for people, one to a line, without colours; every text from the certificate is inert. */
export function describeClosure(closure: Closure): readonly string[] {
  return [
    `task ${inert(closure.task)}`,
    `  identity: ${inert(closure.spiffe_id)} (${inert(closure.identity)})`,
    `  class: ${inert(closure.class)}`,
    `  environment: ${inert(closure.environment)}`,
    `  system scope: ${list(closure.system_scope)}`,
    `  purpose (said by the agent, not verified): ${saidOrNot(closure.purpose)}`,
    `  technical owner when it opened: ${saidOrNot(closure.technical_owner)}`,
    `  business owner when it opened: ${saidOrNot(closure.business_owner)}`,
    ...(closure.for_a_user ? [`  on behalf of: ${saidOrNot(closure.on_behalf_of)}`] : []),
    `  authority: ${list(closure.authority)}`,
    ...(closure.parent === null ? [] : [`  opened below task: ${inert(closure.parent)} (depth ${closure.depth})`]),
    `  opened: ${iso(closure.opened_at)}`,
    `  deadline: ${iso(closure.deadline)}`,
    `  ended: ${iso(closure.ended_at)}, because: ${inert(closure.reason)}, by: ${inert(closure.ended_by)}`,
    `  closed: ${iso(closure.closed_at)}`,
    `  calls: ${closure.calls_used} of ${closure.budget_calls}`,
    ...closure.leases.flatMap(describeLease),
    ...closure.descendants.map(({ task, closed_at: at, outcome }) => `  task below: ${inert(task)}, closed ${iso(at)}, as its own closing says: ${words(outcome)}`),
    `  a token of this task could still be accepted offline until: ${closure.residual_until === null ? 'none was issued that could' : iso(closure.residual_until)}`,
    `  outcome: ${verdictOf(closure)}`,
  ]
}

/** Which log the receipts stand in. */
export const describeCheckpoint = ({ origin, size, root }: Checkpoint): string => `log ${inert(origin)}, ${size} leaves, root ${toBase64(root)}, signed by its key`

function describeLease(lease: LeaseClosure): readonly string[] {
  const { minted, end } = lease
  return [
    `  lease ${inert(lease.lease)}`,
    `    back end: ${inert(lease.backend)} (${inert(lease.backend_kind)}), template ${inert(lease.template)}, login ${inert(lease.handle)}`,
    `    intended: ${iso(lease.intended_at)}, to expire by ${iso(lease.expires_at)}`,
    minted === null ? '    minted: no receipt shows it' : `    minted: ${iso(minted.at)}`,
    ...(minted === null ? [] : [`    control login when minted: ${minted.control_ok ? `ok${after(minted.took_ms)}` : `failed${minted.why === null ? '' : ` (${inert(minted.why)})`}`}`]),
    ...describeEnd(end),
  ]
}

function describeEnd(end: LeaseEnd): readonly string[] {
  if (end.kind === 'incident') {
    return [`    INCIDENT OPEN: ${inert(end.incident)} (${inert(end.incident_kind)}) since ${iso(end.at)}, ${end.attempts} attempts${end.why_code === null ? '' : `, last code ${inert(end.why_code)}`}`]
  }
  return [
    `    withdrawn: ${end.withdrawn_at === null ? 'not recorded' : iso(end.withdrawn_at)}, sessions ended: ${end.sessions_ended}, attempts: ${end.attempts}`,
    ...end.reassigned.map((one) => `    kept, now owned by ${inert(one.new_owner)}: ${inert(one.kind)} ${inert(one.name)} in ${inert(one.database)}${one.disarmed === null ? '' : `, without ${inert(one.disarmed)}`}`),
    ...describeProbe(end.probe, end.refused_after_ms),
    `    end: ${iso(end.at)}, ${words(end.outcome)}`,
  ]
}

function describeProbe(probe: ProbeAnswer, refusedAfter: number | null): readonly string[] {
  if (probe.kind === 'not_evaluated') return [`    dead login tried again: not evaluated (${inert(probe.why)})`]
  const when = refusedAfter === null ? '' : `, ${milliseconds(refusedAfter)} after the end or revocation`
  return [
    `    dead login tried again: refused by ${inert(probe.by)}, code ${inert(probe.code)}${when}`,
    `    the back end said: ${quoted(probe.message)}`,
    `    gone from the back end's catalogue: ${probe.absent_from_catalogue ? 'yes' : 'no'}`,
  ]
}

function verdictOf({ outcome, leases, descendants }: Closure): string {
  switch (outcome) {
    case 'proved': return 'proved: every credential that was handed out was withdrawn, tried again and refused'
    case 'not_evaluated': return 'not evaluated: withdrawn, but at least one end lacks a part of its proof'
    case 'incident': return 'INCIDENT: at least one credential could not be shown dead'
    case 'nothing_issued': return leases.length + descendants.length === 0 ? 'nothing issued: the task asked for no credential' : 'nothing issued: no credential left Writ'
  }
}

const saidOrNot = (text: string | null): string => (text === null ? 'committed to and not disclosed' : quoted(text))
const list = (texts: readonly string[]): string => (texts.length === 0 ? 'none' : texts.map(inert).join(', '))
const iso = (at: number): string => new Date(at).toISOString()
const words = (outcome: string): string => inert(outcome).replaceAll('_', ' ')
const milliseconds = (length: number): string => `${Math.round(length)} ms`
const after = (length: number | null): string => (length === null ? '' : ` after ${milliseconds(length)}`)
