import { concat, toBase64url, utf8 } from './bytes.ts'
import type { Sha256 } from './hash.ts'

/** As many bytes as the hash: the text can't be found by trying texts. */
export const SALT_BYTES = 32

/** base64url(SHA-256(salt || UTF-8 text)). Once the salt is destroyed the commitment says nothing about the text. */
export function commit(sha256: Sha256, salt: Uint8Array, text: string): string {
  if (salt.length !== SALT_BYTES) throw new Error('a salt has 32 bytes')
  return toBase64url(sha256(concat(salt, utf8(text))))
}

/** Whether the text and salt are those that were committed to. A text with a lone surrogate has no UTF-8 and opens nothing. */
export function opens(sha256: Sha256, commitment: string, salt: Uint8Array, text: string): boolean {
  return salt.length === SALT_BYTES && text.isWellFormed() && commit(sha256, salt, text) === commitment
}
