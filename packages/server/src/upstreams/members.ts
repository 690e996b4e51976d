import { ok, refuse, type Outcome } from '@writ/domain/outcome'

/** Where one member of an object stands in its text: its name from `from`, its value from `value` to `to`. */
export type Member = {
  readonly name: string
  readonly from: number
  readonly value: number
  readonly to: number
  /** The members of the value, where it is an object that stands at the top. */
  readonly members: readonly Member[]
}

export type MembersRefusal = { readonly kind: 'malformed_json' | 'not_an_object' | 'duplicate_key' | 'too_deep' }

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const SIMPLE_ESCAPES: ReadonlySet<number> = new Set(Buffer.from('"\\/bfnrt'))
const MINUS = 0x2d
const ZERO = 0x30
const POINT = 0x2e
const HEX = /[0-9a-fA-F]{4}/y
/** By the first letter. */
const WORDS: Readonly<Record<number, string>> = { 0x74: 'true', 0x66: 'false', 0x6e: 'null' }

/** Thrown within this file alone. */
class Flaw extends Error {
  readonly kind: MembersRefusal['kind']

  constructor(kind: MembersRefusal['kind']) {
    super(kind)
    this.kind = kind
  }
}

/**
 * Finds the members of the object that the text is, and of the objects in them, so that parts of it can be passed on as they were written.
 * The whole text has to be JSON, for what is passed on is read by somebody else; a name twice in one of those objects is refused.
 */
export function membersOf(text: string, most: { readonly depth: number }): Outcome<readonly Member[], MembersRefusal> {
  try {
    const at = skipBlanks(text, 0)
    if (text.charCodeAt(at) !== OPEN_OBJECT) throw new Flaw('not_an_object')
    const read = readObject(text, at, 2, most.depth)
    if (skipBlanks(text, read.to) !== text.length) throw new Flaw('malformed_json')
    return ok(read.members)
  } catch (cause) {
    if (cause instanceof Flaw) return refuse({ kind: cause.kind })
    throw cause
  }
}

/** The text of an object without the member of that name. */
export function withoutMember(text: string, members: readonly Member[], name: string): string {
  const index = members.findIndex((member) => member.name === name)
  const gone = members[index]
  if (gone === undefined) return text
  const [before, after] = [members[index - 1], members[index + 1]]
  if (after !== undefined) return text.slice(0, gone.from) + text.slice(after.from)
  return text.slice(0, before?.to ?? gone.from) + text.slice(gone.to)
}

/** The texts of the elements of the array that the value is, in a text whose grammar was looked at; undefined where it is none. */
export function elementsOf(text: string, { value, to }: Pick<Member, 'value' | 'to'>): readonly string[] | undefined {
  if (text.charCodeAt(value) !== OPEN_ARRAY) return undefined
  const elements: string[] = []
  for (let at = skipBlanks(text, value + 1); at < to - 1;) {
    const end = endOfValue(text, at, to)
    elements.push(text.slice(at, end))
    // Over the comma, or over the bracket that closes.
    at = skipBlanks(text, skipBlanks(text, end) + 1)
  }
  return elements
}

type Read = { readonly members: readonly Member[]; readonly to: number }

/** `levels`: in how many objects, one inside the other, members are noted. */
function readObject(text: string, start: number, levels: number, depth: number): Read {
  const members: Member[] = []
  const names = new Set<string>()
  let at = skipBlanks(text, start + 1)
  if (text.charCodeAt(at) === CLOSE_OBJECT) return { members, to: at + 1 }
  for (;;) {
    const from = at
    const nameEnd = endOfString(text, from)
    const name = JSON.parse(text.slice(from, nameEnd)) as string
    if (names.has(name)) throw new Flaw('duplicate_key')
    names.add(name)
    at = skipBlanks(text, nameEnd)
    if (text.charCodeAt(at) !== COLON) throw new Flaw('malformed_json')
    const value = skipBlanks(text, at + 1)
    const isNoted = levels > 1 && text.charCodeAt(value) === OPEN_OBJECT
    const inner = isNoted ? readObject(text, value, levels - 1, depth - 1) : { members: [], to: endOfValue(text, value, depth - 1) }
    members.push({ name, from, value, to: inner.to, members: inner.members })
    at = skipBlanks(text, inner.to)
    const next = text.charCodeAt(at)
    if (next === CLOSE_OBJECT) return { members, to: at + 1 }
    if (next !== COMMA) throw new Flaw('malformed_json')
    at = skipBlanks(text, at + 1)
  }
}

