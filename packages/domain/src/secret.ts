/**
 * Bearer values that Writ mints: `<prefix>_<43 characters of base64url: 256 bits><6 characters of CRC-32 in base 62>`.
 * The prefix lets a scanner name what it found, and the checksum lets it tell a real one from a look-alike without asking us.
 */
export const SECRET_PREFIX = { operator: 'writ_op', database: 'writ_pg', bootstrap: 'writ_first', webhook: 'writ_hook', signIn: 'writ_si', device: 'writ_dc' } as const
export type SecretPrefix = (typeof SECRET_PREFIX)[keyof typeof SECRET_PREFIX]

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const SHAPE = new RegExp(`^(${Object.values(SECRET_PREFIX).join('|')})_([A-Za-z0-9_-]{43})([A-Za-z0-9]{6})$`)

/** Shapes 32 bytes of entropy into a secret of this kind. */
export function toSecret(prefix: SecretPrefix, entropy: Uint8Array): string {
  if (entropy.length !== 32) throw new Error('a secret needs 32 bytes of entropy')
  const body = `${prefix}_${base64url(entropy)}`
  return body + checksum(body)
}

/** Whether the text is a secret that Writ could have minted; says nothing about whether it is live. */
export function isSecret(text: string): boolean {
  const found = SHAPE.exec(text)
  return found !== null && checksum(text.slice(0, -6)) === found[3]
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

function checksum(text: string): string {
  let rest = crc32(text)
  let digits = ''
  for (let i = 0; i < 6; i++) {
    digits = BASE62[rest % 62]! + digits
    rest = Math.floor(rest / 62)
  }
  return digits
}

/** CRC-32 as in ISO 3309 (zlib), of ASCII text. */
function crc32(text: string): number {
  let crc = 0xffffffff
  for (const character of text) {
    crc ^= character.charCodeAt(0)
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  return (crc ^ 0xffffffff) >>> 0
}
