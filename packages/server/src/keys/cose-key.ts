import { createPublicKey, type KeyObject } from 'node:crypto'
import { toBase64url } from '../platform/base64url.ts'

/** A public key as an authenticator gave it, and how its signatures are made. */
export type CoseKey = { readonly key: KeyObject; readonly alg: 'ES256' | 'EdDSA' | 'RS256' }

/** RFC 9053 §2.1, §2.2 and RFC 8812 §2. */
const ES256 = -7
const EDDSA = -8
const RS256 = -257

/**
 * Reads a COSE_Key (RFC 9052 §7) of the three algorithms that passkeys have; undefined for any other. Only maps of whole numbers to whole numbers and
 * bytes are read, which is all that such a key is: a change verifies signatures with it, and awaits nothing but the database.
 */
export function readCoseKey(bytes: Uint8Array): CoseKey | undefined {
  const members = readMap(bytes)
  if (members === undefined) return undefined
  const text = (label: number): string | undefined => {
    const value = members.get(label)
    return value instanceof Uint8Array ? toBase64url(value) : undefined
  }
  try {
    const [kind, alg, curve] = [members.get(1), members.get(3), members.get(-1)]
    if (alg === ES256 && kind === 2 && curve === 1) return made('ES256', { kty: 'EC', crv: 'P-256', x: text(-2), y: text(-3) })
    if (alg === EDDSA && kind === 1 && curve === 6) return made('EdDSA', { kty: 'OKP', crv: 'Ed25519', x: text(-2) })
    return alg === RS256 && kind === 3 ? made('RS256', { kty: 'RSA', n: text(-1), e: text(-2) }) : undefined
  } catch {
    // OpenSSL says of a point that is on no curve no more than that.
    return undefined
  }
}

function made(alg: CoseKey['alg'], jwk: Readonly<Record<string, string | undefined>>): CoseKey | undefined {
  if (Object.values(jwk).includes(undefined)) return undefined
  return { alg, key: createPublicKey({ key: jwk as never, format: 'jwk' }) }
}

/** RFC 8949 §3: the whole text is one map of known length. */
function readMap(bytes: Uint8Array): ReadonlyMap<number, number | Uint8Array> | undefined {
  const reader = { bytes, at: 0 }
  const head = readHead(reader)
  if (head?.major !== 5 || head.value > 16) return undefined
  const members = new Map<number, number | Uint8Array>()
  for (let i = 0; i < head.value; i++) {
    const label = readValue(reader)
    const value = readValue(reader)
    if (typeof label !== 'number' || value === undefined || members.has(label)) return undefined
    members.set(label, value)
  }
  return reader.at === bytes.length ? members : undefined
}

type Reader = { readonly bytes: Uint8Array; at: number }

function readValue(reader: Reader): number | Uint8Array | undefined {
  const head = readHead(reader)
  if (head?.major === 0) return head.value
  if (head?.major === 1) return -1 - head.value
  if (head?.major !== 2 || reader.at + head.value > reader.bytes.length) return undefined
  const from = reader.at
  reader.at += head.value
  return reader.bytes.subarray(from, reader.at)
}

/** Lengths of up to two bytes: the longest member is the modulus of an RSA key. */
function readHead(reader: Reader): { readonly major: number; readonly value: number } | undefined {
  const first = reader.bytes[reader.at++]
  if (first === undefined) return undefined
  const [major, low] = [first >> 5, first & 0x1f]
  if (low < 24) return { major, value: low }
  const size = low === 24 ? 1 : low === 25 ? 2 : 0
  if (size === 0 || reader.at + size > reader.bytes.length) return undefined
  let value = 0
  for (let i = 0; i < size; i++) value = value * 256 + reader.bytes[reader.at++]!
  return { major, value }
}
