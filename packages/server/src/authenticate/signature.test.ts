import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compactVerify, importJWK } from 'jose'
import { signToken, workload } from '../../test/fakes/workload.ts'
import { SIGNATURE_ALGS } from './registered-key.ts'
import { rememberedSignatureCheck, signatureCheck } from './signature.ts'

const payload = { iss: 'spiffe://acme.example/a', jti: 'once-and-only' }

const CASES = SIGNATURE_ALGS.flatMap((alg) => [[alg, '', signatureCheck], [alg, ' that is remembered', rememberedSignatureCheck]] as const)

for (const [alg, kind, check] of CASES) {
  test(`a ${alg} signature${kind} holds for its key and no other, again and again, and jose says the same`, async () => {
    const isSignedBy = check()
    const [signer, other] = [workload(alg), workload(alg)]
    for (let i = 0; i < 3; i++) {
      const token = signToken(signer, { alg }, { ...payload, i })
      assert.equal(isSignedBy(signer.registered, token), true)
      assert.equal(isSignedBy(other.registered, token), false)
      assert.equal(isSignedBy(signer.registered, token), true)
      await compactVerify(token, await importJWK({ ...signer.registered.jwk }, alg))
    }
  })

  test(`a ${alg} signature${kind} does not hold when a byte of header, payload or signature is another, or the signature is cut`, () => {
    const isSignedBy = check()
    const signer = workload(alg)
    const token = signToken(signer, { alg }, payload)
    assert.equal(isSignedBy(signer.registered, token), true)
    const parts = token.split('.')
    for (const [i, part] of parts.entries()) {
      for (const at of [0, part.length >> 1]) {
        const changed = part.slice(0, at) + (part[at] === 'A' ? 'B' : 'A') + part.slice(at + 1)
        assert.equal(isSignedBy(signer.registered, parts.with(i, changed).join('.')), false, `part ${i} at ${at}`)
      }
    }
    for (const signature of ['', 'AAAA', parts[2]!.slice(4), `${parts[2]!}AAAA`, `${parts[2]!}=`]) {
      assert.equal(isSignedBy(signer.registered, parts.with(2, signature).join('.')), false, signature)
    }
  })
}

test('a key is used with the algorithm that it was registered for, whatever the header says', () => {
  const isSignedBy = signatureCheck()
  const [rs, ps] = [workload('RS256'), workload('PS256')]
  assert.equal(isSignedBy({ ...rs.registered, alg: 'PS256' }, signToken(rs, { alg: 'PS256' }, payload)), false)
  assert.equal(isSignedBy({ ...ps.registered, alg: 'RS256' }, signToken(ps, { alg: 'RS256' }, payload)), false)
})
