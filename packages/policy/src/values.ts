import { InexactNumber, rawNumber, type ExactRecord, type ExactValue } from '@writ/domain/exact'
import type { CedarValueJson } from '@cedar-policy/cedar-wasm/nodejs'
import type { EntityRef } from './question.ts'
import type { CedarType, Members } from './schema-types.ts'

/** As Cedar's JSON, with 64-bit integers in it that no JavaScript number holds: fit for JSON.stringify, which keeps them. */
export type CedarValue = CedarValueJson
export type CedarMembers = { readonly [name: string]: CedarValue }
export type Known = ExactValue | { readonly entity: EntityRef }

/** What a mapping found on its way: why the whole can't be evaluated, and which entities it refers to. */
export type Mapping = { readonly errors: string[]; readonly refs: EntityRef[]; valuesLeft: number; charactersLeft: number }

/** How many values one question may hold: what is mapped in the 10 ms that a decision may take. */
const MOST_VALUES = 5_000
const MOST_CHARACTERS = 1_000_000
const MOST_ERRORS = 10

export const startMapping = (): Mapping => ({ errors: [], refs: [], valuesLeft: MOST_VALUES, charactersLeft: MOST_CHARACTERS })

const LONG = 2n ** 63n
const SAFE = BigInt(Number.MAX_SAFE_INTEGER)
/** Cedar reads a record with such a name as something else than a record. */
const CEDARS_OWN = '__'

/** The members that the schema names, each mapped exactly; what can't be is an error, and never left out. */
export function mapMembers(record: { readonly [name: string]: Known }, members: Members, path: string, mapping: Mapping): CedarMembers {
  const found: Record<string, CedarValue> = {}
  for (const name of Object.keys(record)) {
    const member = name.startsWith(CEDARS_OWN) ? undefined : members.get(name)
    if (member) found[name] = mapValue(record[name]!, member.type, pathTo(path, name), mapping)
    else flaw(mapping, pathTo(path, name), name.startsWith(CEDARS_OWN) ? 'the name is Cedar\'s own' : 'the schema does not know it')
    if (mapping.errors.length >= MOST_ERRORS) return found
  }
  return found
}

/** As mapMembers, and a member that the schema requires is there. */
export function mapRecord(record: { readonly [name: string]: Known }, members: Members, path: string, mapping: Mapping): CedarMembers {
  for (const [name, { required }] of members) {
    if (required && !Object.hasOwn(record, name)) flaw(mapping, pathTo(path, name), 'the schema requires it')
  }
  return mapMembers(record, members, path, mapping)
}

export function mapValue(value: Known, type: CedarType, path: string, mapping: Mapping): CedarValue {
  mapping.valuesLeft -= 1
  if (mapping.valuesLeft < 0) return flaw(mapping, path, `the question has more than ${MOST_VALUES} values`)
  switch (type.kind) {
    case 'String': return mapText(value, path, mapping)
    case 'Bool': return typeof value === 'boolean' ? value : flaw(mapping, path, `${shown(value)} is neither true nor false`)
    case 'Long':
      return typeof value === 'bigint' && value >= -LONG && value < LONG ? longOf(value) : flaw(mapping, path, `${shown(value)} is no 64-bit integer`)
    case 'Extension':
      return typeof value === 'string' ? { __extn: { fn: type.make, arg: value } } : flaw(mapping, path, `${shown(value)} is no ${type.make}`)
    case 'Entity': return mapRef(value, type.type, path, mapping)
    case 'Set': return isList(value) ? mapSet(value, type.element, path, mapping) : flaw(mapping, path, `${shown(value)} is no list`)
    case 'Record':
      return isRecord(value) ? mapRecord(value, type.members, path, mapping) : flaw(mapping, path, `${shown(value)} is no object`)
  }
}

function mapText(value: Known, path: string, mapping: Mapping): CedarValue {
  if (typeof value !== 'string' || !value.isWellFormed()) return flaw(mapping, path, `${shown(value)} is no text`)
  mapping.charactersLeft -= value.length
  return mapping.charactersLeft < 0 ? flaw(mapping, path, `the question has more than ${MOST_CHARACTERS} characters`) : value
}

function mapSet(list: readonly ExactValue[], element: CedarType, path: string, mapping: Mapping): CedarValue[] {
  const found: CedarValue[] = []
  for (const [i, one] of list.entries()) {
    found.push(mapValue(one, element, `${path}[${i}]`, mapping))
    if (mapping.errors.length >= MOST_ERRORS) break
  }
  return found
}

function mapRef(value: Known, type: string, path: string, mapping: Mapping): CedarValue {
  const ref = isRecord(value) && Object.keys(value).length === 1 ? value['entity'] : undefined
  if (!isRef(ref) || ref.type !== type) return flaw(mapping, path, `${shown(value)} is no \`${type}\``)
  mapping.refs.push({ type: ref.type, id: ref.id })
  return { __entity: { type: ref.type, id: ref.id } }
}

function isRef(value: unknown): value is EntityRef {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
    && 'id' in value && typeof value.id === 'string'
}

const isList = (value: Known): value is readonly ExactValue[] => Array.isArray(value)
const isRecord = (value: Known): value is ExactRecord =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof InexactNumber)

const longOf = (value: bigint): CedarValue =>
  (value <= SAFE && value >= -SAFE ? Number(value) : rawNumber(value.toString()) as number)

/** The value of an error, where one is needed: the question is denied, and nobody reads it. */
function flaw(mapping: Mapping, path: string, because: string): CedarValue {
  if (mapping.errors.length < MOST_ERRORS) mapping.errors.push(`${path}: ${because}`)
  return null
}

const PLAIN_NAME = /^[A-Za-z_]\w{0,63}$/
const MOST_SHOWN = 60

const pathTo = (path: string, name: string): string =>
  (!PLAIN_NAME.test(name) ? `${path}[${shown(name)}]` : path === '' ? name : `${path}.${name}`)

/** A value as an error says it: short, and without what a terminal would obey. */
function shown(value: Known): string {
  if (value === null) return 'null'
  if (value instanceof InexactNumber) return cut(value.text)
  if (typeof value === 'bigint') return cut(value.toString())
  if (typeof value === 'string') return cut(JSON.stringify(value).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?'))
  if (typeof value === 'boolean') return String(value)
  return Array.isArray(value) ? 'a list' : 'an object'
}

const cut = (text: string): string => (text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN).toWellFormed()}...` : text)
