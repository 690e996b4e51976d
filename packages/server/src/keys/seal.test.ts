import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import fc from 'fast-check'
import { hostEntropy } from '../platform/entropy.ts'
import { masterKeyOf } from './master-key.ts'
import { SealFault, sealerOf, sealKeysOf, type SealFaultReason } from './seal.ts'

const newMaster = () => masterKeyOf(hostEntropy.bytes(32))
const newSealer = () => sealerOf(sealKeysOf([newMaster()], 'seal'), hostEntropy)
const refused = (reason: SealFaultReason) => (error: unknown) => error instanceof SealFault && error.reason === reason

test('what was sealed in a place opens there, whatever it says', () => {
  const sealer = newSealer()
  fc.assert(fc.property(fc.string({ unit: 'binary' }), fc.string({ minLength: 1 }), (plain, where) => {
    assert.equal(sealer.unseal(sealer.seal(plain, where), where), plain)
  }))
})

test('a thousand canary secrets leave no trace in what is stored', () => {
  const sealer = newSealer()
  for (let i = 0; i < 1_000; i++) {
    const canary = toSecret(SECRET_PREFIX.database, hostEntropy.bytes(32))
    const sealed = sealer.seal(canary, `lease:${i}:secret`)
    const stored = Buffer.concat([Buffer.from(sealed), ...sealed.split('.').map((part) => Buffer.from(part, 'base64url'))])
    for (const trace of tracesOf(canary)) assert.equal(stored.includes(trace), false)
  }
})

/** The forms in which a dump would show the secret; base64 at each of the three offsets that it may start at. */
function tracesOf(secret: string): readonly Buffer[] {
  const bytes = Buffer.from(secret)
  const shifted = [0, 1, 2].map((skip) => bytes.subarray(skip, skip + 3 * Math.floor((bytes.length - skip) / 3)))
  return [
    bytes,
    Buffer.from(secret, 'utf16le'),
    Buffer.from(secret, 'utf16le').swap16(),
    Buffer.from(bytes.toString('hex')),
    Buffer.from(bytes.toString('hex').toUpperCase()),
    ...shifted.flatMap((part) => [Buffer.from(part.toString('base64')), Buffer.from(part.toString('base64url'))]),
  ]
}

test('a secret moved to another row does not open, in either direction', () => {
  const sealer = newSealer()
  const one = sealer.seal('secret of one', 'lease:one:secret')
  const two = sealer.seal('secret of two', 'lease:two:secret')
  assert.throws(() => sealer.unseal(two, 'lease:one:secret'), refused('not_authentic'))
  assert.throws(() => sealer.unseal(one, 'lease:two:secret'), refused('not_authentic'))
})

test('a place is never taken for the beginning or the end of another', () => {
  const sealer = newSealer()
  const sealed = sealer.seal('plain', 'lease:1:secret')
  for (const where of ['lease:1:secre', 'lease:1:secrets', ' lease:1:secret', 'lease:1:secret\0']) {
    assert.throws(() => sealer.unseal(sealed, where), refused('not_authentic'))
  }
})

test('a sealed text with any one character changed, added or removed does not open', () => {
  const sealer = newSealer()
  const sealed = sealer.seal('a secret of some length', 'place')
  const other = (character: string) => (character === 'A' ? 'B' : 'A')
  for (let i = 0; i < sealed.length; i++) {
    const [before, after] = [sealed.slice(0, i), sealed.slice(i + 1)]
    for (const damaged of [before + other(sealed[i]!) + after, before + after, `${before}A${sealed.slice(i)}`]) {
      assert.throws(() => sealer.unseal(damaged, 'place'), (error) => error instanceof SealFault)
    }
  }
})

for (const { what, text } of [
  { what: 'nothing', text: '' },
  { what: 'a plain secret', text: 'hunter2' },
  { what: 'a later version', text: 'w2.aaaaaaaaaaaa.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAA' },
  { what: 'a short nonce', text: 'w1.aaaaaaaaaaaa.AAAA.AAAAAAAAAAAAAAAAAAAAAAAA' },
  { what: 'less than a tag', text: 'w1.aaaaaaaaaaaa.AAAAAAAAAAAAAAAA.AAAA' },
  { what: 'padding', text: 'w1.aaaaaaaaaaaa.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAA==' },
  { what: 'a fifth part', text: 'w1.aaaaaaaaaaaa.AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAAAAAAAAAAA.A' },
]) {
  test(`${what} is not taken for a sealed text`, () => {
    assert.throws(() => newSealer().unseal(text, 'place'), refused('malformed'))
  })
}

test('what a new master key seals an older server does not open, and the other way round it does', () => {
  const [older, newer] = [newMaster(), newMaster()]
  const before = sealerOf(sealKeysOf([older], 'seal'), hostEntropy)
  const after = sealerOf(sealKeysOf([newer, older], 'seal'), hostEntropy)
  assert.equal(after.unseal(before.seal('kept', 'place'), 'place'), 'kept')
  assert.throws(() => before.unseal(after.seal('new', 'place'), 'place'), refused('unknown_key'))
})

test('what was sealed as a reply does not open as a secret', () => {
  const master = newMaster()
  const [replies, secrets] = [sealerOf(sealKeysOf([master], 'reply'), hostEntropy), sealerOf(sealKeysOf([master], 'seal'), hostEntropy)]
  assert.throws(() => secrets.unseal(replies.seal('plain', 'place'), 'place'), refused('not_authentic'))
})

test('a fault names the place and the master key, and nothing of the secret', () => {
  const master = newMaster()
  const sealer = sealerOf(sealKeysOf([master], 'seal'), hostEntropy)
  const sealed = sealer.seal('canary-4711', 'lease:one:secret')
  const fault = caught(() => sealer.unseal(sealed, 'lease:two:secret'))
  assert.match(fault.message, new RegExp(`\`lease:two:secret\` was damaged, or moved from another place .*\`${master.id}\``))
  const shown = `${fault.stack} ${JSON.stringify(fault)} ${String(fault.cause)}`
  assert.equal(shown.includes('canary') || shown.includes(sealed.split('.')[3]!), false)
})

function caught(act: () => unknown): SealFault {
  try {
    act()
  } catch (error) {
    if (error instanceof SealFault) return error
    throw error
  }
  return assert.fail('nothing was thrown')
}

test('a hundred thousand secrets sealed in one place have a hundred thousand nonces', () => {
  const sealer = newSealer()
  const nonces = new Set<string>()
  for (let i = 0; i < 100_000; i++) nonces.add(sealer.seal('x', 'place').split('.')[2]!)
  assert.equal(nonces.size, 100_000)
})

test('text that would not come back as it was, and a secret without a place, are bugs', () => {
  const sealer = newSealer()
  assert.throws(() => sealer.seal('\ud800', 'place'), /lone surrogate/)
  assert.throws(() => sealer.seal('plain', ''), /needs a place/)
})
