import { createHash } from 'node:crypto'
import type { AssertionOptions, AssertionResponse, EnrolmentOptions, EnrolmentResponse } from '@writ/contract/people'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { PASSKEY_TIMEOUT_MS } from './passkey-challenge.ts'

/** Where browsers meet us: the console's own origin, and the name that passkeys are bound to (WebAuthn Level 3 §4, relying party identifier). */
export type RelyingParty = { readonly origin: string; readonly rpId: string }

/** `rpId` can be no IP address. */
export const relyingPartyOf = (origin: string): RelyingParty => ({ origin, rpId: new URL(origin).hostname })

/** COSE algorithms (RFC 9053): ES256, EdDSA, RS256. */
const ALGORITHMS = [-7, -8, -257]

/** Outside it is one refusal among the others; `why` is for the log. */
export type PasskeyRefusal = { readonly kind: 'bad_passkey'; readonly why: string }

export type PasskeyCredential = { readonly id: string; readonly publicKey: Uint8Array; readonly counter: number }

export type AssertionOrder = RelyingParty & {
  readonly credential: PasskeyCredential
  readonly expectedChallenge: Uint8Array
  readonly response: AssertionResponse
  readonly requireUserVerification: true
}

/** Whether this passkey has signed this challenge here, with its holder there and verified (WebAuthn Level 3 §7.2). */
export async function verifyPasskeyAssertion({ credential, expectedChallenge, origin, rpId, response }: AssertionOrder): Promise<Outcome<{ readonly newCounter: number }, PasskeyRefusal>> {
  if (response.id !== credential.id) return refuse({ kind: 'bad_passkey', why: 'another credential' })
  const { verifyAuthenticationResponse } = await webauthn()
  return judged(async () => {
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      response: { ...response, clientExtensionResults: {} }, credential: { id: credential.id, publicKey: new Uint8Array(credential.publicKey), counter: credential.counter },
      expectedChallenge: Buffer.from(expectedChallenge).toString('base64url'), expectedOrigin: origin, expectedRPID: rpId, requireUserVerification: true,
    })
    return verified ? ok({ newCounter: authenticationInfo.newCounter }) : refuse({ kind: 'bad_passkey', why: 'the signature' })
  })
}

export type EnrolmentOrder = RelyingParty & { readonly expectedChallenge: Uint8Array; readonly response: EnrolmentResponse }

/** The credential that was made here for this challenge (WebAuthn Level 3 §7.1). */
export async function verifyPasskeyEnrolment({ expectedChallenge, origin, rpId, response }: EnrolmentOrder): Promise<Outcome<PasskeyCredential, PasskeyRefusal>> {
  const { verifyRegistrationResponse } = await webauthn()
  return judged(async () => {
    const { verified, registrationInfo } = await verifyRegistrationResponse({
      response: { ...response, clientExtensionResults: {} }, expectedChallenge: Buffer.from(expectedChallenge).toString('base64url'), expectedOrigin: origin, expectedRPID: rpId,
      requireUserVerification: true, supportedAlgorithmIDs: ALGORITHMS,
    })
    if (!verified) return refuse({ kind: 'bad_passkey', why: 'the attestation' })
    const { id, publicKey, counter } = registrationInfo.credential
    return ok({ id, publicKey: new Uint8Array(publicKey), counter })
  })
}

/** Half a dozen parsers of certificates come with it: whoever never sees a passkey does not wait for them. */
const webauthn = () => import('@simplewebauthn/server')

/** The library tells of everything that is wrong with a response by throwing; what it could not read is refused like what does not hold. */
async function judged<T>(judge: () => Promise<Outcome<T, PasskeyRefusal>>): Promise<Outcome<T, PasskeyRefusal>> {
  try {
    return await judge()
  } catch (cause) {
    return refuse({ kind: 'bad_passkey', why: cause instanceof Error ? cause.name : 'unreadable' })
  }
}

/** The challenge that a response says that it answers; undefined where there is none to be read. */
export function claimedChallenge({ response }: EnrolmentResponse | AssertionResponse): string | undefined {
  try {
    const read = JSON.parse(Buffer.from(response.clientDataJSON, 'base64url').toString('utf8')) as { readonly challenge?: unknown } | null
    return typeof read?.challenge === 'string' ? read.challenge : undefined
  } catch {
    return undefined
  }
}

/** What the leaf of its enrolment says of a public key, in hexadecimal digits. */
export const publicKeyDigest = (publicKey: Uint8Array): string => createHash('sha256').update(publicKey).digest('hex')

const nameOf = (id: string) => ({ type: 'public-key' as const, id })

/** `handle`: whom the authenticator files it under; of one whom it knows it keeps one passkey for us. */
export type Enrolling = { readonly challenge: string; readonly rpId: string; readonly handle: Uint8Array; readonly name: string; readonly known: readonly string[] }

export const enrolmentOptions = ({ challenge, rpId, handle, name, known }: Enrolling): EnrolmentOptions => ({
  rp: { id: rpId, name: 'Writ' }, user: { id: Buffer.from(handle).toString('base64url'), name, displayName: name }, challenge,
  pubKeyCredParams: ALGORITHMS.map((alg) => ({ type: 'public-key', alg })), timeout: PASSKEY_TIMEOUT_MS, excludeCredentials: known.map(nameOf),
  authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'required' }, attestation: 'none',
})

/** `of`: one of these; of none named, whichever the authenticator has for us. */
export const assertionOptions = ({ challenge, rpId, of }: { readonly challenge: string; readonly rpId: string; readonly of: readonly string[] }): AssertionOptions => ({
  challenge, rpId, timeout: PASSKEY_TIMEOUT_MS, allowCredentials: of.map(nameOf), userVerification: 'required',
})
