import { createPublicKey, hash, verify } from 'node:crypto'
import type { Primitives } from '@writ/ledger/hash'

/** RFC 8410 §4: what stands before the 32 bytes of an Ed25519 public key in its SubjectPublicKeyInfo. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** SHA-256 and Ed25519 of this Node, for the ledger. */
export const primitives: Primitives = {
  // One-shot and through hex: measured twice as fast as into a buffer.
  sha256: (bytes) => Buffer.from(hash('sha256', bytes, 'hex'), 'hex'),
  verifyEd25519: (publicKey, message, signature) =>
    verify(null, message, createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' }), signature),
}
