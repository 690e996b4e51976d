import { createHash, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'
import type { AssertionOptions, AssertionResponse, EnrolmentOptions, EnrolmentResponse } from '@writ/contract/people'

/** What a test makes it do wrong. */
export type Misdeed = {
  readonly challenge?: string
  readonly rpId?: string
  readonly type?: string
  /** Nobody is there, or nobody was asked who he is. */
  readonly flags?: number
  /** How often it says that it has signed. */
  readonly counter?: number
  readonly signature?: 'of another key'
}

/** A passkey in software, as a browser hands on what one says: ES256, kept by itself, without an attestation. */
export type SoftAuthenticator = {
  readonly make: (options: EnrolmentOptions, origin: string, wrong?: Misdeed) => EnrolmentResponse
  readonly sign: (options: AssertionOptions, origin: string, wrong?: Misdeed) => AssertionResponse
  /** Of those that it has made, by the order of their making. */
  readonly credentialIds: () => readonly string[]
}

type Held = { readonly id: string; readonly rpId: string; readonly handle: string; readonly key: KeyObject; signed: number }

const [PRESENT, VERIFIED, ATTESTED] = [0x01, 0x04, 0x40]
const text = (bytes: Uint8Array | string): string => Buffer.from(bytes).toString('base64url')
const sha256 = (bytes: Uint8Array | string): Buffer => createHash('sha256').update(bytes).digest()

export function softAuthenticator(): SoftAuthenticator {
  const held: Held[] = []
  return {
    credentialIds: () => held.map((one) => one.id),
    make(options, origin, wrong = {}) {
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const id = randomBytes(32)
      const { x, y } = publicKey.export({ format: 'jwk' })
      // RFC 9052 §7: kty EC2, alg ES256, crv P-256, x, y.
      const cose = cborMap([[1, cborNumber(2)], [3, cborNumber(-7)], [-1, cborNumber(1)], [-2, cborBytes(Buffer.from(x!, 'base64url'))], [-3, cborBytes(Buffer.from(y!, 'base64url'))]])
      const length = Buffer.alloc(2)
      length.writeUInt16BE(id.length)
      const head = headOf({ rpId: wrong.rpId ?? options.rp.id, flags: (wrong.flags ?? PRESENT | VERIFIED) | ATTESTED, counter: 0 })
      const authData = Buffer.concat([head, Buffer.alloc(16), length, id, cose])
      const attestationObject = Buffer.concat([Buffer.from([0xa3]), cborText('fmt'), cborText('none'), cborText('attStmt'), Buffer.from([0xa0]), cborText('authData'), cborBytes(authData)])
      held.push({ id: text(id), rpId: options.rp.id, handle: options.user.id, key: privateKey, signed: 0 })
      const clientData = clientDataOf(wrong.type ?? 'webauthn.create', wrong.challenge ?? options.challenge, origin)
      return {
        id: text(id), rawId: text(id), type: 'public-key', authenticatorAttachment: 'platform', clientExtensionResults: {},
        response: { clientDataJSON: text(clientData), attestationObject: text(attestationObject), transports: ['internal'] },
      }
    },
    sign(options, origin, wrong = {}) {
      const named = options.allowCredentials.map((one) => one.id)
      const one = held.findLast(({ id, rpId }) => rpId === options.rpId && (named.length === 0 || named.includes(id)))
      if (one === undefined) throw new Error('this authenticator has no passkey for that')
      one.signed = wrong.counter ?? one.signed + 1
      const clientData = clientDataOf(wrong.type ?? 'webauthn.get', wrong.challenge ?? options.challenge, origin)
      const authData = headOf({ rpId: wrong.rpId ?? options.rpId, flags: wrong.flags ?? PRESENT | VERIFIED, counter: one.signed })
      const key = wrong.signature === undefined ? one.key : generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
      const signature = sign('sha256', Buffer.concat([authData, sha256(clientData)]), key)
      return {
        id: one.id, rawId: one.id, type: 'public-key', authenticatorAttachment: 'platform', clientExtensionResults: {},
        response: { clientDataJSON: text(clientData), authenticatorData: text(authData), signature: text(signature), userHandle: one.handle },
      }
    },
  }
}

const clientDataOf = (type: string, challenge: string, origin: string): string => JSON.stringify({ type, challenge, origin, crossOrigin: false })

/** WebAuthn Level 3 §6.1: the hash of the relying party's id, flags, counter. */
function headOf({ rpId, flags, counter }: { readonly rpId: string; readonly flags: number; readonly counter: number }): Buffer {
  const rest = Buffer.alloc(5)
  rest.writeUInt8(flags)
  rest.writeUInt32BE(counter, 1)
  return Buffer.concat([sha256(rpId), rest])
}

/** RFC 8949 §3.1, as far as it is needed here. */
function cborHead(major: number, value: number): Buffer {
  if (value < 24) return Buffer.from([major << 5 | value])
  if (value < 256) return Buffer.from([major << 5 | 24, value])
  return Buffer.from([major << 5 | 25, value >> 8, value & 0xff])
}

const cborNumber = (value: number): Buffer => (value < 0 ? cborHead(1, -1 - value) : cborHead(0, value))
const cborBytes = (value: Uint8Array): Buffer => Buffer.concat([cborHead(2, value.length), value])
const cborText = (value: string): Buffer => Buffer.concat([cborHead(3, Buffer.byteLength(value)), Buffer.from(value)])
const cborMap = (entries: readonly (readonly [number, Buffer])[]): Buffer => Buffer.concat([cborHead(5, entries.length), ...entries.flatMap(([key, value]) => [cborNumber(key), value])])
