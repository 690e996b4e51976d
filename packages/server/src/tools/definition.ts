import { hash } from 'node:crypto'
import { parseExactJson } from '@writ/contract/strict-json'
import { exactText, InexactNumber, type ExactRecord, type ExactValue } from '@writ/domain/exact'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { HiddenText } from '../store/mcp-servers.ts'
import { membersOf } from '../upstreams/members.ts'
import { findHiddenText, hiddenIn } from './hidden-text.ts'

/** A tool as its server defines it: everything that the server says of it. */
export type ToolDefinition = {
  readonly name: string
  /** What a tool is pinned by: `sha256:` and the digest of `text`. */
  readonly hash: string
  /** The whole definition in canonical form. */
  readonly text: string
  readonly value: ExactRecord
  readonly flags: readonly HiddenText[]
}

/** Why one entry of a list is no tool that anybody could be allowed. */
export type LeftOutReason = 'malformed' | 'too_large' | 'bad_name' | 'named_twice' | 'name_reserved' | 'too_many'
export type LeftOut = { readonly because: LeftOutReason; readonly count: number }

/** An entry that says which tool it means, and can not be read: a member twice, a name that reaches a prototype, too long. `hash`: of its text. */
export type Unreadable = { readonly name: string; readonly because: LeftOutReason; readonly hash: string }

/** What is read of a server's list. */
export type ReadList = { readonly tools: readonly ToolDefinition[]; readonly leftOut: readonly LeftOut[]; readonly unreadable: readonly Unreadable[] }

