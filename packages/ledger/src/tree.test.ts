import assert from 'node:assert/strict'
import { test } from 'node:test'
import { naiveRoot } from '../test/naive-tree.ts'
import { sha256 } from '../test/made-log.ts'
import { toHex, utf8 } from './bytes.ts'
import { emptyRoot, leafHash, leafHashOfText } from './hash.ts'
import { GrowingTree, splitPoint, subtreesOf } from './tree.ts'

test('the tree without leaves has the hash of nothing (RFC 9162 §2.1.1)', () => {
  assert.equal(toHex(emptyRoot(sha256)), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  assert.deepEqual(new GrowingTree(sha256).root(), emptyRoot(sha256))
})

test('the roots are those that RFC 6962 implementations publish for their eight test leaves', () => {
  const leaves = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f']
  const tree = new GrowingTree(sha256)
  for (const leaf of leaves) tree.append(leafHash(sha256, new Uint8Array(Buffer.from(leaf, 'hex'))))
  assert.equal(toHex(tree.root()), '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328')
})

test('a growing tree has the root of the recursive definition at every size, and a copy grows by itself', () => {
  const leaves = Array.from({ length: 300 }, (_, i) => leafHash(sha256, utf8(`leaf ${i}`)))
  const tree = new GrowingTree(sha256)
  for (let size = 0; size <= leaves.length; size++) {
    assert.deepEqual(tree.root(), naiveRoot(leaves.slice(0, size)))
    assert.equal(tree.size, size)
    if (size === 150) {
      const copy = tree.copy()
      copy.append(leaves[0]!)
      assert.equal(tree.size, 150)
    }
    if (size < leaves.length) tree.append(leaves[size]!)
  }
})

test('a text has the leaf hash of its UTF-8', () => {
  for (const text of ['', 'a', 'é', '\u20ac\u{1f600}', 'x'.repeat(3000)]) assert.deepEqual(leafHashOfText(sha256, text), leafHash(sha256, utf8(text)))
})

test('a range splits into the largest subtrees, also past 2^32 leaves', () => {
  assert.deepEqual(subtreesOf({ from: 0, to: 13 }), [{ height: 3, index: 0 }, { height: 2, index: 2 }, { height: 0, index: 12 }])
  assert.deepEqual(subtreesOf({ from: 8, to: 8 }), [])
  assert.deepEqual(subtreesOf({ from: 2 ** 40, to: 2 ** 40 + 3 }), [{ height: 1, index: 2 ** 39 }, { height: 0, index: 2 ** 40 + 2 }])
  assert.deepEqual([2, 3, 4, 5, 8, 9, 2 ** 40 + 1].map(splitPoint), [1, 2, 2, 4, 4, 8, 2 ** 40])
})
