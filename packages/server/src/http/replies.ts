import { textOf, toAuthorizationDetails } from '@writ/domain/authority'
import { EVENT_TYPES, type EventActor, type EventLeaf } from '@writ/domain/event'
import type { Identity } from '@writ/domain/identity'
import { PROFILES } from '@writ/domain/profile'
import type { Task } from '@writ/domain/task'
import { toIso } from '@writ/domain/time'
import type { BackendReply } from '@writ/contract/backends'
import type { EventReply } from '@writ/contract/events'
import type { IdentityReply } from '@writ/contract/registry'
import type { LeaseReply, TaskReply } from '@writ/contract/tasks'
import type { Backend } from '../store/backends.ts'
import type { ShownBinding } from '../store/bindings.ts'
import type { Said, StoredEvent } from '../store/events.ts'
import type { Credential } from '../store/identities.ts'
import type { StoredLease } from '../store/leases.ts'
import type { ShownToken } from '../store/tokens.ts'
import type { ReadableLog } from '../prove/logs-of-stream.ts'

/** Domain values as the contract shows them. A secret has no way into any of these. */
export function identityReply(identity: Identity, credentials: readonly Credential[], bindings: readonly ShownBinding[]): IdentityReply {
  return {
    id: identity.id,
    spiffe_id: identity.spiffeId,
    kind: identity.kind,
    class: identity.class,
    purpose: identity.purpose,
    owners: { technical: identity.technicalOwner, business: identity.businessOwner },
    system_scope: [...identity.systemScope],
    environment: identity.environment,
    authority: identity.authority.map(textOf),
    tasks_per_hour: identity.tasksPerHour ?? PROFILES[identity.class].tasksPerHour,
    ends_at: toIso(identity.endsAt),
    trigger: identity.trigger,
    state: identity.state,
    state_reason: identity.stateReason,
    registered_at: toIso(identity.registeredAt),
    last_used_at: identity.lastUsedAt === null ? null : toIso(identity.lastUsedAt),
    credentials: credentials.filter((one) => one.identity === identity.id)
      .map(({ id, thumbprint, alg, state, registeredAt }) => ({ id, thumbprint, alg, state, registered_at: toIso(registeredAt) })),
    bindings: bindings.filter((one) => one.identity === identity.id).map(({ id, issuerUrl, audience, claims, state, registeredAt }) => ({
      id, issuer: issuerUrl, audience, claims: Object.fromEntries(Object.entries(claims).map(([claim, matcher]) => [claim, typeof matcher === 'string' ? matcher : [...matcher]])),
      state, registered_at: toIso(registeredAt),
    })),
  }
}

export function leaseReply(lease: StoredLease, backendName: string): LeaseReply & { readonly kind: 'login'; readonly template: string; readonly user: string } {
  return {
    kind: 'login', id: lease.id, task: lease.task, backend: backendName, template: lease.template, user: lease.handle, audience: null, state: lease.state,
    outcome: lease.outcome, expires_at: toIso(lease.expiresAt), incident: lease.incident,
  }
}

/** An access token, in the words of a lease: one that has stopped is being withdrawn until its end is in the record. */
export function tokenReply(token: ShownToken): LeaseReply {
  const stopped = token.incident === null ? 'withdrawing' : 'stuck'
  return {
    kind: 'access_token', id: token.id, task: token.task, backend: 'writ', template: null, user: null, audience: token.audience,
    state: token.state === 'stopped' ? stopped : token.state, outcome: token.outcome, expires_at: toIso(token.expiresAt), incident: token.incident,
  }
}

export function taskReply(task: Task, spiffeId: string, leases: readonly LeaseReply[]): TaskReply {
  return {
    id: task.id,
    identity: task.identity,
    spiffe_id: spiffeId,
    parent: task.parent,
    purpose: task.purpose,
    purpose_id: task.purposeId,
    change_reference: task.changeReference,
    authorization_details: toAuthorizationDetails(task.authority).map((detail) => ({
      type: detail.type, locations: [...detail.locations], actions: [...detail.actions], ...(detail.limits === undefined ? {} : { limits: { ...detail.limits } }),
    })),
    widenings: task.widenings,
    state: task.state,
    opened_at: toIso(task.openedAt),
    deadline: toIso(task.deadline),
    budget: { calls: task.budgetCalls, used: task.callsUsed },
    idle_timeout_seconds: task.idleTimeout / 1000,
    heartbeat_seconds: task.heartbeat / 1000,
    end_reason: task.endReason,
    ended_at: task.endedAt === null ? null : toIso(task.endedAt),
    closed_at: task.closedAt === null ? null : toIso(task.closedAt),
    leases: leases.filter((lease) => lease.task === task.id),
  }
}

export function backendReply(backend: Backend): BackendReply {
  const { ca: _ca, ...settings } = backend.settings
  return {
    id: backend.id, name: backend.name, kind: backend.kind, settings, version: backend.version, state: backend.state,
    templates: Object.fromEntries(backend.templates.map(({ name, database, owner, memberOf, grants, connectionLimit }) => [
      name, {
        database, owner, member_of: [...memberOf], connection_limit: connectionLimit,
        grants: grants.map((grant) => ({ on: grant.on, privileges: [...grant.privileges] as never[], names: [...grant.names] })),
      },
    ])),
    added_at: toIso(backend.addedAt),
    secret_rotated_at: backend.secretRotatedAt === null ? null : toIso(backend.secretRotatedAt),
  }
}

/** The leaf as the record holds it, with its place in OCSF 1.x: `type_uid` = `class_uid` x 100 + `activity_id`. */
export function eventReply(event: StoredEvent, said: readonly Said[], log: Pick<ReadableLog, 'origin' | 'firstLeaf'> | undefined): EventReply {
  const leaf = JSON.parse(event.text) as EventLeaf
  const { classUid, activityId } = EVENT_TYPES[leaf.type]
  const actor: EventActor = leaf.actor
  return {
    id: leaf.id,
    stream: leaf.stream,
    type: leaf.type,
    at: toIso(leaf.at),
    actor: { kind: actor.kind, id: actor.id },
    task: leaf.task,
    identity: leaf.identity,
    lease: leaf.lease,
    facts: leaf.facts,
    said: Object.fromEntries(said.map((one) => [one.field, one.value])),
    leaf_index: event.leafIndex === null || log === undefined ? null : event.leafIndex - log.firstLeaf,
    log: log?.origin ?? null,
    ocsf: { class_uid: classUid, activity_id: activityId, type_uid: classUid * 100 + activityId, time: leaf.at },
  }
}
