import { toBase64 } from './bytes.ts'
import type { VerifiedCertificate } from './certificate.ts'
import type { Checkpoint } from './checkpoint.ts'
import { isToken, type Closure, type LeaseClosure } from './closure.ts'
import { inert, quoted } from './inert.ts'
import type { LeaseEnd, LoginClosure, ProbeAnswer, ReassignedObject } from './lease-closure.ts'
import type { LogRefusal, VerifiedLog } from './log.ts'
import { leavesLost, type Restored } from './restored.ts'
import type { TokenClosure } from './token-closure.ts'

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
    ...(closure.widenings ?? []).map(({ at, added, reason }) =>
      `  widened: ${iso(at)}, by ${list(added)}, because (said by the agent, not verified): ${saidOrNot(reason)}`),
    ...(closure.parent === null ? [] : [`  opened below task: ${inert(closure.parent)} (depth ${closure.depth})`]),
    `  opened: ${iso(closure.opened_at)}`,
    `  deadline: ${iso(closure.deadline)}`,
    `  ended: ${iso(closure.ended_at)}, because: ${inert(closure.reason)}, by: ${inert(closure.ended_by)}`,
    `  closed: ${iso(closure.closed_at)}`,
    `  calls: ${closure.calls_used} of ${closure.budget_calls}`,
    ...closure.leases.flatMap((lease: LeaseClosure) => (isToken(lease) ? describeToken(lease) : describeLogin(lease))),
    ...closure.descendants.map((one) =>
      `  task below: ${inert(one.task)}, closed ${iso(one.closed_at)}, as its own closing says: ${words(one.outcome)}`),
    `  a token of its leases could still be accepted offline until: ${orElse(closure.residual_until, 'no such token was issued')}`,
    `  outcome: ${verdictOf(closure)}`,
  ]
}

/** What a verified certificate shows, and first in which log. */
export function describeCertificate({ closure, checkpoint, earlier, restores }: VerifiedCertificate): readonly string[] {
  return [
    describeCheckpoint(checkpoint),
    ...restores.flatMap((restored) => describeRestored(restored)),
    ...earlier.map(({ size, kind }) => (kind === 'same_tree'
      ? `the log is the one of the earlier checkpoint at ${size} leaves`
      : `earlier checkpoint at ${size} leaves: not evaluated; a certificate alone can't show that both are of one log, an export of the log can`)),
    ...describeClosure(closure),
  ]
}

export function describeLog({ checkpoint, continues, restored, before }: VerifiedLog): readonly string[] {
  return [
    describeCheckpoint(checkpoint),
    ...(restored === null ? [] : describeRestored(restored, before.map(({ size }) => size))),
    ...before.map(({ size, kind }) => (kind === 'same_tree'
      ? `the log before is the one of the earlier checkpoint at ${size} leaves`
      : `earlier checkpoint of the log before, at ${size} leaves: not evaluated; the export of that log can show that it continues it`)),
    ...continues.map((size) => `it continues the earlier checkpoint at ${size} leaves`),
    ...(continues.length + before.length === 0 ? ['compared with no earlier checkpoint: who holds the key of the log could have written it anew'] : []),
  ]
}

export function describeLogRefusal({ kind, detail, firstBad, within }: LogRefusal): readonly string[] {
  if (firstBad !== null) return [`${kind}: ${detail}`, `first bad leaf: ${firstBad}`]
  return within === null ? [`${kind}: ${detail}`] : [`${kind}: ${detail}`, `first bad leaf: one of ${within.from} to ${within.to - 1}`]
}

/** `seen`: the sizes at which the reader saw the log before. */
function describeRestored(restored: Restored, seen: readonly number[] = []): readonly string[] {
  const { stood, known, before } = restored
  const lost = leavesLost(restored, seen)
  return [
    `opened by restore ${inert(restored.restore)} at ${iso(restored.at)}, from backup ${inert(restored.backup)} of ${iso(restored.backupAt)}`,
    `  the log before: ${inert(before.name)}, ${stood.size} leaves in the backup, root ${toBase64(stood.root)}`,
    `  known of it outside: ${known === null ? 'no newer checkpoint was given' : `${known.size} leaves, root ${toBase64(known.root)}`}`,
    lost === null ? '  leaves of it that are lost: not evaluated' : `  leaves of it that are lost: ${lost === 0 ? 'none that is known of' : `at least ${lost}, from ${stood.size} on`}`,
  ]
}

const describeCheckpoint = ({ origin, size, root }: Checkpoint): string =>
  `log ${inert(origin)}, ${size} leaves, root ${toBase64(root)}, signed by its key`

function describeLogin(lease: LoginClosure): readonly string[] {
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

const describeControl = ({ control_ok: worked, took_ms: took, why }: NonNullable<LoginClosure['minted']>): string =>
  worked ? `ok${after(took)}` : `failed${why === null ? '' : ` (${inert(why)})`}`

function describeToken({ lease, audience, jkt, authority, expires_at: expires, minted, end }: TokenClosure): readonly string[] {
  return [
    `  lease ${inert(lease)}`,
    `    access token for ${inert(audience)}, ${jkt === null ? 'good for whoever bears it' : `bound to the key ${inert(jkt)}`}`,
    ...(authority === null ? [] : [`    authority: ${list(authority)}`]),
    `    issued: ${iso(minted.at)}, to expire at ${iso(expires)}`,
    ...describeEndOfToken(end),
    `    who checks it offline, and never asks, could accept it until: ${iso(expires)}`,
  ]
}

function describeEndOfToken(end: LeaseEnd): readonly string[] {
  if (end.kind === 'incident') return [describeIncident(end)]
  const { probe, withdrawn_at: stopped } = end
  return [
    `    stopped: ${orElse(stopped, 'it expired by itself')}`,
    probe.kind === 'refused'
      ? `    asked about it again: refused by ${inert(probe.by)}, ${words(probe.code)}${since(end.refused_after_ms)}`
      : `    asked about it again: not evaluated (${inert(probe.why)})`,
    `    end: ${iso(end.at)}, ${words(end.outcome)}`,
  ]
}

function describeIncident(end: Extract<LeaseEnd, { kind: 'incident' }>): string {
  const code = end.why_code === null ? '' : `, last code ${inert(end.why_code)}`
  return `    INCIDENT OPEN: ${inert(end.incident)} (${inert(end.incident_kind)}) since ${iso(end.at)}, ${end.attempts} attempts${code}`
}

function describeEnd(end: LeaseEnd): readonly string[] {
  if (end.kind === 'incident') return [describeIncident(end)]
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
  return [
    `    dead login tried again: refused by ${inert(probe.by)}, code ${inert(probe.code)}${since(refusedAfter)}`,
    `    the back end said: ${quoted(probe.message)}`,
    `    gone from the back end's catalogue: ${probe.absent_from_catalogue ? 'yes' : 'no'}`,
  ]
}

function verdictOf({ outcome, leases, descendants }: Closure): string {
  switch (outcome) {
    case 'proved':
      return leases.some(isToken)
        ? 'proved: every credential that was handed out was withdrawn, tried again and refused; who checks tokens offline learns of it when they expire'
        : 'proved: every credential that was handed out was withdrawn, tried again and refused'
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
const since = (refusedAfter: number | null): string => (refusedAfter === null ? '' : `, ${milliseconds(refusedAfter)} after the end or revocation`)
const milliseconds = (length: number): string => `${Math.round(length)} ms`
const after = (length: number | null): string => (length === null ? '' : ` after ${milliseconds(length)}`)
