import { quote } from './code-text.ts'
import { exactOf, type JsonNode } from './json-text.ts'

/** The type of Cedar's that takes exactly what a JSON Schema lets through, or where none does. */
export type InputType = { readonly kind: 'type'; readonly text: string } | { readonly kind: 'no_type'; readonly at: number; readonly because: string }

const PLAIN: ReadonlyMap<string, string> = new Map([['string', 'String'], ['integer', 'Long'], ['number', 'Long'], ['boolean', 'Bool']])
const MOST_STEPS = 32

/**
 * JSON Schema 2020-12: every keyword only narrows, so that those which say nothing of the type may be passed over: what a policy is shown is
 * checked against the type again, and what does not fit is a denial. A number that is no integer and a null are among that.
 */
export const inputTypeOf = (root: JsonNode): InputType => typeOf(root, root, 0)

const noType = (node: JsonNode, because: string): InputType => ({ kind: 'no_type', at: node.at, because })
const typed = (text: string): InputType => ({ kind: 'type', text })

function typeOf(node: JsonNode, root: JsonNode, steps: number): InputType {
  if (steps > MOST_STEPS) return noType(node, 'it contains itself')
  if (node.kind !== 'object') return noType(node, 'it lets everything or nothing through')
  const get = (name: string): JsonNode | undefined => node.members.get(name)?.value
  const ref = get('$ref')
  if (ref) {
    const target = ref.kind === 'plain' && typeof ref.value === 'string' ? followPointer(ref.value, root) : undefined
    return target ? typeOf(target, root, steps + 1) : noType(ref, '`$ref` leads out of it')
  }
  const type = get('type')
  const names = type === undefined ? [] : namesOf(type).filter((one) => one !== 'null')
  if (new Set(names.map((one) => PLAIN.get(one) ?? one)).size > 1) return noType(type!, 'it lets several types through')
  const [name] = names
  if (name === 'object') return recordType(node, root, steps)
  if (name === 'array') return setType(node, root, steps)
  if (name !== undefined) return PLAIN.has(name) ? typed(PLAIN.get(name)!) : noType(type!, `\`${name}\` is no type`)
  const several = get('anyOf') ?? get('oneOf')
  if (several?.kind === 'array') return oneTypeOf(several, several.elements.filter((one) => !isNull(one)).map((one) => typeOf(one, root, steps + 1)))
  const values = get('enum') ?? get('const')
  if (values) return oneTypeOf(values, (values.kind === 'array' ? values.elements : [values]).map(valueType))
  return get('properties') ? recordType(node, root, steps) : noType(node, 'it does not say its type')
}

function recordType(node: JsonNode & { readonly kind: 'object' }, root: JsonNode, steps: number): InputType {
  const properties = node.members.get('properties')?.value
  const open = node.members.get('additionalProperties')?.value
  if (open?.kind === 'object' || node.members.has('patternProperties')) return noType(node, 'it does not name its members')
  const members = properties?.kind === 'object' ? properties.members : new Map<string, { readonly at: number; readonly value: JsonNode }>()
  const required = node.members.get('required')?.value
  const needed = required ? namesOf(required) : []
  const unknown = needed.find((name) => !members.has(name))
  if (unknown !== undefined) return noType(required!, `\`${unknown}\` is required and not among its properties`)
  const texts: string[] = []
  for (const [name, member] of members) {
    if (name.startsWith('__')) return { kind: 'no_type', at: member.at, because: `\`${name}\` is Cedar's own` }
    const type = typeOf(member.value, root, steps + 1)
    if (type.kind === 'no_type') return { ...type, because: `\`${name}\`: ${type.because}` }
    texts.push(`${quote(name)}${needed.includes(name) ? '' : '?'}: ${type.text}`)
  }
  return typed(`{ ${texts.join(', ')} }`)
}

function setType(node: JsonNode & { readonly kind: 'object' }, root: JsonNode, steps: number): InputType {
  const items = node.members.get('items')?.value
  if (!items || node.members.has('prefixItems')) return noType(node, 'it does not say what every one of its items is')
  const type = typeOf(items, root, steps + 1)
  return type.kind === 'no_type' ? type : typed(`Set<${type.text}>`)
}

function oneTypeOf(node: JsonNode, found: readonly InputType[]): InputType {
  const [first] = found
  if (!first) return noType(node, 'it does not say its type')
  const isOne = found.every((one) => one.kind === 'type' && first.kind === 'type' && one.text === first.text)
  return found.find((one) => one.kind === 'no_type') ?? (isOne ? first : noType(node, 'it lets several types through'))
}

function valueType(node: JsonNode): InputType {
  const value = exactOf(node)
  const name = typeof value === 'string' ? 'String' : typeof value === 'bigint' ? 'Long' : typeof value === 'boolean' ? 'Bool' : undefined
  return name === undefined ? noType(node, 'one of its values has no type in Cedar') : typed(name)
}

function isNull(node: JsonNode): boolean {
  const type = node.kind === 'object' ? node.members.get('type')?.value : undefined
  return type?.kind === 'plain' && type.value === 'null'
}

const namesOf = (node: JsonNode): readonly string[] =>
  (node.kind === 'array' ? node.elements : [node]).map((one) => (one.kind === 'plain' && typeof one.value === 'string' ? one.value : ''))

/** RFC 6901, for a pointer in the fragment of the same schema. */
function followPointer(ref: string, root: JsonNode): JsonNode | undefined {
  if (!ref.startsWith('#')) return undefined
  return ref.slice(1).split('/').slice(1).map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce<JsonNode | undefined>((node, step) => (node?.kind === 'object' ? node.members.get(step)?.value : undefined), root)
}
