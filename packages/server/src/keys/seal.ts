import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import type { Entropy } from '../platform/entropy.ts'
import { fromBase64url, toBase64url } from '../platform/base64url.ts'
import { derive, type MasterKey } from './master-key.ts'

/**
 * Keeps secrets that have to be read again. `where` is the one place that the secret belongs to, for example `lease:lse_...:secret`:
 * moved anywhere else, the sealed text does not open.
 */
export type Sealer = {
  seal(plain: string, where: string): string
  /** Throws a `SealFault` when the text was moved or damaged, or when its master key is not there. */
  unseal(sealed: string, where: string): string
}

export type SealFaultReason = 'malformed' | 'unknown_key' | 'not_authentic'

const SAY: Readonly<Record<SealFaultReason, string>> = {
  malformed: 'is not a sealed text',
  unknown_key: 'was sealed under a master key that is not in the key directory',
  not_authentic: 'was damaged, or moved from another place',
}

/** The sealed text does not open. Names the place and the master key, never anything of what was sealed. */
export class SealFault extends Error {
  readonly reason: SealFaultReason
  constructor(reason: SealFaultReason, where: string, keyId: string) {
    super(`the secret at \`${where}\` ${SAY[reason]} (master key \`${keyId}\`)`)
    this.name = 'SealFault'
    this.reason = reason
  }
}

const VERSION = 'w1'
const CIPHER = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** What a sealer seals with, the newest first: no log prints it, and it can be posted to a worker. */
export type SealKey = { readonly id: string; readonly key: KeyObject }

export const sealKeysOf = (masters: readonly MasterKey[], purpose: 'seal' | 'reply' | 'question' | 'mcp-state'): readonly SealKey[] =>
  masters.map(({ id, bytes }) => ({ id, key: createSecretKey(derive(bytes, purpose)) }))

/** Seals under the newest of the keys and opens what any of them has sealed. */
export function sealerOf(sealKeys: readonly SealKey[], entropy: Entropy): Sealer {
  const newest = sealKeys[0]
  if (newest === undefined) throw new Error('a sealer needs a master key')
  const keys = new Map(sealKeys.map(({ id, key }) => [id, key]))

  function seal(plain: string, where: string): string {
    if (!plain.isWellFormed()) throw new Error('a lone surrogate can not be sealed: it would not come back')
    const nonce = entropy.bytes(NONCE_BYTES)
    const cipher = createCipheriv(CIPHER, keyOfPlace(newest!.key, where), nonce, { authTagLength: TAG_BYTES })
    cipher.setAAD(aad(newest!.id, where))
    const sealed = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()])
    return [VERSION, newest!.id, toBase64url(nonce), toBase64url(sealed)].join('.')
  }

  function unseal(sealed: string, where: string): string {
    const parts = partsOf(sealed)
    if (parts === undefined) throw new SealFault('malformed', where, 'unknown')
    const key = keys.get(parts.keyId)
    if (key === undefined) throw new SealFault('unknown_key', where, parts.keyId)
    const decipher = createDecipheriv(CIPHER, keyOfPlace(key, where), parts.nonce, { authTagLength: TAG_BYTES })
    decipher.setAAD(aad(parts.keyId, where))
    decipher.setAuthTag(parts.tag)
    try {
      return Buffer.concat([decipher.update(parts.body), decipher.final()]).toString('utf8')
    } catch {
      // OpenSSL says no more than that the tag is wrong; its error object stays out of ours so that nothing of the text can be in it.
      throw new SealFault('not_authentic', where, parts.keyId)
    }
  }

  return { seal, unseal }
}

/**
 * Each place has a key of its own. NIST SP 800-38D §8.3 allows one key 2^32 random nonces; a busy server reaches that number in weeks,
 * one row never.
 */
function keyOfPlace(key: KeyObject, where: string): Uint8Array {
  if (where === '') throw new Error('a sealed text needs a place')
  return new Uint8Array(hkdfSync('sha256', key, '', where, 32))
}

const aad = (keyId: string, where: string): Uint8Array => Buffer.from(`${VERSION}.${keyId}.${where}`, 'utf8')

type Parts = { readonly keyId: string; readonly nonce: Uint8Array; readonly body: Uint8Array; readonly tag: Uint8Array }

function partsOf(sealed: string): Parts | undefined {
  const [version, keyId = '', nonceText = '', bodyText = '', ...more] = sealed.split('.')
  if (version !== VERSION || more.length > 0 || !/^[0-9a-f]{12}$/.test(keyId)) return undefined
  const nonce = fromBase64url(nonceText)
  const bytes = fromBase64url(bodyText)
  if (nonce?.length !== NONCE_BYTES || bytes === undefined || bytes.length < TAG_BYTES) return undefined
  return { keyId, nonce, body: bytes.subarray(0, -TAG_BYTES), tag: bytes.subarray(-TAG_BYTES) }
}
