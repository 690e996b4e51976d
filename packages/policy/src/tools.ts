import { EFFECTS, type Effect } from '@writ/domain/decision'
import type { ExactRecord } from '@writ/domain/exact'
import { nearestOf } from '@writ/domain/nearest'
import { inputTypeOf } from './input-type.ts'
import { complainAt, exactOf, type JsonFile, type JsonNode } from './json-text.ts'
import type { Complaint } from './complaint.ts'
import type { Entity } from './question.ts'

/** A tool of a server as the operator pinned it in `tools.json`. */
export type Tool = {
  readonly server: string
  readonly name: string
  /** `server/name`: the id of the entity `Writ::Tool` and of the generated action. */
  readonly id: string
  readonly effect: Effect
  readonly reversible: boolean
  readonly labels: readonly string[]
  readonly trust?: string
  /** The definition that was accepted, by its hash; a tool without one is called by nobody through an MCP server. */
  readonly pin?: string
  /** Those of its arguments, by name, whose values stand in the record; of all others no value ever does. */
  readonly public: readonly string[]
  /** The JSON Schema of its arguments. */
  readonly input: ExactRecord
  /** The type of `context.arguments`, in Cedar's language. */
  readonly argumentsType: string
}

const SERVER = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/
const NAME = /^[^\p{Cc}\s"\\]{1,200}$/u
/** SHA-256 in base64url (RFC 4648 §5), without padding. */
const PIN = /^sha256:[A-Za-z0-9_-]{43}$/
const KNOWN = ['server', 'name', 'effect', 'reversible', 'labels', 'trust', 'pin', 'public', 'input', 'description']
/** So that what stands in the record of a call is small. */
const MOST_PUBLIC = 16
const LONGEST_PUBLIC = 200
/** A tool that says nothing of its arguments takes none. */
const NO_INPUT: JsonNode = { kind: 'object', at: 0, members: new Map([['type', { at: 0, value: { kind: 'plain', at: 0, value: 'object' } }]]) }

/** Reads `tools.json`: a list of tools. */
export function readTools(file: JsonFile): { readonly tools: readonly Tool[]; readonly complaints: readonly Complaint[] } {
  if (file.root.kind !== 'array') return { tools: [], complaints: [complainAt(file, file.root.at, 'a list of tools is expected')] }
  const tools = new Map<string, Tool>()
  const complaints: Complaint[] = []
  for (const node of file.root.elements) {
    const flaws: Complaint[] = []
    const tool = readTool(node, (at, message, hint) => void flaws.push(complainAt(file, at, message, hint)))
    if (tool && flaws.length === 0 && tools.has(tool.id)) flaws.push(complainAt(file, node.at, `the tool \`${tool.id}\` stands here twice`))
    if (tool && flaws.length === 0) tools.set(tool.id, tool)
    complaints.push(...flaws)
  }
  return { tools: [...tools.values()], complaints }
}

/** Answers undefined, so that a reader can end with it. */
type Complain = (at: number, message: string, hint?: string) => undefined

function readTool(node: JsonNode, complain: Complain): Tool | undefined {
  if (node.kind !== 'object') return complain(node.at, 'a tool is an object')
  for (const [name, { at }] of node.members) {
    if (!KNOWN.includes(name)) complain(at, `a tool has no \`${name}\``, `it has ${KNOWN.map((one) => `\`${one}\``).join(', ')}`)
  }
  const get = (name: string): JsonNode | undefined => node.members.get(name)?.value
  const text = (name: string): string | undefined => textOf(get(name))
  const server = text('server')
  if (server === undefined || !SERVER.test(server)) {
    complain(get('server')?.at ?? node.at, 'a tool names its `server`: letters, digits, `_`, `.` and `-`')
  }
  const name = text('name')
  if (name === undefined || !NAME.test(name)) complain(get('name')?.at ?? node.at, 'a tool has a `name` without blanks and quotation marks')
  const effect = EFFECTS.find((one) => one === text('effect'))
  if (!effect) complain(get('effect')?.at ?? node.at, 'a tool says its `effect`', 'one of `read`, `write`, `external`')
  const reversible = get('reversible')
  if (reversible && !(reversible.kind === 'plain' && typeof reversible.value === 'boolean')) complain(reversible.at, '`reversible` is true or false')
  const labels = get('labels')
  const labelTexts = labels?.kind === 'array' ? labels.elements.map(textOf) : labels ? [undefined] : []
  if (labelTexts.includes(undefined)) complain(labels!.at, '`labels` is a list of texts')
  const trust = get('trust')
  if (trust && text('trust') === undefined) complain(trust.at, '`trust` is a text')
  const pin = get('pin')
  if (pin && !PIN.test(text('pin') ?? '')) complain(pin.at, '`pin` is `sha256:` and 43 characters of base64url', 'writ mcp pin SERVER TOOL')
  const input = get('input') ?? NO_INPUT
  const type = inputTypeOf(input)
  if (type.kind === 'no_type') complain(type.at, `the arguments of \`${server}/${name}\` have no type in Cedar: ${type.because}`)
  else if (!type.text.startsWith('{')) complain(input.at, `the arguments of \`${server}/${name}\` are no object`)
  const exact = exactOf(input)
  return {
    server: server!, name: name!, id: `${server}/${name}`, effect: effect!, labels: labelTexts as readonly string[],
    reversible: reversible?.kind === 'plain' && reversible.value === true,
    ...(trust ? { trust: text('trust')! } : {}),
    ...(pin ? { pin: text('pin')! } : {}),
    public: readPublic(get('public'), input, complain),
    input: exact as ExactRecord, argumentsType: type.kind === 'type' ? type.text : '{}',
  }
}

function readPublic(node: JsonNode | undefined, input: JsonNode, complain: Complain): readonly string[] {
  if (node === undefined) return []
  const names = node.kind === 'array' ? node.elements.map(textOf) : [undefined]
  const isList = names.length <= MOST_PUBLIC && new Set(names).size === names.length && names.every((name) => name !== undefined && name.length <= LONGEST_PUBLIC)
  if (!isList) {
    complain(node.at, `\`public\` is a list of at most ${MOST_PUBLIC} names of arguments, each once`)
    return []
  }
  const properties = input.kind === 'object' ? input.members.get('properties')?.value : undefined
  const known = properties?.kind === 'object' ? [...properties.members.keys()] : []
  for (const [i, name] of (names as readonly string[]).entries()) {
    if (known.includes(name)) continue
    const near = nearestOf(name, known)
    complain(node.kind === 'array' ? node.elements[i]!.at : node.at, `the tool has no argument \`${name}\``, near === undefined ? undefined : `did you mean \`${near}\`?`)
  }
  return names as readonly string[]
}

const textOf = (node: JsonNode | undefined): string | undefined => (node?.kind === 'plain' && typeof node.value === 'string' ? node.value : undefined)

/** What policies see of the tool as a resource. */
export const toolEntity = ({ id, server, effect, reversible, labels, trust }: Tool): Entity => ({
  uid: { type: 'Writ::Tool', id },
  attributes: { effect, reversible, labels, ...(trust === undefined ? {} : { trust }) },
  parents: [{ type: 'Writ::Server', id: server }],
})
