import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseEntries, printEntries } from './entries.ts'

test('a bundle holds its entries behind their lengths', () => {
  assert.deepEqual(printEntries([new Uint8Array([7]), new Uint8Array(0), new Uint8Array(258)]).slice(0, 7), new Uint8Array([0, 1, 7, 0, 0, 1, 2]))
})

test('a bundle is read back, and refused when it ends inside an entry', () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 9 }), fc.nat(), (entries, cut) => {
    const bundle = printEntries(entries)
    assert.deepEqual(parseEntries(bundle), entries)
    const short = parseEntries(bundle.slice(0, cut % (bundle.length + 1)))
    assert.ok(short === undefined || short.every((entry, i) => Buffer.compare(entry, entries[i]!) === 0))
  }))
  assert.equal(parseEntries(new Uint8Array([0])), undefined)
  assert.equal(parseEntries(new Uint8Array([0, 2, 1])), undefined)
})

test('an entry of more than 65,535 bytes does not fit', () => {
  assert.equal(parseEntries(printEntries([new Uint8Array(65_535)]))?.[0]?.length, 65_535)
  assert.throws(() => printEntries([new Uint8Array(65_536)]), RangeError)
})
