import { hkdfSync } from 'node:crypto'

/** The root of everything that Writ seals: 32 bytes that live outside of the store and of its backups. It encrypts nothing itself. */
export type MasterKey = {
  /** Derived from the key, so that a file with another key under the same name is another id. Says nothing about the key. */
  readonly id: string
  readonly bytes: Uint8Array
}

export const MASTER_KEY_BYTES = 32

export type KeyPurpose = 'seal' | 'reply' | 'question' | 'event-mac' | 'dpop-nonce' | 'mcp-state' | 'mcp-hop' | 'key-check' | 'key-id' | 'backup'

export function masterKeyOf(bytes: Uint8Array): MasterKey {
  if (bytes.length !== MASTER_KEY_BYTES) throw new Error(`a master key has ${MASTER_KEY_BYTES} bytes`)
  return { id: Buffer.from(derive(bytes, 'key-id')).subarray(0, 6).toString('hex'), bytes }
}

/** 32 bytes for one purpose; HKDF with SHA-256 (RFC 5869). Knowing one of them tells nothing about another. */
export function derive(master: Uint8Array, purpose: KeyPurpose): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', master, 'writ', `writ/1/${purpose}`, 32))
}
