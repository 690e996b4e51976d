import { InexactNumber, type ExactRecord, type ExactValue } from '@writ/domain/exact'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { Complaint } from './complaint.ts'
import { placeAt } from './place.ts'

/** A JSON value that has lost nothing, and where it stands: `at` counts UTF-16 code units from the start of the text. */
export type JsonNode =
  | { readonly kind: 'object'; readonly at: number; readonly members: ReadonlyMap<string, JsonMember> }
  | { readonly kind: 'array'; readonly at: number; readonly elements: readonly JsonNode[] }
  | { readonly kind: 'plain'; readonly at: number; readonly value: null | boolean | string | bigint | InexactNumber }
export type JsonMember = { readonly at: number; readonly value: JsonNode }

/** A file of JSON, and what stands where in it. */
export type JsonFile = { readonly file: string; readonly text: string; readonly root: JsonNode }

const MOST_DEPTH = 32
const BLANK = /[\t\n\r ]*/y
const NUMBER = /-?(?:0|[1-9]\d*)(?<inexact>\.\d+)?(?<exponent>[eE][+-]?\d+)?/y
// eslint-disable-next-line no-control-regex
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const WORD = /true|false|null/y
const WORDS: ReadonlyMap<string, boolean | null> = new Map<string, boolean | null>([['true', true], ['false', false], ['null', null]])

/** Reads RFC 8259 JSON; an object that has one name twice is refused, for readers differ in which one they take. */
export function readJson(file: string, text: string): Outcome<JsonFile, Complaint> {
  try {
    const reader = { text, at: 0 }
    const root = readNode(reader, 0)
    skipBlank(reader)
    if (reader.at < text.length) throw new Flaw('nothing may follow the value', reader.at)
    return ok({ file, text, root })
  } catch (error) {
    if (error instanceof Flaw) return refuse({ file, ...placeAt(text, error.at), message: error.message })
    throw error
  }
}

/** The value without its places. */
export function exactOf(node: JsonNode): ExactValue {
  switch (node.kind) {
    case 'object': return recordOf(node.members)
    case 'array': return node.elements.map(exactOf)
    case 'plain': return node.value
  }
}

const recordOf = (members: ReadonlyMap<string, JsonMember>): ExactRecord =>
  Object.fromEntries([...members].map(([name, { value }]) => [name, exactOf(value)]))

export const complainAt = ({ file, text }: JsonFile, at: number, message: string, hint?: string): Complaint =>
  ({ file, ...placeAt(text, at), message, ...(hint === undefined ? {} : { hint }) })

class Flaw extends Error {
  readonly at: number

  constructor(message: string, at: number) {
    super(message)
    this.at = at
  }
}

type Reader = { readonly text: string; at: number }

function readNode(reader: Reader, depth: number): JsonNode {
  skipBlank(reader)
  const { text, at } = reader
  if (depth > MOST_DEPTH) throw new Flaw(`more than ${MOST_DEPTH} arrays and objects inside of each other`, at)
  const first = text[at]
  if (first === '{') return readObject(reader, depth)
  if (first === '[') return readArray(reader, depth)
  if (first === '"') return { kind: 'plain', at, value: readString(reader) }
  const word = take(reader, WORD)
  if (word) return { kind: 'plain', at, value: WORDS.get(word[0])! }
  const number = take(reader, NUMBER)
  if (!number) throw new Flaw(first === undefined ? 'the text ends where a value is expected' : `\`${first}\` where a value is expected`, at)
  const exact = number.groups!['inexact'] === undefined && number.groups!['exponent'] === undefined && number[0] !== '-0'
  return { kind: 'plain', at, value: exact ? BigInt(number[0]) : new InexactNumber(number[0]) }
}

function readObject(reader: Reader, depth: number): JsonNode {
  const { at } = reader
  const members = new Map<string, JsonMember>()
  readList(reader, '}', () => {
    const nameAt = reader.at
    const name = readString(reader)
    if (members.has(name)) throw new Flaw(`the name \`${name}\` stands twice in one object`, nameAt)
    skipBlank(reader)
    expect(reader, ':')
    members.set(name, { at: nameAt, value: readNode(reader, depth + 1) })
  })
  return { kind: 'object', at, members }
}

function readArray(reader: Reader, depth: number): JsonNode {
  const { at } = reader
  const elements: JsonNode[] = []
  readList(reader, ']', () => elements.push(readNode(reader, depth + 1)))
  return { kind: 'array', at, elements }
}

/** From the opening bracket to behind the closing one. */
function readList(reader: Reader, close: string, readOne: () => void): void {
  reader.at += 1
  skipBlank(reader)
  if (reader.text[reader.at] === close) {
    reader.at += 1
    return
  }
  for (;;) {
    skipBlank(reader)
    readOne()
    skipBlank(reader)
    if (reader.text[reader.at] === close) break
    expect(reader, ',', close)
  }
  reader.at += 1
}

function readString(reader: Reader): string {
  const { at } = reader
  const found = take(reader, STRING)
  if (!found) throw new Flaw(reader.text[at] === '"' ? 'a string that does not end, or holds what JSON escapes' : 'a name in quotes is expected', at)
  const value = unescape(found[0].slice(1, -1))
  if (!value.isWellFormed()) throw new Flaw('half of a surrogate pair in a string', at)
  return value
}

const ESCAPES: ReadonlyMap<string, string> = new Map([['b', '\b'], ['f', '\f'], ['n', '\n'], ['r', '\r'], ['t', '\t']])

const unescape = (inner: string): string => inner.replaceAll(/\\(?:u(?<hex>[0-9a-fA-F]{4})|(?<letter>.))/g, (_, hex?: string, letter?: string) =>
  hex === undefined ? ESCAPES.get(letter!) ?? letter! : String.fromCharCode(Number.parseInt(hex, 16)))

function expect(reader: Reader, ...characters: readonly string[]): void {
  const found = reader.text[reader.at]
  if (found !== characters[0]) {
    const wanted = characters.map((one) => `\`${one}\``).join(' or ')
    throw new Flaw(`${found === undefined ? 'the text ends' : `\`${found}\``} where ${wanted} is expected`, reader.at)
  }
  reader.at += 1
}

function skipBlank(reader: Reader): void {
  take(reader, BLANK)
}

function take(reader: Reader, pattern: RegExp): RegExpExecArray | null {
  pattern.lastIndex = reader.at
  const found = pattern.exec(reader.text)
  if (found) reader.at += found[0].length
  return found
}
