import { createPublicKey, sign, type KeyObject } from 'node:crypto'

/** Signs as one log. Ed25519 (RFC 8032 §5.1): signing twice gives the same bytes. */
export type Signer = {
  /** 64 bytes. */
  sign(bytes: Uint8Array): Uint8Array
  /** The raw 32 bytes, as C2SP signed notes carry them. */
  publicKey(): Uint8Array
}

export function signerOf(privateKey: KeyObject): Signer {
  if (privateKey.type !== 'private' || privateKey.asymmetricKeyType !== 'ed25519') throw new Error('a log is signed with a private Ed25519 key')
  const raw = rawPublicKey(privateKey)
  return {
    sign: (bytes) => new Uint8Array(sign(null, bytes, privateKey)),
    publicKey: () => raw.slice(),
  }
}

/** RFC 8410 §4: the key is the last 32 bytes of its SubjectPublicKeyInfo. */
function rawPublicKey(privateKey: KeyObject): Uint8Array {
  return new Uint8Array(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32))
}
