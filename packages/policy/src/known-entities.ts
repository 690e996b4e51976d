import type { EntityJson } from '@cedar-policy/cedar-wasm/nodejs'
import { keyOf } from './entity-key.ts'
import type { Sight } from './expression.ts'
import type { Entity, EntityRef } from './question.ts'
import type { Members, SchemaTypes } from './schema-types.ts'
import { KIND_TYPES } from './schema.ts'
import { mapMembers, startMapping, type CedarMembers, type Mapping } from './values.ts'

/** An entity as Cedar takes it, and the entities that its attributes refer to. */
type Content = {
  readonly uid: EntityRef
  readonly attributes: CedarMembers
  readonly parents: readonly EntityRef[]
  readonly refs: readonly EntityRef[]
  /** Whether it has everything that the schema requires of it. */
  readonly isWhole: boolean
}

/** The one who asks, or the resource: what the question says of it and what the bundle does, together. */
export type Met = { readonly content: Content; /** The keys of itself and of all that it is in. */ readonly groups: ReadonlySet<string> }

export type KnownEntities = {
  get(ref: EntityRef): Entity | undefined
  /** Whether there is anything to say of it, be it an action. */
  isKnown(ref: EntityRef): boolean
  ofType(type: string): readonly Entity[]
  meet(entity: Entity, path: string, mapping: Mapping): Met
  /** Those that policies can see which follow this many references, or why that can't be told. */
  reach(met: readonly Met[], refs: readonly EntityRef[], sight: Reach): EntityJson[] | string
}

/** How far policies can see, and what of it. */
type Reach = Omit<Sight, 'context' | 'tellsApart'>

const NO_MEMBERS: Members = new Map()
const KINDS: ReadonlySet<string> = new Set(KIND_TYPES.map((kind) => `Writ::${kind}`))
/** Each costs Cedar about 10 µs. */
const MOST_REACHED = 500

