import assert from 'node:assert/strict'
import { test } from 'node:test'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, jwtVerify } from 'jose'
import { algorithmOf, makeAssertion } from './assertion.ts'

const SPIFFE_ID = 'spiffe://acme.example/deploy-bot'
const SERVER = 'http://127.0.0.1:7400'

for (const alg of ['ES256', 'ES384', 'EdDSA', 'PS256']) {
  test(`an assertion signed with ${alg} says who, for whom and for how long, and verifies`, async () => {
    const pair = await generateKeyPair(alg, { extractable: true })
    const key = await exportJWK(pair.privateKey)
    assert.equal(algorithmOf(key), alg)
    const nowMs = Date.now()
    const { payload, protectedHeader } = await jwtVerify(await makeAssertion({ spiffeId: SPIFFE_ID, key }, SERVER, nowMs), pair.publicKey, { audience: SERVER, issuer: SPIFFE_ID, subject: SPIFFE_ID })
    assert.deepEqual(protectedHeader, { alg, typ: 'client-authentication+jwt', kid: await calculateJwkThumbprint(await exportJWK(pair.publicKey)) })
    assert.equal(payload.aud, SERVER)
    assert.deepEqual([payload.iat, payload.exp], [Math.floor(nowMs / 1000), Math.floor(nowMs / 1000) + 60])
    assert.match(String(payload.jti), /^[0-9a-f]{32}$/)
    assert.deepEqual(Object.keys(payload).toSorted(), ['aud', 'exp', 'iat', 'iss', 'jti', 'sub'])
  })
}

test('no two assertions are the same', async () => {
  const key = await exportJWK((await generateKeyPair('ES256', { extractable: true })).privateKey)
  const [one, other] = await Promise.all([makeAssertion({ spiffeId: SPIFFE_ID, key }, SERVER), makeAssertion({ spiffeId: SPIFFE_ID, key }, SERVER)])
  assert.notEqual(one.split('.')[1], other.split('.')[1])
})

test('a symmetric key signs nothing', async () => {
  await assert.rejects(makeAssertion({ spiffeId: SPIFFE_ID, key: { kty: 'oct', k: 'canary' } }, SERVER), (fault: Error) => /can not sign/.test(fault.message) && !fault.message.includes('canary'))
})
