import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ID_PREFIX, mintId, parseId, type IdKind } from './id.ts'
import { epochMs } from './time.ts'

const entropy = fc.uint8Array({ minLength: 10, maxLength: 10 })
const instant = fc.nat(2 ** 48 - 1).map(epochMs)
const kinds = Object.keys(ID_PREFIX) as readonly IdKind[]

test('ids made later sort later, whatever their entropy', () => {
  fc.assert(fc.property(instant, instant, entropy, entropy, (a, b, x, y) => {
    fc.pre(a !== b)
    const [first, second] = a < b ? [a, b] : [b, a]
    assert.ok(mintId('task', first, x) < mintId('task', second, y))
  }), { numRuns: 3000 })
})

test('an id of each kind is read as its own kind and as no other', () => {
  fc.assert(fc.property(fc.constantFrom(...kinds), instant, entropy, (kind, now, random) => {
    const id = mintId(kind, now, random)
    assert.equal(id.length, ID_PREFIX[kind].length + 27)
    for (const other of kinds) assert.equal(parseId(other, id), other === kind ? id : undefined)
  }))
})

test('an id is a UUIDv7: RFC 9562 §5.7 gives its time, version and variant', () => {
  const id = mintId('task', epochMs(0x017f22e279b0), Uint8Array.from([0x0c, 0xc3, 0x98, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f]))
  let value = 0n
  for (const character of id.slice('tsk_'.length)) value = (value << 5n) | BigInt('0123456789abcdefghjkmnpqrstvwxyz'.indexOf(character))
  // RFC 9562 appendix A.6: 017F22E2-79B0-7CC3-98C4-DC0C0C07398F
  assert.equal(value.toString(16).padStart(32, '0'), '017f22e279b07cc398c4dc0c0c07398f')
})

test('a hundred thousand ids of one millisecond are all different', () => {
  const random = new Uint8Array(10)
  const seen = new Set<string>()
  for (let i = 0; i < 100_000; i++) {
    new DataView(random.buffer).setUint32(6, i)
    seen.add(mintId('lease', epochMs(1_800_000_000_000), random))
  }
  assert.equal(seen.size, 100_000)
})

const id = mintId('task', epochMs(1_800_000_000_000), new Uint8Array(10))
for (const { when, text } of [
  { when: 'it is empty', text: '' },
  { when: 'it has no prefix', text: id.slice(4) },
  { when: 'it is in capitals', text: id.toUpperCase() },
  { when: 'one character is missing', text: id.slice(0, -1) },
  { when: 'one character is too many', text: `${id}0` },
  { when: 'a line ends it', text: `${id}\n` },
  { when: 'a space comes first', text: ` ${id}` },
  { when: 'it holds a letter that Crockford left out', text: `${id.slice(0, -1)}u` },
  { when: 'it says more than 128 bits', text: `tsk_8${id.slice(5)}` },
  { when: 'it is of another kind', text: `lse_${id.slice(4)}` },
]) {
  test(`a task id is refused when ${when}`, () => {
    assert.equal(parseId('task', text), undefined)
  })
}

test('an id is not made from too little entropy', () => {
  assert.throws(() => mintId('task', epochMs(0), new Uint8Array(9)), /10 bytes/)
})

test('no two kinds of id share a prefix', () => {
  assert.equal(new Set(Object.values(ID_PREFIX)).size, kinds.length)
})
