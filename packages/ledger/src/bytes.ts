const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const HEX = '0123456789abcdef'

const encoder = new TextEncoder()

/** UTF-8. A lone surrogate has none: check with `isWellFormed` where the text is not ours. */
export const utf8 = (text: string): Uint8Array => encoder.encode(text)

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** Not constant in time: everything compared here is public. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += HEX[byte >> 4]! + HEX[byte & 15]!
  return text
}

/** RFC 4648 §4, padded. */
export function toBase64(bytes: Uint8Array): string {
  const text = encode(bytes, BASE64)
  return text + '='.repeat((4 - (text.length % 4)) % 4)
}

/** RFC 4648 §5, without padding. */
export const toBase64url = (bytes: Uint8Array): string => encode(bytes, BASE64URL)

/** The bytes, or undefined unless the text is exactly what `toBase64` makes of them: one value, one spelling. */
export function fromBase64(text: string): Uint8Array | undefined {
  const bytes = decode(text.replace(/={0,2}$/, ''), DECODE)
  return bytes !== undefined && toBase64(bytes) === text ? bytes : undefined
}

/** The bytes, or undefined unless the text is exactly what `toBase64url` makes of them. */
export function fromBase64url(text: string): Uint8Array | undefined {
  const bytes = decode(text, DECODE_URL)
  return bytes !== undefined && toBase64url(bytes) === text ? bytes : undefined
}

function encode(bytes: Uint8Array, alphabet: string): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += 3) {
    const three = (bytes[i]! << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0)
    text += alphabet[three >> 18]! + alphabet[(three >> 12) & 63]!
    if (i + 1 < bytes.length) text += alphabet[(three >> 6) & 63]!
    if (i + 2 < bytes.length) text += alphabet[three & 63]!
  }
  return text
}

function decode(text: string, values: ReadonlyMap<string, number>): Uint8Array | undefined {
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4))
  let at = 0
  let held = 0
  let bits = 0
  for (const character of text) {
    const value = values.get(character)
    if (value === undefined) return undefined
    held = ((held << 6) | value) & 0xffff
    bits += 6
    if (bits >= 8) {
      bits -= 8
      bytes[at++] = held >> bits
    }
  }
  return bytes
}

const valuesOf = (alphabet: string): ReadonlyMap<string, number> => new Map(Array.from(alphabet, (character, value) => [character, value]))
const DECODE = valuesOf(BASE64)
const DECODE_URL = valuesOf(BASE64URL)
