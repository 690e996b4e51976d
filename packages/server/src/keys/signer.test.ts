import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, generateKeyPairSync, verify } from 'node:crypto'
import { test } from 'node:test'
import { signerOf } from './signer.ts'

const fromSeed = (hex: string) =>
  createPrivateKey({ key: Buffer.from(`302e020100300506032b657004220420${hex}`, 'hex'), format: 'der', type: 'pkcs8' })

test('the key and the signature of RFC 8032 §7.1 TEST 2 come out as printed there', () => {
  const signer = signerOf(fromSeed('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb'))
  assert.equal(hex(signer.publicKey()), '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c')
  assert.equal(
    hex(signer.sign(Buffer.from('72', 'hex'))),
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  )
})

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

test('anyone with the public key can check a signature, and only over the same bytes', () => {
  const signer = signerOf(generateKeyPairSync('ed25519').privateKey)
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(signer.publicKey()).toString('base64url') }
  const publicKey = createPublicKey({ key: jwk, format: 'jwk' })
  const signature = signer.sign(Buffer.from('checkpoint'))
  assert.ok(verify(null, Buffer.from('checkpoint'), publicKey, signature))
  assert.equal(verify(null, Buffer.from('checkpoint.'), publicKey, signature), false)
})

test('changing the bytes that a signer handed out does not change its key', () => {
  const signer = signerOf(generateKeyPairSync('ed25519').privateKey)
  const before = signer.publicKey()
  signer.publicKey().fill(0)
  assert.deepEqual(signer.publicKey(), before)
})

test('a key of another kind signs no log', () => {
  assert.throws(() => signerOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey), /Ed25519/)
  assert.throws(() => signerOf(generateKeyPairSync('ed25519').publicKey), /private/)
})
