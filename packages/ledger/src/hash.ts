import { concat } from './bytes.ts'

/** SHA-256 as the surroundings offer it. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array

/** Ed25519 (RFC 8032 §5.1.7) as the surroundings offer it: a public key of 32 bytes, a signature of 64. */
export type VerifyEd25519 = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean

/** What the ledger asks of its surroundings. */
export type Primitives = { readonly sha256: Sha256; readonly verifyEd25519: VerifyEd25519 }

export const HASH_BYTES = 32

const NOTHING = new Uint8Array(0)
const encoder = new TextEncoder()

/** RFC 9162 §2.1.1: the root of the tree without leaves. */
export const emptyRoot = (sha256: Sha256): Uint8Array => sha256(NOTHING)

/** RFC 9162 §2.1.1: HASH(0x00 || entry). */
export const leafHash = (sha256: Sha256, entry: Uint8Array): Uint8Array => sha256(concat(new Uint8Array(1), entry))

/** The leaf hash of a text's UTF-8. */
export function leafHashOfText(sha256: Sha256, text: string): Uint8Array {
  // UTF-8 takes at most three bytes for each UTF-16 code unit.
  const bytes = new Uint8Array(1 + text.length * 3)
  const { written } = encoder.encodeInto(text, bytes.subarray(1))
  return sha256(bytes.subarray(0, 1 + written))
}

/** RFC 9162 §2.1.1: HASH(0x01 || left || right). */
export function nodeHash(sha256: Sha256, left: Uint8Array, right: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + 2 * HASH_BYTES)
  bytes[0] = 1
  bytes.set(left, 1)
  bytes.set(right, 1 + HASH_BYTES)
  return sha256(bytes)
}
