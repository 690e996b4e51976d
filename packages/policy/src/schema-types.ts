import type { SchemaJson } from '@cedar-policy/cedar-wasm/nodejs'
import { keyOf } from './entity-key.ts'
import type { EntityRef } from './question.ts'

/** A type of Cedar's with every name resolved. */
export type CedarType =
  | { readonly kind: 'String' | 'Long' | 'Bool' }
  | { readonly kind: 'Set'; readonly element: CedarType }
  | { readonly kind: 'Record'; readonly members: Members }
  | { readonly kind: 'Entity'; readonly type: string }
  /** A value that Cedar makes from a text by this function of its own: `datetime`, `ip`. */
  | { readonly kind: 'Extension'; readonly make: string }
export type Member = { readonly type: CedarType; readonly required: boolean }
export type Members = ReadonlyMap<string, Member>

export type EntityTypeOf = { readonly members: Members; readonly memberOf: readonly string[]; readonly ids: readonly string[] | undefined }
export type ActionOf = {
  readonly uid: EntityRef
  readonly memberOf: readonly EntityRef[]
  /** The keys of the action and of the actions that it is in. */
  readonly groups: ReadonlySet<string>
  readonly principalTypes: ReadonlySet<string>
  readonly resourceTypes: ReadonlySet<string>
  readonly context: Members
}
export type SchemaTypes = { readonly entityTypes: ReadonlyMap<string, EntityTypeOf>; readonly actions: ReadonlyMap<string, ActionOf> }

/** The parts of Cedar's JSON of a schema that are read here, written as loosely as Cedar may write them. */
type TypeJson = {
  readonly type: string
  readonly element?: TypeJson
  readonly name?: string
  readonly attributes?: Readonly<Record<string, TypeJson>>
  readonly required?: boolean
}

const EXTENSIONS: ReadonlyMap<string, string> = new Map([
  ['ipaddr', 'ip'], ['decimal', 'decimal'], ['datetime', 'datetime'], ['duration', 'duration'],
])
const NO_MEMBERS: Members = new Map()

const qualified = (namespace: string, name: string): string => (namespace === '' ? name : `${namespace}::${name}`)

/** Reads the answer of `schemaToJsonWithResolvedTypes`. */
export function readTypes(json: SchemaJson<string>): SchemaTypes {
  const spaces = Object.entries(json)
  const named = new Map(spaces.flatMap(([namespace, { commonTypes = {} }]) =>
    Object.entries(commonTypes).map(([name, type]) => [qualified(namespace, name), type as unknown as TypeJson] as const)))
  const resolve = (type: TypeJson): CedarType => resolveType(type, named)
  const entityTypes = new Map(spaces.flatMap(([namespace, space]) => Object.entries(space.entityTypes).map(([name, type]) => {
    const shape = 'shape' in type ? type.shape : undefined
    return [qualified(namespace, name), {
      members: shape === undefined ? NO_MEMBERS : membersOf(resolve(shape as unknown as TypeJson)),
      memberOf: 'memberOfTypes' in type ? type.memberOfTypes ?? [] : [],
      ids: 'enum' in type ? type.enum : undefined,
    }] as const
  })))
  const actions = spaces.flatMap(([namespace, space]) => Object.entries(space.actions).map(([id, action]) => ({
    uid: { type: qualified(namespace, 'Action'), id },
    memberOf: (action.memberOf ?? []).map((one) => ({ type: one.type ?? qualified(namespace, 'Action'), id: one.id })),
    principalTypes: new Set(action.appliesTo?.principalTypes),
    resourceTypes: new Set(action.appliesTo?.resourceTypes),
    context: action.appliesTo?.context === undefined ? NO_MEMBERS : membersOf(resolve(action.appliesTo.context as unknown as TypeJson)),
  })))
  const parents = new Map(actions.map((action) => [keyOf(action.uid), action.memberOf]))
  return {
    entityTypes,
    actions: new Map(actions.map((action) => [keyOf(action.uid), { ...action, groups: groupsOf(action.uid, parents) }])),
  }
}

/** An action, and through whatever number of steps the actions that it is in. Cedar has refused circles. */
function groupsOf(uid: EntityRef, parents: ReadonlyMap<string, readonly EntityRef[]>): ReadonlySet<string> {
  const key = keyOf(uid)
  return new Set([key, ...(parents.get(key) ?? []).flatMap((one) => [...groupsOf(one, parents)])])
}

function resolveType(json: TypeJson, named: ReadonlyMap<string, TypeJson>): CedarType {
  if (json.type === 'Set') return { kind: 'Set', element: resolveType(json.element!, named) }
  if (json.type === 'Record') {
    const members = Object.entries(json.attributes ?? {})
      .map(([name, one]) => [name, { type: resolveType(one, named), required: one.required !== false }] as const)
    return { kind: 'Record', members: new Map(members) }
  }
  if (json.type === 'Entity') return { kind: 'Entity', type: json.name! }
  const given = json.type === 'EntityOrCommon' || json.type === 'Extension' ? json.name! : json.type
  const common = named.get(given)
  if (common !== undefined) return resolveType(common, named)
  const name = given.replace(/^__cedar::/, '')
  if (name === 'String' || name === 'Long') return { kind: name }
  if (name === 'Bool' || name === 'Boolean') return { kind: 'Bool' }
  const make = EXTENSIONS.get(name)
  return make === undefined ? { kind: 'Entity', type: given } : { kind: 'Extension', make }
}

const membersOf = (type: CedarType): Members => (type.kind === 'Record' ? type.members : NO_MEMBERS)
