import { NO_PURPOSE, type Label } from '@writ/domain/decision'
import type { ExactRecord } from '@writ/domain/exact'
import type { Identity, IdentityKind } from '@writ/domain/identity'
import type { Engine } from '@writ/policy/engine'
import type { Entity, EntityRef, Question } from '@writ/policy/question'
import type { Attempted } from './decide.ts'

/** The question to the policies: what is asked, and everything that Writ knows about it. */
export function questionOf(engine: Engine, use: Attempted, labels: readonly Label[]): Question {
  return {
    principal: identityEntity(use.identity),
    action: use.action,
    resource: use.known ?? resourceOf(engine, use.resource, { kind: use.permit?.type ?? '', ...(use.said === undefined ? {} : { said: use.said }) }),
    arguments: use.arguments,
    claimed: use.claimed,
    known: { ...knownOf(use, labels), ...use.also },
  }
}

/** Cedar's name of a kind of identity: `api_key` is `Writ::ApiKey`. */
export const cedarTypeOf = (kind: IdentityKind): string => `Writ::${kind.split('_').map((word) => word[0]!.toUpperCase() + word.slice(1)).join('')}`

export function identityEntity(identity: Pick<Identity, 'kind' | 'spiffeId' | 'class' | 'environment' | 'systemScope'>): Entity {
  return {
    uid: { type: cedarTypeOf(identity.kind), id: identity.spiffeId },
    attributes: { class: identity.class, environment: identity.environment, system_scope: identity.systemScope },
    parents: [{ type: 'Writ::Class', id: identity.class }],
  }
}

export const BACKEND = 'Writ::Backend'

/** A back end that the policies say nothing about is one that can be written to, for good. */
const UNDESCRIBED_BACKEND = { labels: [], effect: 'write', reversible: false } as const

/** `kind`: of a back end; `said`: what is said of it beside what the policies' own files say. */
export function resourceOf(engine: Engine, uid: EntityRef, { kind, said = {} }: { readonly kind: string; readonly said?: ExactRecord }): Entity {
  const known = engine.entity(uid)
  const parents = known?.parents ?? []
  if (uid.type !== BACKEND) return { uid, attributes: { ...said, ...known?.attributes }, parents }
  return { uid, attributes: { ...UNDESCRIBED_BACKEND, ...known?.attributes, kind }, parents }
}

function knownOf({ task, identity, approved, now }: Attempted, labels: readonly Label[]): Question['known'] {
  return {
    task: task.id,
    purpose: { entity: { type: 'Writ::Purpose', id: task.purposeId ?? NO_PURPOSE } },
    class: identity.class,
    environment: identity.environment,
    ...(task.onBehalfOf === null ? {} : { on_behalf_of: { issuer: task.onBehalfOf.issuer, subject: task.onBehalfOf.subject } }),
    ...(task.changeReference === null ? {} : { change: task.changeReference }),
    depth: BigInt(task.depth),
    budget_left: BigInt(task.budgetCalls - task.callsUsed),
    labels: labels.toSorted(),
    approved: approved === true,
    at: new Date(now).toISOString(),
  }
}
