import { parseExactJson } from '@writ/contract/strict-json'
import type { ExactRecord } from '@writ/domain/exact'
import { IDENTITY_KINDS, type Identity, type IdentityKind } from '@writ/domain/identity'
import { parseId, type IdentityId, type LeaseId, type PersonId } from '@writ/domain/id'
import type { Engine } from '@writ/policy/engine'
import type { Entity } from '@writ/policy/question'
import { BACKEND, identityEntity, cedarTypeOf, resourceOf } from '../decide/question.ts'
import type { Db } from '../record/tx.ts'
import { findBackend, type Backend } from '../store/backends.ts'
import { findIdentity } from '../store/identities.ts'
import { findMcpServer, type McpServer } from '../store/mcp-servers.ts'
import { SERVER } from './use.ts'

/** Who asks: a person, or an identity; with the access token that it came with, and the mark of its running workload where its evidence tells. */
export type Asker =
  | { readonly kind: 'operator'; readonly id: string }
  | { readonly kind: 'person'; readonly id: PersonId }
  | { readonly kind: 'identity'; readonly id: IdentityId; readonly lease: LeaseId | null; readonly workload: string | null }

/**
 * JSON as it was sent, every digit kept: on its way into the writer's thread a value would lose which of its numbers are inexact, for no
 * class comes through a structured clone.
 */
export type ExactText = string

export function readExact(text: ExactText): ExactRecord {
  const read = parseExactJson(text)
  if (!read.ok) throw new Error(`what was read once can not be read again: ${read.refusal.kind}`)
  return read.value as ExactRecord
}

/** A subject or a resource as a caller names it. */
export type Said = {
  /** AuthZEN's name of the type; `Engine.typeNamed` knows whose it is. */
  readonly type: string
  readonly id: string
  /** Null where nothing is said of it. */
  readonly properties: ExactText | null
}

const KIND_OF: ReadonlyMap<string, IdentityKind> = new Map(IDENTITY_KINDS.map((kind) => [cedarTypeOf(kind), kind]))

/** The kind of identity that a type of the policies is; undefined of any other type. */
export const kindOf = (type: string): IdentityKind | undefined => KIND_OF.get(type)

/** A type that the schema does not know stays as it is, and is denied for it. */
export const typeOf = (engine: Engine, said: Pick<Said, 'type'>): string => engine.typeNamed(said.type) ?? said.type

/** An identity of whatever kind, by whoever knows no more of it than its name. */
const ANY_KIND = 'identity'

/** Whether this is how the identity is called. */
export function isNamed(said: Said, engine: Engine, identity: Pick<Identity, 'id' | 'kind' | 'spiffeId'>): boolean {
  const type = typeOf(engine, said)
  return (type === ANY_KIND || type === cedarTypeOf(identity.kind)) && (said.id === identity.spiffeId || said.id === identity.id)
}

/** The registry as one question after the other finds it: asked once about each. */
export type Registry = { identity(reference: string): Promise<Identity | undefined>; backend(name: string): Promise<Backend | undefined>; mcpServer(name: string): Promise<McpServer | undefined> }

export const registryIn = (db: Db): Registry => ({ identity: once((reference) => findIdentity(db, reference)), backend: once((name) => findBackend(db, name)), mcpServer: once((name) => findMcpServer(db, name)) })

function once<T>(find: (name: string) => Promise<T>): (name: string) => Promise<T> {
  const asked = new Map<string, Promise<T>>()
  return (name) => {
    const asking = asked.get(name) ?? find(name)
    asked.set(name, asking)
    return asking
  }
}

/** Whether it may be how an identity is called. */
export const mayBeIdentity = (reference: string): boolean => reference.startsWith('spiffe://') || parseId('identity', reference) !== undefined

/**
 * A subject or a resource for advice: what the policies' files and the registry know of it, and what the caller supposes of it. Of other
 * identities than itself an identity is told nothing.
 */
export async function supposedIn(registry: Registry, engine: Engine, said: Said, by: Asker): Promise<Entity> {
  const type = typeOf(engine, said)
  const properties = said.properties === null ? {} : readExact(said.properties)
  const identity = kindOf(type) === undefined && type !== ANY_KIND ? undefined : await registry.identity(said.id)
  if (identity !== undefined && isNamed(said, engine, identity) && (by.kind !== 'identity' || by.id === identity.id)) return withSaid(identityEntity(identity), properties)
  const uid = { type, id: said.id }
  if (type === BACKEND) return withSaid(resourceOf(engine, uid, { kind: (await registry.backend(said.id))?.kind ?? 'unknown' }), properties)
  if (type === SERVER) return withSaid(resourceOf(engine, uid, { kind: '', said: await saidOfServer(registry, said.id) }), properties)
  return withSaid(engine.entity(uid) ?? { uid, attributes: {}, parents: [] }, properties)
}

/** What the registry knows of an MCP server; what the policies' files say of it counts before that. */
export async function saidOfServer(registry: Registry, name: string): Promise<ExactRecord> {
  const { environment = null } = await registry.mcpServer(name) ?? {}
  return environment === null ? {} : { environment }
}

const withSaid = (entity: Entity, properties: ExactRecord): Entity => ({ ...entity, attributes: { ...entity.attributes, ...properties } })