/** In UTF-16 code units. */
const MOST_DEFINITION = 262_144
const MOST_TOOLS = 1000
/** Of all definitions together. */
const MOST_LIST = 4_194_304
const MOST_UNREADABLE = 20
const MOST_DEPTH = 128
/** As policies take it: see `tools.json`. */
const NAME = /^[^\p{Cc}\s"\\]{1,200}$/u

export const isRecord = (value: ExactValue | undefined): value is ExactRecord =>
  typeof value === 'object' && value !== null && !(value instanceof InexactNumber) && !isList(value)

const isList = (value: readonly ExactValue[] | ExactRecord): value is readonly ExactValue[] => Array.isArray(value)

export function readDefinition(text: string): Outcome<ToolDefinition, LeftOutReason> {
  if (text.length > MOST_DEFINITION) return refuse('too_large')
  const read = parseExactJson(text)
  if (!read.ok || !isRecord(read.value)) return refuse('malformed')
  const { name } = read.value
  if (typeof name !== 'string' || !NAME.test(name)) return refuse('bad_name')
  return ok(definitionOf(name, read.value))
}

function definitionOf(name: string, value: ExactRecord): ToolDefinition {
  const text = canonicalText(value)
  return { name, hash: pinOf(text), text, value, flags: findHiddenText(value) }
}

/** `sha256:` and 43 characters of base64url (RFC 4648 §5). */
export const pinOf = (canonical: string): string => `sha256:${hash('sha256', canonical, 'base64url')}`

/**
 * RFC 8785; a number that an IEEE 754 double would change, for which RFC 8785 has no form, stays as it was sent, so that no two definitions
 * that differ have one hash.
 */
export function canonicalText(value: ExactValue): string {
  if (typeof value === 'bigint' || value instanceof InexactNumber) return numberText(exactText(value))
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (isList(value)) return `[${value.map(canonicalText).join(',')}]`
  // RFC 8785 §3.2.3: sorted by UTF-16 code units, which is how ECMAScript sorts strings.
  return `{${Object.keys(value).toSorted().map((name) => `${JSON.stringify(name)}:${canonicalText(value[name]!)}`).join(',')}}`
}

/** Of so many digits, without an exponent, a double holds every one. */
const HELD_DIGITS = 15

function numberText(sent: string): string {
  const printed = JSON.stringify(Number(sent))
  return (sent.length <= HELD_DIGITS && !/e/i.test(sent)) || digitsOf(printed) === digitsOf(sent) ? printed : sent
}

/** Those that count: without sign, point, exponent, and the zeros at either end. */
const digitsOf = (number: string): string => number.replace(/e.*$/i, '').replaceAll(/[-.]/g, '').replaceAll(/^0+|0+$/g, '')

/** A server's list as it was heard, and what stands in it for its other abilities. Of two tools of one name neither is one. */
export function readList(definitions: readonly string[], capabilities: readonly string[]): ReadList {
  const tools = new Map<string, ToolDefinition>()
  const leftOut = new Map<LeftOutReason, number>()
  const leave = (because: LeftOutReason, count = 1): void => void leftOut.set(because, (leftOut.get(because) ?? 0) + count)
  const twice = new Set<string>()
  const unreadable = new Map<string, Unreadable>()
  let length = 0
  for (const [i, text] of definitions.entries()) {
    length += text.length
    const read = i >= MOST_TOOLS || length > MOST_LIST ? refuse('too_many' as const) : readDefinition(text)
    if (!read.ok) {
      leave(read.refusal)
      const named = read.refusal === 'malformed' || read.refusal === 'too_large' ? nameIn(text) : undefined
      if (named !== undefined && unreadable.size < MOST_UNREADABLE) unreadable.set(named, { name: named, because: read.refusal, hash: pinOf(text) })
    } else if (PSEUDO_NAMES.has(read.value.name)) leave('name_reserved')
    else if (tools.has(read.value.name)) twice.add(read.value.name)
    else tools.set(read.value.name, read.value)
  }
  for (const name of twice) tools.delete(name)
  if (twice.size > 0) leave('named_twice', twice.size)
  const pseudo = PSEUDO_TOOLS.filter((one) => capabilities.includes(one.capability)).map(({ definition }) => definition)
  return { tools: [...tools.values(), ...pseudo], leftOut: [...leftOut].map(([because, count]) => ({ because, count })), unreadable: [...unreadable.values()] }
}

/** The name in a definition that can not be read, where it can be shown to people as it is. */
function nameIn(text: string): string | undefined {
  const found = membersOf(text, { depth: MOST_DEPTH })
  const member = found.ok ? found.value.find(({ name }) => name === 'name') : undefined
  const name = member === undefined || text[member.value] !== '"' ? '' : JSON.parse(text.slice(member.value, member.to)) as string
  return NAME.test(name) && name.isWellFormed() && hiddenIn(name).length === 0 ? name : undefined
}

/** Of a server's other abilities, those that stand beside its tools: each is granted, decided and pinned as a tool is. */
export type PseudoTool = { readonly capability: 'resources' | 'prompts' | 'completions'; readonly definition: ToolDefinition }

const text = (description: string): ExactRecord => ({ type: 'string', description })
const input = (properties: ExactRecord, required: readonly string[]): ExactRecord => ({ type: 'object', properties, required, additionalProperties: false })

/** An object whose names nobody knows before. */
const PAIRS: ExactRecord = { type: 'array', items: input({ name: text('Of the argument.'), value: text('Of the argument.') }, ['name', 'value']) }

function pseudo(capability: PseudoTool['capability'], name: string, description: string, inputSchema: ExactRecord): PseudoTool {
  return { capability, definition: definitionOf(name, { name, description, inputSchema, annotations: { readOnlyHint: true } }) }
}

/** INVARIANT: what stands here is pinned by hash in people's policies: to change a word is to ask all of them again. */
export const PSEUDO_TOOLS: readonly PseudoTool[] = [
  pseudo('resources', 'resources/read', 'Read a resource of the server, or subscribe to it.', input({ uri: text('Which resource.') }, ['uri'])),
  pseudo('prompts', 'prompts/get', 'Get a prompt of the server.', input({ name: text('Which prompt.'), arguments: PAIRS }, ['name'])),
  pseudo('completions', 'completion/complete', 'Complete an argument of a prompt or of a resource template.', input({
    ref: text('The prompt by its name, or the resource template by its URI.'), argument: text('Which argument.'), value: text('What was typed so far.'),
    context: { ...PAIRS, description: 'What was chosen for other arguments.' },
  }, ['ref', 'argument', 'value'])),
]

const PSEUDO_NAMES: ReadonlySet<string> = new Set(PSEUDO_TOOLS.map(({ definition }) => definition.name))
