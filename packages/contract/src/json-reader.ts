import { FORBIDDEN_KEYS, type JsonLimits } from './json-flaw.ts'

/** What becomes of a number, which the grammar allows; undefined when it may not stand there. */
export type ReadNumber = (number: string) => unknown

type Reader = { readonly text: string; readonly most: JsonLimits; readonly toNumber: ReadNumber; at: number; keys: number; elements: number }

/**
 * Reads JSON in one pass; undefined for what is not JSON, and for whatever `json-flaw.ts` finds a flaw in. Why, is asked there: so
 * only what is refused is looked at twice.
 */
export function readJson(text: string, most: JsonLimits, toNumber: ReadNumber): { readonly value: unknown } | undefined {
  const reader: Reader = { text, most, toNumber, at: 0, keys: 0, elements: 0 }
  try {
    const value = readValue(reader, 0)
    return nextOf(reader) === END ? { value } : undefined
  } catch (error) {
    if (error instanceof Unreadable) return undefined
    throw error
  }
}

class Unreadable extends Error {}

/** No error of its own for each text: who sends many bad ones would have us look at as many stacks. */
const UNREADABLE = new Unreadable('not readable')

/** UTF-16 code units. */
const [TAB, LINE, RETURN, SPACE, QUOTE, COMMA, MINUS, COLON] = [0x09, 0x0a, 0x0d, 0x20, 0x22, 0x2c, 0x2d, 0x3a]
const [BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5c, 0x5b, 0x5d, 0x7b, 0x7d]
const [ZERO, NINE, FIRST_SURROGATE, LAST_SURROGATE] = [0x30, 0x39, 0xd800, 0xdfff]
/** What stands behind the last. */
const END = -1

/** The next code unit that is no blank, where `at` is left. */
function nextOf(reader: Reader): number {
  const { text } = reader
  for (let { at } = reader; ; at++) {
    const code = text.charCodeAt(at)
    if (code === SPACE || code === LINE || code === RETURN || code === TAB) continue
    reader.at = at
    return at < text.length ? code : END
  }
}

function readValue(reader: Reader, depth: number): unknown {
  const code = nextOf(reader)
  if (code === QUOTE) return readString(reader)
  if (code === OPEN_OBJECT) return readObject(reader, depth)
  if (code === OPEN_LIST) return readList(reader, depth)
  if (code === MINUS || (code >= ZERO && code <= NINE)) return readNumber(reader)
  return readWord(reader)
}

function readObject(reader: Reader, depth: number): unknown {
  if (depth >= reader.most.depth) throw UNREADABLE
  const record: Record<string, unknown> = {}
  reader.at += 1
  if (nextOf(reader) === CLOSE_OBJECT) {
    reader.at += 1
    return record
  }
  for (;;) {
    if (nextOf(reader) !== QUOTE) throw UNREADABLE
    const name = readString(reader)
    reader.keys += 1
    if (reader.keys > reader.most.keys || FORBIDDEN_KEYS.has(name) || Object.hasOwn(record, name)) throw UNREADABLE
    if (nextOf(reader) !== COLON) throw UNREADABLE
    reader.at += 1
    record[name] = readValue(reader, depth + 1)
    if (isLast(reader, CLOSE_OBJECT)) return record
  }
}

function readList(reader: Reader, depth: number): unknown {
  if (depth >= reader.most.depth) throw UNREADABLE
  const list: unknown[] = []
  reader.at += 1
  if (nextOf(reader) === CLOSE_LIST) {
    reader.at += 1
    return list
  }
  for (;;) {
    list.push(readValue(reader, depth + 1))
    if (isLast(reader, CLOSE_LIST)) return list
    reader.elements += 1
    if (reader.elements >= reader.most.elements) throw UNREADABLE
  }
}

/** Behind a value: goes over the comma or the closing bracket, and nothing else may stand there. */
function isLast(reader: Reader, close: number): boolean {
  const code = nextOf(reader)
  if (code !== close && code !== COMMA) throw UNREADABLE
  reader.at += 1
  return code === close
}

/** Well-formed and without U+0000, whether escaped or not. */
function readString(reader: Reader): string {
  const { text } = reader
  let at = reader.at + 1
  let from = at
  let before = ''
  let hasSurrogates = false
  for (;;) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) break
    if (code === BACKSLASH) {
      const escaped = escapedAt(text, at + 1)
      before += text.slice(from, at) + escaped
      at += text[at + 1] === 'u' ? 6 : 2
      from = at
      hasSurrogates ||= isSurrogate(escaped.charCodeAt(0))
      continue
    }
    // Control characters, and the end of the text, which is no number at all.
    if (!(code >= SPACE)) throw UNREADABLE
    hasSurrogates ||= isSurrogate(code)
    at += 1
  }
  const value = before + text.slice(from, at)
  if (hasSurrogates && !value.isWellFormed()) throw UNREADABLE
  reader.at = at + 1
  return value
}

const isSurrogate = (code: number): boolean => code >= FIRST_SURROGATE && code <= LAST_SURROGATE

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '"'], ['\\', '\\'], ['/', '/'], ['b', '\b'], ['f', '\f'], ['n', '\n'], ['r', '\r'], ['t', '\t'],
])
const HEX = /^[0-9a-fA-F]{4}$/

/** What an escape stands for; `at` is behind its backslash. */
function escapedAt(text: string, at: number): string {
  const plain = ESCAPES.get(text.charAt(at))
  if (plain !== undefined) return plain
  const digits = text.slice(at + 1, at + 5)
  if (text[at] !== 'u' || !HEX.test(digits) || digits === '0000') throw UNREADABLE
  return String.fromCharCode(Number.parseInt(digits, 16))
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y

function readNumber(reader: Reader): unknown {
  NUMBER.lastIndex = reader.at
  const number = NUMBER.exec(reader.text)?.[0]
  const value = number === undefined ? undefined : reader.toNumber(number)
  if (number === undefined || value === undefined) throw UNREADABLE
  reader.at += number.length
  return value
}

const WORDS: readonly (readonly [string, boolean | null])[] = [['true', true], ['false', false], ['null', null]]

function readWord(reader: Reader): boolean | null {
  for (const [word, value] of WORDS) {
    if (!reader.text.startsWith(word, reader.at)) continue
    reader.at += word.length
    return value
  }
  throw UNREADABLE
}
