import assert from 'node:assert/strict'
import { createSecretKey } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { epochMs } from '@writ/domain/time'
import { fixedClock } from '../../test/fakes/clock.ts'
import { dpopNonces } from './dpop-nonce.ts'
import { accessTokenHash, dpop } from './dpop.ts'
import { parseRegisteredKey } from './registered-key.ts'

const folder = process.env['WRIT_VECTORS'] ?? join(import.meta.dirname, '../../../../../shared/vectors')
const file = join(folder, 'rfc9449-dpop', 'vectors.json')
const skip = existsSync(file) ? false : 'skipped: no vectors'

type Vectors = {
  readonly dpop_proofs: readonly { readonly proof: string; readonly claims: { readonly htm: string; readonly htu: string; readonly iat: number; readonly ath?: string }; readonly jkt: string; readonly access_token?: string }[]
  readonly bound_access_token: { readonly claims: { readonly cnf: { readonly jkt: string } } }
  readonly jwk_thumbprints: readonly { readonly source: string; readonly jwk: object; readonly sha256: string }[]
}
const vectors = (): Vectors => JSON.parse(readFileSync(file, 'utf8')) as Vectors

const nonces = dpopNonces([createSecretKey(Buffer.alloc(32))])
const deskOf = (htu: string, clock = fixedClock()) => dpop({ clock, issuer: new URL(htu).origin, nonces, nonceRequired: false, notBefore: null })

test('the proofs of RFC 9449 are good at their time and place, and prove its key', { skip }, () => {
  const { dpop_proofs: proofs, bound_access_token: bound } = vectors()
  assert.equal(proofs.length, 3)
  for (const { proof, claims, jkt, access_token: token } of proofs) {
    const check = deskOf(claims.htu, fixedClock(epochMs(claims.iat * 1000 + 5000)))
    const checked = check({ proof, method: claims.htm, path: new URL(claims.htu).pathname, token: token ?? '', aboutToken: token === undefined ? 'may' : 'must' })
    assert.ok(checked.ok, JSON.stringify(checked))
    assert.equal(checked.value.thumbprint, jkt)
    assert.equal(jkt, bound.claims.cnf.jkt)
    if (token !== undefined) assert.equal(accessTokenHash(token), claims.ath)
  }
})

test('the proofs of RFC 9449 are worth nothing today, elsewhere, with another method or about another token', { skip }, () => {
  for (const { proof, claims, access_token: token } of vectors().dpop_proofs) {
    const then = fixedClock(epochMs(claims.iat * 1000))
    const shown = { proof, method: claims.htm, path: new URL(claims.htu).pathname, token: token ?? '', aboutToken: token === undefined ? 'may' : 'must' } as const
    assert.ok(deskOf(claims.htu, then)(shown).ok)
    for (const { because, answer } of [
      { because: 'iat', answer: deskOf(claims.htu)(shown) },
      { because: 'htu', answer: deskOf(claims.htu, then)({ ...shown, path: '/elsewhere' }) },
      { because: 'htu', answer: deskOf('https://other.example', then)(shown) },
      { because: 'htm', answer: deskOf(claims.htu, then)({ ...shown, method: 'PUT' }) },
      { because: 'ath', answer: deskOf(claims.htu, then)({ ...shown, token: 'x', aboutToken: 'must' }) },
    ]) assert.deepEqual(answer, { ok: false, refusal: { kind: 'bad_proof', because } })
  }
})

test('the thumbprints of RFC 7638, RFC 8037 and RFC 9449 are ours', { skip }, () => {
  for (const { source, jwk, sha256 } of vectors().jwk_thumbprints) {
    const key = parseRegisteredKey(jwk)
    assert.ok(key.ok, source)
    assert.equal(key.value.thumbprint, sha256, source)
  }
})
