import * as backends from '@writ/contract/backends'
import * as contract from '@writ/contract/registry'
import { unreachable } from '@writ/domain/outcome'
import { toIso } from '@writ/domain/time'
import type { z } from 'zod'
import type { Template } from '../../connectors/connector.ts'
import { addBackend, rotateBackend, setBackendSecret, testBackend, type BackendNeeds, type BackendRefusal } from '../../registry/backends.ts'
import { resolveFinding } from '../../registry/findings.ts'
import { removeBackend } from '../../registry/watched.ts'
import type { Store } from '../../record/tx.ts'
import { findBackend, listBackends } from '../../store/backends.ts'
import { findFinding, listFindings, listIncidents, type Finding } from '../../store/watches.ts'
import { actorOf, route, type Route } from '../call.ts'
import { problem, type ProblemAnswer } from '../problem.ts'
import { backendReply } from '../replies.ts'

export type WatchedRoutesNeeds = BackendNeeds & { readonly store: Store; readonly wake: () => void }

export function watchedRoutes(needs: WatchedRoutesNeeds): readonly Route[] {
  const { store, clock } = needs
  const showBackend = async (reference: string) => backendReply((await store.read((db) => findBackend(db, reference)))!)
  return [
    route(backends.addBackend, async ({ caller, body }) => {
      const { name, settings, secret, rotate } = body
      const added = await addBackend(needs, { name, settings, secret, rotate, templates: toTemplates(body.templates) }, actorOf(caller))
      return added.ok ? { reply: await showBackend(added.value) } : backendProblem(added.refusal)
    }),
    route(backends.listBackends, async () => ({ reply: { backends: (await store.read(listBackends)).map(backendReply) } })),
    route(backends.testBackend, async ({ caller, parameters }) => {
      const tested = await testBackend(needs, parameters.name!, actorOf(caller))
      if (!tested.ok) return backendProblem(tested.refusal)
      return { reply: { name: parameters.name!, version: tested.value.version, cycle_ms: tested.value.cycleMs, steps: ['mint', 'control login', 'withdraw', 'probe refused', 'absent from the catalogue'] } }
    }),
    route(backends.rotateBackend, async ({ caller, parameters }) => {
      const rotated = await rotateBackend(needs, parameters.name!, actorOf(caller))
      return rotated.ok ? { reply: await showBackend(rotated.value) } : backendProblem(rotated.refusal)
    }),
    route(backends.setBackendSecret, async ({ caller, parameters, body }) => {
      const kept = await setBackendSecret(needs, parameters.name!, body.secret, actorOf(caller))
      if (!kept.ok) return backendProblem(kept.refusal)
      needs.wake()
      return { reply: await showBackend(kept.value) }
    }),
    route(backends.removeBackend, async ({ caller, parameters, body, once }) => {
      const removed = await store.changeOnce(removeBackend, { reference: parameters.name!, reason: body.reason, by: actorOf(caller), now: clock.now() }, once)
      if (!removed.ok) return removed.refusal.kind === 'key_reused' ? problem('idempotency-key-reused') : backendProblem(removed.refusal)
      needs.wake()
      return { reply: await showBackend(removed.value.value) }
    }),
    route(contract.listFindings, async ({ query }) => {
      const found = await store.read((db) => listFindings(db, { limit: query.limit + 1, ...(query.cursor === undefined ? {} : { before: query.cursor }) }))
      const findings = found.slice(0, query.limit).map(findingReply)
      return { reply: { findings, next: found.length > query.limit ? findings.at(-1)!.id : null } }
    }),
    route(contract.resolveFinding, async ({ caller, parameters, body, once }) => {
      const resolved = await store.changeOnce(resolveFinding, { finding: parameters.id!, reason: body.reason, by: actorOf(caller), now: clock.now() }, once)
      if (resolved.ok) return { reply: findingReply((await store.read((db) => findFinding(db, resolved.value.value)))!) }
      switch (resolved.refusal.kind) {
        case 'key_reused': return problem('idempotency-key-reused')
        case 'no_such_finding': return problem('not-found', { code: 'finding_not_found', detail: 'there is no such finding', hint: 'writ findings list' })
        case 'already_resolved': return problem('conflict', { code: 'already_resolved', detail: 'it is resolved already' })
        default: return unreachable(resolved.refusal)
      }
    }),
    route(contract.listIncidents, async ({ query }) => {
      const found = await store.read((db) => listIncidents(db, { limit: query.limit + 1, ...(query.cursor === undefined ? {} : { before: query.cursor }) }))
      const incidents = found.slice(0, query.limit).map(({ id, kind, lease, task, identity, why, state, openedAt, resolvedAt }) => ({
        id, kind, lease, task, identity, why, state, opened_at: toIso(openedAt), resolved_at: resolvedAt === null ? null : toIso(resolvedAt),
      }))
      return { reply: { incidents, next: found.length > query.limit ? incidents.at(-1)!.id : null } }
    }),
  ]
}

