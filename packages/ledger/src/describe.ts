import { toBase64 } from './bytes.ts'
import type { VerifiedCertificate } from './certificate.ts'
import type { Checkpoint } from './checkpoint.ts'
import type { Closure } from './closure.ts'
import { inert, quoted } from './inert.ts'
import type { LeaseClosure, LeaseEnd, ProbeAnswer, ReassignedObject } from './lease-closure.ts'
import type { LogRefusal, VerifiedLog } from './log.ts'

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
    ...closure.descendants.map((one) =>
      `  task below: ${inert(one.task)}, closed ${iso(one.closed_at)}, as its own closing says: ${words(one.outcome)}`),
    `  a token of its leases could still be accepted offline until: ${orElse(closure.residual_until, 'no such token was issued')}`,
    `  outcome: ${verdictOf(closure)}`,
  ]
}

/** What a verified certificate shows, and first in which log. */
export function describeCertificate({ closure, checkpoint, earlier }: VerifiedCertificate): readonly string[] {
  return [
    describeCheckpoint(checkpoint),
    ...earlier.map(({ size, kind }) => (kind === 'same_tree'
      ? `the log is the one of the earlier checkpoint at ${size} leaves`
      : `earlier checkpoint at ${size} leaves: not evaluated; a certificate alone can't show that both are of one log, an export of the log can`)),
    ...describeClosure(closure),
  ]
}

export function describeLog({ checkpoint, continues }: VerifiedLog): readonly string[] {
  return [
    describeCheckpoint(checkpoint),
    ...continues.map((size) => `it continues the earlier checkpoint at ${size} leaves`),
    ...(continues.length === 0 ? ['compared with no earlier checkpoint: who holds the key of the log could have written it anew'] : []),
  ]
}

export function describeLogRefusal({ kind, detail, firstBad, within }: LogRefusal): readonly string[] {
  if (firstBad !== null) return [`${kind}: ${detail}`, `first bad leaf: ${firstBad}`]
  return within === null ? [`${kind}: ${detail}`] : [`${kind}: ${detail}`, `first bad leaf: one of ${within.from} to ${within.to - 1}`]
}

const describeCheckpoint = ({ origin, size, root }: Checkpoint): string =>
  `log ${inert(origin)}, ${size} leaves, root ${toBase64(root)}, signed by its key`

function describeLease(lease: LeaseClosure): readonly string[] {
  const { minted, end } = lease
  return [
    `  lease ${inert(lease.lease)}`,
    `    back end: ${inert(lease.backend)} (${inert(lease.backend_kind)}), template ${inert(lease.template)}, login ${inert(lease.handle)}`,
    `    intended: ${iso(lease.intended_at)}, to expire by ${iso(lease.expires_at)}`,
    minted === null ? '    minted: no receipt shows it' : `    minted: ${iso(minted.at)}`,
    ...(minted === null ? [] : [`    control login when minted: ${describeControl(minted)}`]),
    ...describeEnd(end),
  ]
}

const describeControl = ({ control_ok: worked, took_ms: took, why }: NonNullable<LeaseClosure['minted']>): string =>
  worked ? `ok${after(took)}` : `failed${why === null ? '' : ` (${inert(why)})`}`

function describeEnd(end: LeaseEnd): readonly string[] {
  if (end.kind === 'incident') {
    const code = end.why_code === null ? '' : `, last code ${inert(end.why_code)}`
    return [`    INCIDENT OPEN: ${inert(end.incident)} (${inert(end.incident_kind)}) since ${iso(end.at)}, ${end.attempts} attempts${code}`]
  }
  return [
    `    withdrawn: ${orElse(end.withdrawn_at, 'not recorded')}, sessions ended: ${end.sessions_ended}, attempts: ${end.attempts}`,
    ...end.reassigned.map(describeReassigned),
    ...describeProbe(end.probe, end.refused_after_ms),
    `    end: ${iso(end.at)}, ${words(end.outcome)}`,
  ]
}

function describeReassigned({ new_owner: owner, kind, name, database, disarmed }: ReassignedObject): string {
  const without = disarmed === null ? '' : `, without ${inert(disarmed)}`
  return `    kept, now owned by ${inert(owner)}: ${inert(kind)} ${inert(name)} in ${inert(database)}${without}`
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
    case 'nothing_issued':
      return leases.length + descendants.length === 0 ? 'nothing issued: the task asked for no credential' : 'nothing issued: no credential left Writ'
  }
}

const saidOrNot = (text: string | null): string => (text === null ? 'committed to and not disclosed' : quoted(text))
const list = (texts: readonly string[]): string => (texts.length === 0 ? 'none' : texts.map(inert).join(', '))
const orElse = (at: number | null, otherwise: string): string => (at === null ? otherwise : iso(at))
const iso = (at: number): string => new Date(at).toISOString()
const words = (outcome: string): string => inert(outcome).replaceAll('_', ' ')
const milliseconds = (length: number): string => `${Math.round(length)} ms`
const after = (length: number | null): string => (length === null ? '' : ` after ${milliseconds(length)}`)
