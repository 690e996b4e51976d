import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { test } from 'node:test'
import { decodeCredentialPublicKey } from '@simplewebauthn/server/helpers'
import { coseOf } from '../../test/approvals/stage.ts'
import { readCoseKey } from './cose-key.ts'
import { isSignedBy } from './passkey-signature.ts'

const sha256 = (bytes: Uint8Array | string): Buffer => createHash('sha256').update(bytes).digest()
const base64url = (bytes: Uint8Array | string): string => Buffer.from(bytes).toString('base64url')
const CHALLENGE = sha256('what was shown')

const bytes = (value: Uint8Array): Buffer => Buffer.concat([value.length < 256 ? Buffer.from([0x58, value.length]) : Buffer.from([0x59, value.length >> 8, value.length & 255]), value])
const ed25519 = (key: KeyObject): Buffer => Buffer.concat([Buffer.from([0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21]), bytes(Buffer.from(key.export({ format: 'jwk' }).x!, 'base64url'))])
const rsa = (key: KeyObject): Buffer => {
  const { n, e } = key.export({ format: 'jwk' })
  return Buffer.concat([Buffer.from([0xa4, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00, 0x20]), bytes(Buffer.from(n!, 'base64url')), Buffer.from([0x21, 0x43]), Buffer.from(e!, 'base64url')])
}
const KEYS = {
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }), EdDSA: () => generateKeyPairSync('ed25519'), RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
}
const COSE = { ES256: coseOf, EdDSA: ed25519, RS256: rsa }

function assertionOf(key: KeyObject, { challenge = base64url(CHALLENGE), type = 'webauthn.get', flags = 5 } = {}): string {
  const clientData = JSON.stringify({ type, challenge, origin: 'http://localhost' })
  const authenticatorData = Buffer.concat([sha256('localhost'), Buffer.from([flags, 0, 0, 0, 1])])
  const signature = sign(key.asymmetricKeyType === 'ed25519' ? null : 'sha256', Buffer.concat([authenticatorData, sha256(clientData)]), key)
  return JSON.stringify({ response: { clientDataJSON: base64url(clientData), authenticatorData: base64url(authenticatorData), signature: base64url(signature) } })
}

for (const alg of ['ES256', 'EdDSA', 'RS256'] as const) {
  test(`a signature by ${alg} is known, and nothing else is: another challenge, another use, nobody verified, another key`, () => {
    const [{ publicKey, privateKey }, other] = [KEYS[alg](), KEYS[alg]()]
    const cose = COSE[alg](publicKey)
    assert.equal(readCoseKey(cose)?.alg, alg)
    assert.equal((decodeCredentialPublicKey(new Uint8Array(cose)) as Map<number, number>).get(3), { ES256: -7, EdDSA: -8, RS256: -257 }[alg])
    assert.equal(isSignedBy(cose, CHALLENGE, assertionOf(privateKey)), true)
    for (const bad of [
      assertionOf(privateKey, { challenge: base64url('another') }), assertionOf(privateKey, { type: 'webauthn.create' }), assertionOf(privateKey, { flags: 1 }), assertionOf(other.privateKey), '{}', 'null', 'no json',
    ]) assert.equal(isSignedBy(cose, CHALLENGE, bad), false)
  })
}

test('a key that is cut, longer, of another curve or no map at all is none', () => {
  const cose = Buffer.from(coseOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey))
  for (const bad of [
    Buffer.alloc(0), Buffer.concat([cose, Buffer.from([0])]), Buffer.from([0xa1, 0x01]), Buffer.from([0xbf, 0xff]), Buffer.concat([Buffer.from([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x02]), cose.subarray(7)]),
    Buffer.concat([Buffer.from([0xa5, 0x01, 0x02, 0x01, 0x02]), cose.subarray(5)]), ...Array.from({ length: cose.length }, (_, i) => cose.subarray(0, i)),
  ]) assert.equal(readCoseKey(bad), undefined, bad.toString('hex'))
})