export function openEntities(entities: readonly Entity[], types: SchemaTypes): KnownEntities {
  const known = new Map(entities.map((entity) => [keyOf(entity.uid), entity]))
  const contents = new Map(entities.map((entity) => [keyOf(entity.uid), contentOf(entity, types)]))
  for (const { uid, memberOf } of types.actions.values()) {
    if (memberOf.length > 0) contents.set(keyOf(uid), { uid, attributes: {}, parents: memberOf, refs: [], isWhole: true })
  }
  const byType = Map.groupBy(entities, ({ uid }) => uid.type)

  const groupsFrom = (key: string, parents: readonly EntityRef[], own?: ReadonlyMap<string, Content>): ReadonlySet<string> => {
    const found = new Set([key])
    const open = [...parents]
    for (let ref = open.pop(); ref; ref = open.pop()) {
      const parent = keyOf(ref)
      if (found.has(parent)) continue
      found.add(parent)
      open.push(...(own?.get(parent) ?? contents.get(parent))?.parents ?? [])
    }
    return found
  }

  const meet = (entity: Entity, path: string, mapping: Mapping): Met => {
    const key = keyOf(entity.uid)
    const stored = contents.get(key)
    const before = mapping.refs.length
    const type = types.entityTypes.get(entity.uid.type)
    const own = mapMembers(entity.attributes, type?.members ?? NO_MEMBERS, path, mapping)
    // What Writ knows of its own things is newer than the bundle; of the operator's things the caller knows less than the bundle.
    const attributes = entity.uid.type.startsWith('Writ::') ? { ...stored?.attributes, ...own } : { ...own, ...stored?.attributes }
    const parents = [...entity.parents, ...stored?.parents ?? [], ...classOf(entity)]
    const refs = [...mapping.refs.slice(before), ...stored?.refs ?? []]
    const content = { uid: entity.uid, attributes, parents, refs, isWhole: true }
    const missing = isTold(content) ? missingOf(attributes, type?.members ?? NO_MEMBERS) : undefined
    if (missing !== undefined) mapping.errors.push(`${path}.${missing}: the schema requires it`)
    const stranger = [entity.uid, ...parents].find(({ type: name, id }) => types.entityTypes.get(name)?.ids?.includes(id) === false)
    if (stranger) mapping.errors.push(`${path}: no \`${stranger.type}\` has that id`)
    const above = entity.parents.find((parent) => !type?.memberOf.includes(parent.type))
    if (above) mapping.errors.push(`${path}: it is in what its type is never in`)
    return { content, groups: groupsFrom(key, parents) }
  }

  /** Only what the policies can see, for all of it costs its way to Cedar, which takes an entity without anything as it does none. */
  const jsonOf = ({ uid, attributes, parents }: Content, { attributes: seen, groups }: Reach, own: ReadonlyMap<string, Content>): EntityJson[] => {
    const attrs = Object.fromEntries(Object.entries(attributes).filter(([name]) => seen.has(name)))
    const asked = groups === 'all' ? parents : groups.size === 0 ? [] : parents.filter((ref) => !groupsFrom(keyOf(uid), [ref], own).isDisjointFrom(groups))
    const above = new Map(asked.map((ref) => [keyOf(ref), ref]))
    return Object.keys(attrs).length === 0 && above.size === 0 ? [] : [{ uid, attrs, parents: [...above.values()] }]
  }

  return {
    get: (ref) => known.get(keyOf(ref)),
    isKnown: (ref) => contents.has(keyOf(ref)),
    ofType: (type) => byType.get(type) ?? [],
    meet,
    reach: (met, refs, sight) => {
      const { hops, named, attributes, groups } = sight
      if (attributes.size === 0 && groups !== 'all' && groups.size === 0) return []
      const own = new Map(met.filter(({ content }) => isTold(content)).map(({ content }) => [keyOf(content.uid), content]))
      const found = new Map<string, Content>()
      /** How far the references of each have been followed; a parent's need not be, for no expression gets to it that way. */
      const followed = new Map<string, number>()
      let isPartial = false
      const visit = (ref: EntityRef, left: number): void => {
        const key = keyOf(ref)
        if ((followed.get(key) ?? -1) >= left || found.size > MOST_REACHED) return
        const content = own.get(key) ?? contents.get(key)
        if (!content) return
        followed.set(key, left)
        found.set(key, content)
        for (const parent of content.parents) visit(parent, 0)
        if (left > 0) for (const one of content.refs) visit(one, left - 1)
        isPartial ||= !content.isWhole
      }
      for (const { content } of met) visit(content.uid, hops)
      for (const ref of [...refs, ...named]) visit(ref, hops)
      if (isPartial) return 'the policies reach an entity of which not all is told'
      return found.size > MOST_REACHED ? 'the policies reach more entities than one decision may take' :
        [...found.values()].flatMap((content) => jsonOf(content, sight, own))
    },
  }
}

const missingOf = (attributes: CedarMembers, members: Members): string | undefined =>
  [...members].find(([name, { required }]) => required && !Object.hasOwn(attributes, name))?.[0]

/** Of a thing of the operator's that nobody describes policies may still speak by its name; of Writ's own things all is told, or it is an error. */
const isTold = ({ uid, attributes, parents }: Content): boolean =>
  uid.type.startsWith('Writ::') || parents.length > 0 || Object.keys(attributes).length > 0

/** An identity is in its class by the attribute: nobody has to say it twice. */
function classOf({ uid, attributes }: Entity): readonly EntityRef[] {
  const name = attributes['class']
  return KINDS.has(uid.type) && typeof name === 'string' ? [{ type: 'Writ::Class', id: name }] : []
}

function contentOf({ uid, attributes, parents }: Entity, types: SchemaTypes): Content {
  const mapping = startMapping()
  const members = types.entityTypes.get(uid.type)?.members ?? NO_MEMBERS
  const mapped = mapMembers(attributes, members, `${uid.type}::${uid.id}`, mapping)
  if (mapping.errors.length > 0) throw new Error(`a checked entity does not fit its schema: ${mapping.errors.join(', ')}`)
  return { uid, attributes: mapped, parents, refs: mapping.refs, isWhole: missingOf(mapped, members) === undefined }
}
