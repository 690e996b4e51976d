import { hash, verify } from 'node:crypto'
import { fromBase64url, toBase64url } from '../platform/base64url.ts'
import { readCoseKey } from './cose-key.ts'

/** What a passkey made of a challenge, as the browser hands it over (WebAuthn Level 3 §5.1.4). */
export type KeptAssertion = {
  readonly response: { readonly clientDataJSON: string; readonly authenticatorData: string; readonly signature: string }
}

/** Flags of the authenticator data (WebAuthn Level 3 §6.1): that somebody was there, and who. */
const USER_PRESENT = 0x01
const USER_VERIFIED = 0x04

/**
 * Whether this key signed this challenge, with the person there and verified. What may change until it is looked at again, the counter and where
 * the browser stood, was checked when it came; here nothing counts but the key's own signature.
 */
export function isSignedBy(publicKey: Uint8Array, challenge: Uint8Array, assertion: string): boolean {
  const read = readAssertion(assertion)
  const key = readCoseKey(publicKey)
  if (read === undefined || key === undefined) return false
  const { clientData, authenticatorData, signature } = read
  if (authenticatorData.length < 37 || (authenticatorData[32]! & (USER_PRESENT | USER_VERIFIED)) !== (USER_PRESENT | USER_VERIFIED)) return false
  if (!isOver(clientData, challenge)) return false
  const signed = Buffer.concat([authenticatorData, hash('sha256', clientData, 'buffer')])
  return verify(key.alg === 'EdDSA' ? null : 'sha256', signed, key.key, signature)
}

type Read = { readonly clientData: Uint8Array; readonly authenticatorData: Uint8Array; readonly signature: Uint8Array }

function readAssertion(text: string): Read | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const { clientDataJSON, authenticatorData, signature } = ((value as Partial<KeptAssertion> | null)?.response ?? {}) as Partial<KeptAssertion['response']>
  const bytes = [clientDataJSON, authenticatorData, signature].map((one) => (typeof one === 'string' ? fromBase64url(one) : undefined))
  return bytes.includes(undefined) ? undefined : { clientData: bytes[0]!, authenticatorData: bytes[1]!, signature: bytes[2]! }
}

function isOver(clientData: Uint8Array, challenge: Uint8Array): boolean {
  try {
    const { type, challenge: signed } = JSON.parse(Buffer.from(clientData).toString('utf8')) as { readonly type?: unknown; readonly challenge?: unknown }
    return type === 'webauthn.get' && signed === toBase64url(challenge)
  } catch {
    return false
  }
}
