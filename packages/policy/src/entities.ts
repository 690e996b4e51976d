import type { ExactValue } from '@writ/domain/exact'
import type { Complaint } from './complaint.ts'
import { keyOf } from './entity-key.ts'
import { complainAt, exactOf, type JsonFile, type JsonNode } from './json-text.ts'
import type { Entity, EntityRef } from './question.ts'
import type { CedarType, Members, SchemaTypes } from './schema-types.ts'
import { KIND_TYPES } from './schema.ts'
import { mapMembers, startMapping, type Known } from './values.ts'

const KNOWN = ['uid', 'attrs', 'parents']
/** What Writ itself says at every question; the file may add to it. */
const KNOWN_TO_WRIT: ReadonlySet<string> = new Set([...KIND_TYPES, 'Tool', 'Backend', 'Server', 'Purpose', 'Group'].map((type) => `Writ::${type}`))
const KINDS: ReadonlySet<string> = new Set(KIND_TYPES.map((kind) => `Writ::${kind}`))

/** Answers undefined, so that a reader can end with it. */
type Complain = (at: number, message: string, hint?: string) => undefined

/** Reads `entities.json`: Cedar's own form, a list of `{ "uid": { "type", "id" }, "attrs": {}, "parents": [] }`. */
export function readEntities(
  file: JsonFile, types: SchemaTypes,
): { readonly entities: readonly Entity[]; readonly complaints: readonly Complaint[] } {
  const complaints: Complaint[] = []
  const complain: Complain = (at, message, hint) => void complaints.push(complainAt(file, at, message, hint))
  const entities = new Map<string, Entity>()
  if (file.root.kind !== 'array') complain(file.root.at, 'a list of entities is expected')
  for (const node of file.root.kind === 'array' ? file.root.elements : []) {
    const entity = readEntity(node, types, complain)
    if (!entity) continue
    if (entities.has(keyOf(entity.uid))) complain(node.at, `the entity ${nameOf(entity.uid)} stands here twice`)
    entities.set(keyOf(entity.uid), entity)
  }
  const circle = findCircle(entities)
  if (circle) complain(file.root.at, `the entity ${nameOf(circle)} is in itself`)
  return { entities: [...entities.values()], complaints }
}

const nameOf = ({ type, id }: EntityRef): string => `\`${type}::"${id}"\``

function readEntity(node: JsonNode, types: SchemaTypes, complain: Complain): Entity | undefined {
  if (node.kind !== 'object') return complain(node.at, 'an entity is an object')
  for (const [name, { at }] of node.members) {
    if (!KNOWN.includes(name)) complain(at, `an entity has no \`${name}\``, 'it has `uid`, `attrs` and `parents`')
  }
  const uidNode = node.members.get('uid')?.value
  const uid = uidNode && readRef(uidNode)
  if (!uid) return complain(uidNode?.at ?? node.at, 'an entity has a `uid`: `{ "type": "Writ::Group", "id": "ops" }`')
  // Cedar writes a schema's actions among its entities; what they are in, the schema says.
  if (types.actions.has(keyOf(uid))) return undefined
  const type = types.entityTypes.get(uid.type)
  if (!type) return complain(uidNode.at, `the schema has no entity type \`${uid.type}\``)
  if (type.ids && !type.ids.includes(uid.id)) complain(uidNode.at, `${nameOf(uid)} is not among those of its type`)
  const attributes = readAttributes(node.members.get('attrs')?.value, type.members, uid, complain)
  const parents = readParents(node.members.get('parents')?.value, type.memberOf, uid, complain)
  return { uid, attributes, parents }
}

function readAttributes(node: JsonNode | undefined, members: Members, uid: EntityRef, complain: Complain): Entity['attributes'] {
  if (node && node.kind !== 'object') {
    complain(node.at, '`attrs` is an object')
    return {}
  }
  const given = [...node?.members ?? []]
  const attributes = Object.fromEntries(given.map(([name, { value }]) => [name, fromCedar(exactOf(value), members.get(name)?.type)]))
  for (const [name, { at }] of given) {
    const mapping = startMapping()
    mapMembers({ [name]: attributes[name]! }, members, '', mapping)
    for (const error of mapping.errors) complain(at, `${nameOf(uid)}: ${error}`)
  }
  if (!KNOWN_TO_WRIT.has(uid.type)) {
    const missing = [...members].find(([name, { required }]) => required && !Object.hasOwn(attributes, name))
    if (missing) complain(node?.at ?? 0, `${nameOf(uid)}: ${missing[0]}: the schema requires it`)
  }
  return attributes
}

/** Cedar's way to write an entity or an extension's value, wherever the schema has one, as a question writes it. */
export function fromCedar(value: ExactValue, type: CedarType | undefined): Known & ExactValue {
  if (typeof value !== 'object' || value === null || !type) return value
  if (Array.isArray(value)) return type.kind === 'Set' ? value.map((one: ExactValue) => fromCedar(one, type.element)) : value
  const record = value as { readonly [name: string]: ExactValue }
  if (type.kind === 'Entity') {
    const ref = record['__entity'] ?? record
    return { entity: ref }
  }
  if (type.kind === 'Extension') return (record['__extn'] as { readonly arg?: ExactValue } | undefined)?.arg ?? value
  if (type.kind !== 'Record') return value
  return Object.fromEntries(Object.entries(record).map(([name, one]) => [name, fromCedar(one, type.members.get(name)?.type)]))
}

function readParents(node: JsonNode | undefined, memberOf: readonly string[], uid: EntityRef, complain: Complain): readonly EntityRef[] {
  if (!node) return []
  if (node.kind !== 'array') {
    complain(node.at, '`parents` is a list')
    return []
  }
  return node.elements.map((one) => {
    const parent = readRef(one)
    if (!parent) return complain(one.at, 'a parent is `{ "type": "Writ::Group", "id": "ops" }`')
    if (!memberOf.includes(parent.type)) return complain(one.at, `a \`${uid.type}\` is in no \`${parent.type}\``)
    if (KINDS.has(uid.type) && parent.type === 'Writ::Class') return complain(one.at, 'an identity\'s class is what it was registered with')
    return parent
  }).filter((parent) => parent !== undefined)
}

function readRef(node: JsonNode): EntityRef | undefined {
  if (node.kind !== 'object') return undefined
  const inner = node.members.get('__entity')?.value
  if (inner) return readRef(inner)
  const [type, id] = ['type', 'id'].map((name) => node.members.get(name)?.value).map((one) => (one?.kind === 'plain' ? one.value : undefined))
  return typeof type === 'string' && typeof id === 'string' && node.members.size === 2 ? { type, id } : undefined
}

/** An entity that is in itself, in however many steps. */
function findCircle(entities: ReadonlyMap<string, Entity>): EntityRef | undefined {
  const done = new Set<string>()
  for (const start of entities.values()) {
    const open: { readonly key: string; readonly leave: boolean }[] = [{ key: keyOf(start.uid), leave: false }]
    const above = new Set<string>()
    for (let step = open.pop(); step; step = open.pop()) {
      if (step.leave) {
        above.delete(step.key)
        done.add(step.key)
        continue
      }
      if (above.has(step.key)) return entities.get(step.key)!.uid
      if (done.has(step.key)) continue
      above.add(step.key)
      open.push({ key: step.key, leave: true })
      for (const parent of entities.get(step.key)?.parents ?? []) open.push({ key: keyOf(parent), leave: false })
    }
  }
  return undefined
}
