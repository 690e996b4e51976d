import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parseTilePath, printTilePath } from './tile-path.ts'

for (const { path, tile } of [
  { path: 'tile/0/000', tile: { level: 0, index: 0, width: 256 } },
  { path: 'tile/0/x001/x234/067', tile: { level: 0, index: 1_234_067, width: 256 } },
  { path: 'tile/2/000.p/1', tile: { level: 2, index: 0, width: 1 } },
  { path: 'tile/63/x001/000.p/255', tile: { level: 63, index: 1000, width: 255 } },
  { path: 'tile/entries/x273/001.p/112', tile: { level: 'entries', index: 273_001, width: 112 } },
] as const) {
  test(`the path ${path} is read and written`, () => {
    assert.deepEqual(parseTilePath(path), tile)
    assert.equal(printTilePath(tile), path)
  })
}

for (const path of [
  'tile/64/000', 'tile/00/000', 'tile/-1/000', 'tile/0/0', 'tile/0/0000', 'tile/0/x000/001', 'tile/0/001/002', 'tile/0/x001', 'tile/0/x001/x002',
  'tile/0/000.p/0', 'tile/0/000.p/256', 'tile/0/000.p/01', 'tile/0/000.p/', 'tile/0/000.p/1/', '/tile/0/000', 'tile/data/000', 'tile/0/../000',
  `tile/0/${'x999/'.repeat(8)}999`, 'tile/0/000\n',
]) {
  test(`the path ${JSON.stringify(path)} names no tile`, () => assert.equal(parseTilePath(path), undefined))
}

test('every tile has one path', () => {
  const level = fc.oneof(fc.nat({ max: 63 }), fc.constant('entries' as const))
  fc.assert(fc.property(level, fc.maxSafeNat(), fc.integer({ min: 1, max: 256 }), (where, index, width) => {
    const tile = { level: where, index, width }
    assert.deepEqual(parseTilePath(printTilePath(tile)), tile)
  }))
})
