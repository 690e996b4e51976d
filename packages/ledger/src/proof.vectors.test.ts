import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sha256 } from '../test/made-log.ts'
import { casesOf, noVectors } from '../test/vectors.ts'
import { verifyConsistency, verifyInclusion } from './proof.ts'

type Hash = string | null
type InclusionCase = { leafIdx: number; treeSize: number; root: Hash; leafHash: Hash; proof: Hash[] | null; desc: string; wantErr: boolean }
type ConsistencyCase = { size1: number; size2: number; root1: Hash; root2: Hash; proof: Hash[] | null; desc: string; wantErr: boolean }

const bytes = (base64: Hash): Uint8Array => new Uint8Array(Buffer.from(base64 ?? '', 'base64'))

test('every inclusion proof of transparency-dev is accepted or refused as marked', { skip: noVectors }, () => {
  const cases = casesOf<InclusionCase>('merkle-proofs/inclusion.json')
  assert.equal(cases.length, 98)
  for (const { leafIdx, treeSize, root, leafHash, proof, desc, wantErr } of cases) {
    const accepted = verifyInclusion(
      sha256, { index: leafIdx, size: treeSize, leafHash: bytes(leafHash), proof: (proof ?? []).map(bytes), root: bytes(root) },
    )
    assert.equal(accepted, !wantErr, `${desc}: leaf ${leafIdx} of ${treeSize}`)
  }
})

test('every consistency proof of transparency-dev is accepted or refused as marked, from the empty tree too', { skip: noVectors }, () => {
  const cases = casesOf<ConsistencyCase>('merkle-proofs/consistency.json')
  assert.equal(cases.length, 98)
  for (const { size1, size2, root1, root2, proof, desc, wantErr } of cases) {
    const accepted = verifyConsistency(sha256, { size1, size2, root1: bytes(root1), root2: bytes(root2), proof: (proof ?? []).map(bytes) })
    assert.equal(accepted, !wantErr, `${desc}: ${size1} to ${size2}`)
  }
})