/** One pass without recursion: what is open is kept in a list. */
function endOfValue(text: string, start: number, depth: number): number {
  const open: number[] = []
  let at = start
  for (;;) {
    const code = text.charCodeAt(at)
    if (code === OPEN_OBJECT || code === OPEN_ARRAY) {
      if (open.length === depth) throw new Flaw('too_deep')
      const close = code === OPEN_OBJECT ? CLOSE_OBJECT : CLOSE_ARRAY
      const inside = skipBlanks(text, at + 1)
      if (text.charCodeAt(inside) !== close) {
        open.push(close)
        at = code === OPEN_OBJECT ? startOfMemberValue(text, inside) : inside
        continue
      }
      at = inside + 1
    } else {
      at = endOfScalar(text, at, code)
    }
    // A value has ended: so may what it stands in.
    for (;;) {
      const close = open.at(-1)
      if (close === undefined) return at
      at = skipBlanks(text, at)
      const next = text.charCodeAt(at)
      if (next === COMMA) {
        const after = skipBlanks(text, at + 1)
        at = close === CLOSE_OBJECT ? startOfMemberValue(text, after) : after
        break
      }
      if (next !== close) throw new Flaw('malformed_json')
      open.pop()
      at += 1
    }
  }
}

function startOfMemberValue(text: string, start: number): number {
  const colon = skipBlanks(text, endOfString(text, start))
  if (text.charCodeAt(colon) !== COLON) throw new Flaw('malformed_json')
  return skipBlanks(text, colon + 1)
}

function endOfScalar(text: string, at: number, code: number): number {
  if (code === QUOTE) return endOfString(text, at)
  if (code === MINUS || isDigit(code)) return endOfNumber(text, at)
  const word = WORDS[code]
  if (word === undefined || !text.startsWith(word, at)) throw new Flaw('malformed_json')
  return at + word.length
}

const isDigit = (code: number): boolean => code >= ZERO && code <= 0x39

function endOfNumber(text: string, start: number): number {
  const first = text.charCodeAt(start) === MINUS ? start + 1 : start
  let at = endOfDigits(text, first)
  if (at > first + 1 && text.charCodeAt(first) === ZERO) throw new Flaw('malformed_json')
  if (text.charCodeAt(at) === POINT) at = endOfDigits(text, at + 1)
  const exponent = text.charCodeAt(at)
  if (exponent !== 0x65 && exponent !== 0x45) return at
  const sign = text.charCodeAt(at + 1)
  return endOfDigits(text, sign === MINUS || sign === 0x2b ? at + 2 : at + 1)
}

function endOfDigits(text: string, start: number): number {
  let at = start
  while (isDigit(text.charCodeAt(at))) at += 1
  if (at === start) throw new Flaw('malformed_json')
  return at
}

/** The index behind the closing quote. */
function endOfString(text: string, start: number): number {
  if (text.charCodeAt(start) !== QUOTE) throw new Flaw('malformed_json')
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) return at + 1
    if (code < 0x20) throw new Flaw('malformed_json')
    if (code === BACKSLASH) {
      at += 1
      const escape = text.charCodeAt(at)
      if (escape === 0x75) {
        HEX.lastIndex = at + 1
        if (!HEX.test(text)) throw new Flaw('malformed_json')
        at += 4
      } else if (!SIMPLE_ESCAPES.has(escape)) throw new Flaw('malformed_json')
    }
  }
  throw new Flaw('malformed_json')
}

function skipBlanks(text: string, start: number): number {
  let at = start
  for (;;) {
    const code = text.charCodeAt(at)
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return at
    at += 1
  }
}