const findingReply = ({ id, kind, identity, evidence, state, raisedAt }: Finding) => ({ id, kind, identity, evidence, state, raised_at: toIso(raisedAt) })

function toTemplates(templates: Readonly<Record<string, z.output<typeof backends.template>>>): readonly Template[] {
  return Object.entries(templates).map(([name, one]) => ({
    name, database: one.database, owner: one.owner, memberOf: one.member_of, grants: one.grants, connectionLimit: one.connection_limit,
  }))
}

function backendProblem(refusal: BackendRefusal): ProblemAnswer {
  const code = refusal.kind
  switch (refusal.kind) {
    case 'no_such_thing': return problem('not-found', { code, detail: 'there is no such back end', hint: 'writ backend list' })
    case 'already_exists': return problem('already-exists', { code, detail: 'this name is taken; a name is used once' })
    case 'already_removed': return problem('conflict', { code, detail: 'it is removed already' })
    case 'changed_meanwhile': return problem('conflict', { code, detail: 'the secret was rotated or set by somebody else in this moment; nothing was written', hint: 'see whether Writ gets in now: writ backend test NAME' })
    case 'leases_open': return problem('conflict', { code, detail: `${refusal.count} leases of it are not ended yet; without it their end could not be proved`, hint: 'end their tasks first: writ task list --state open' })
    case 'unreachable': return problem('backend-unavailable', { code, detail: refusal.why })
    case 'administrator_refused': return problem('backend-refused', { code, detail: `the back end refused the administrator's login (${refusal.code})`, hint: 'check `settings.user` and the secret' })
    case 'superuser': return problem('backend-refused', { code, detail: `\`${refusal.user}\` is a superuser; Writ takes no more than it needs`, hint: `make a role with these rights instead:\n${refusal.rightsNeeded.join('\n')}` })
    case 'missing_rights': return problem('backend-refused', { code, detail: `\`${refusal.user}\` lacks rights`, hint: refusal.rightsNeeded.join('\n') })
    case 'unsupported_version': return problem('backend-refused', { code, detail: `version ${refusal.version} is not supported`, hint: 'PostgreSQL 14 to 18' })
    case 'accepts_any_secret': return problem('backend-refused', { code, detail: 'the back end let a login in with a wrong secret, so a refusal could never be proved', hint: 'replace `trust` by `scram-sha-256` for this host in pg_hba.conf' })
    case 'bad_template': return problem('backend-refused', { code, detail: `template \`${refusal.template}\`: ${refusal.why}`, errors: [{ field: `templates.${refusal.template}`, message: refusal.why }] })
    case 'added_not_rotated': return problem('backend-refused', { code, detail: `\`${refusal.name}\` was added, and its administrator's secret could not be rotated (${refusal.code})`, hint: `writ backend rotate ${refusal.name}` })
    case 'cycle_failed': return problem('backend-refused', { code, detail: `the test cycle failed at ${refusal.step}: ${refusal.why}` })
    default: return unreachable(refusal)
  }
}
