import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { makeKey, makeLog, leafText, primitives, receiptsOf, sealNote, sha256 } from '../test/made-log.ts'
import { story, surrounded } from '../test/story.ts'
import { toBase64 } from './bytes.ts'
import { printCertificate, verifyCertificate, type Certificate } from './certificate.ts'
import type { Receipt } from './receipt.ts'

const logKey = makeKey()
const log = makeLog(logKey, surrounded().map(leafText))
const receipts = receiptsOf(log, story)
const printed = printCertificate(sha256, log.note, receipts)
assert.ok(printed.ok)
const TEXT = printed.value

const kindOf = (text: string, earlier: readonly string[] = [], key = logKey.key): string => {
  const verified = verifyCertificate(primitives, key, text, earlier)
  return verified.ok ? 'ok' : verified.refusal.kind
}
const changed = (change: (certificate: Certificate & Record<string, unknown>) => unknown): string => JSON.stringify(change(JSON.parse(TEXT)))
const withReceipt = (at: number, change: (receipt: Receipt) => object): string =>
  changed((certificate) => ({ ...certificate, receipts: certificate.receipts.map((receipt, i) => (i === at ? change(receipt) : receipt)) }))

/** The certificate without the receipts of these leaves. */
const without = (leaves: RegExp): string =>
  changed((certificate) => ({ ...certificate, receipts: certificate.receipts.filter(({ leaf }) => !leaves.test(leaf)) }))

test('a certificate verifies with nothing but the public key, and says what its receipts show', () => {
  const verified = verifyCertificate(primitives, logKey.key, TEXT)
  assert.ok(verified.ok)
  const { closure, checkpoint } = verified.value
  assert.equal(checkpoint.size, surrounded().length)
  assert.deepEqual(
    [
      closure.task,
      closure.purpose,
      closure.technical_owner,
      closure.outcome,
      closure.leases.map(({ lease }) => lease),
      closure.descendants.map(({ task }) => task),
    ],
    ['tsk_1', 'migrate schema', 'team:platform', 'proved', ['lse_1', 'lse_2'], ['tsk_2']],
  )
})

test('a certificate verifies however its JSON is laid out', () => {
  assert.equal(kindOf(JSON.stringify(JSON.parse(TEXT))), 'ok')
})

for (const { what, text, kind } of [
  {
    what: 'a purpose is changed in its disclosure',
    text: TEXT.replace('"value": "migrate schema"', '"value": "read reports"'),
    kind: 'bad_disclosure',
  },
  {
    what: 'a purpose is changed in the summary',
    text: TEXT.replace('"purpose": "migrate schema"', '"purpose": "read reports"'),
    kind: 'wrong_summary',
  },
  {
    what: 'an outcome in a leaf is changed',
    text: TEXT.replace('\\"outcome\\":\\"never_issued\\"', '\\"outcome\\":\\"not_evaluated\\"'),
    kind: 'not_included',
  },
  { what: 'a leaf is written in another form', text: withReceipt(0, (receipt) => ({ ...receipt, leaf: `${receipt.leaf} ` })), kind: 'not_canonical' },
  { what: 'a leaf number is changed', text: withReceipt(0, (receipt) => ({ ...receipt, index: receipt.index + 1 })), kind: 'not_included' },
  { what: 'a proof loses a hash', text: withReceipt(0, (receipt) => ({ ...receipt, proof: receipt.proof.slice(1) })), kind: 'not_included' },
  {
    what: 'a proof gets a hash of another length',
    text: withReceipt(0, (receipt) => ({ ...receipt, proof: [...receipt.proof, 'AAAA'] })),
    kind: 'malformed_receipt',
  },
  {
    what: 'a proof hash is changed',
    text: withReceipt(2, (receipt) => ({ ...receipt, proof: [toBase64(new Uint8Array(32)), ...receipt.proof.slice(1)] })),
    kind: 'not_included',
  },
  {
    what: 'the receipt of a lease end is taken out',
    text: without(/"proved".*lease\.ended/),
    kind: 'incomplete',
  },
  {
    what: 'the receipt of a child task is taken out',
    text: without(/"task":"tsk_2","type"/),
    kind: 'incomplete',
  },
  {
    what: 'its receipts stand in another order',
    text: changed((certificate) => ({ ...certificate, receipts: certificate.receipts.toReversed() })),
    kind: 'out_of_order',
  },
  {
    what: 'a receipt stands twice',
    text: changed((certificate) => ({ ...certificate, receipts: [...certificate.receipts, certificate.receipts[0]] })),
    kind: 'repeated',
  },
  {
    what: 'the tree size in the checkpoint is changed',
    text: TEXT.replace(`\\n${log.checkpoint.size}\\n`, `\\n${log.checkpoint.size + 1}\\n`),
    kind: 'bad_signature',
  },
  {
    what: 'the checkpoint is signed by somebody else',
    text: changed((certificate) => ({ ...certificate, checkpoint: sealNote(makeKey(), log.checkpoint) })),
    kind: 'unsigned',
  },
  { what: 'a field is added', text: changed((certificate) => ({ ...certificate, note: 'all is well' })), kind: 'malformed_certificate' },
  { what: 'a field is added to a receipt', text: withReceipt(0, (receipt) => ({ ...receipt, note: 'all is well' })), kind: 'malformed_receipt' },
  {
    what: 'a disclosure is added for nothing',
    text: withReceipt(1, (receipt) => ({ ...receipt, disclosures: { purpose: { salt: 'AAAA', value: 'x' } } })),
    kind: 'bad_disclosure',
  },
  {
    what: 'a salt is changed',
    text: withReceipt(0, ({ disclosures, ...receipt }) =>
      ({ ...receipt, disclosures: { purpose: { ...disclosures!['purpose'], salt: disclosures!['technical_owner']!.salt } } })),
    kind: 'bad_disclosure',
  },
  { what: 'a summary stands twice', text: TEXT.replace('"summary": {', '"summary": {}, "summary": {'), kind: 'malformed_json' },
  {
    what: 'a fact is added to the summary',
    text: changed((certificate) => ({ ...certificate, summary: { ...certificate.summary, approved_by: 'nobody' } })),
    kind: 'wrong_summary',
  },
  {
    what: 'the summary is taken out',
    text: changed(({ format, checkpoint, receipts: all }) => ({ format, checkpoint, receipts: all })),
    kind: 'malformed_certificate',
  },
  { what: 'the format is another', text: TEXT.replace('certificate/1', 'certificate/2'), kind: 'malformed_certificate' },
  { what: 'the file is cut off', text: TEXT.slice(0, -20), kind: 'malformed_json' },
  { what: 'the receipts are no list', text: changed((certificate) => ({ ...certificate, receipts: {} })), kind: 'malformed_certificate' },
  { what: 'the file is empty', text: '', kind: 'malformed_json' },
]) {
  test(`a certificate is refused when ${what}`, () => {
    assert.notEqual(text, TEXT)
    assert.equal(kindOf(text), kind)
  })
}

test('a certificate damaged in any one bit is refused', () => {
  const bytes = new TextEncoder().encode(TEXT)
  fc.assert(fc.property(fc.nat({ max: bytes.length - 1 }), fc.nat({ max: 7 }), (at, bit) => {
    const damaged = bytes.map((byte, i) => (i === at ? byte ^ (1 << bit) : byte))
    assert.notEqual(kindOf(new TextDecoder('utf-8', { ignoreBOM: true }).decode(damaged)), 'ok')
  }), { numRuns: 400 })
})

test('any value put in the place of another is refused', () => {
  const paths = pathsOf(JSON.parse(TEXT))
  const other = fc.oneof(fc.jsonValue(), fc.constantFrom<unknown>('', 0, -1, null, [], {}, 'x'))
  fc.assert(fc.property(fc.constantFrom(...paths), other, (path, value) => {
    const certificate = JSON.parse(TEXT)
    let parent = certificate
    for (const name of path.slice(0, -1)) parent = parent[name]
    if (JSON.stringify(parent[path.at(-1)!]) === JSON.stringify(value)) return
    parent[path.at(-1)!] = value
    assert.notEqual(kindOf(JSON.stringify(certificate)), 'ok', path.join('.'))
  }), { numRuns: 400 })
})

test('a text that was erased is told as not disclosed, and the certificate still verifies', () => {
  const erased = receipts.map(({ disclosures, ...receipt }) =>
    (disclosures === undefined ? receipt : { ...receipt, disclosures: { technical_owner: disclosures['technical_owner']! } }))
  const text = printCertificate(sha256, log.note, erased)
  assert.ok(text.ok)
  const verified = verifyCertificate(primitives, logKey.key, text.value)
  assert.ok(verified.ok)
  assert.deepEqual([verified.value.closure.purpose, verified.value.closure.technical_owner], [null, 'team:platform'])
})

test('a certificate of the wrong log is refused by the key', () => {
  assert.equal(kindOf(TEXT, [], makeKey('writ.example/logs/human').key), 'unsigned')
})

test('no certificate is printed over receipts that its verifier would refuse', () => {
  const refused = printCertificate(sha256, log.note, receipts.slice(1))
  assert.equal(refused.ok ? 'ok' : refused.refusal.kind, 'incomplete')
})

const earlierAt = (size: number, leaves = log.leaves): string => makeLog(logKey, leaves.slice(0, size)).note

for (const { when, earlier, says } of [
  { when: 'it is the same', earlier: earlierAt(log.leaves.length), says: 'same_tree' },
  { when: 'it is smaller', earlier: earlierAt(3), says: 'not_evaluated' },
  { when: 'it is larger', earlier: earlierAt(99, [...log.leaves, '1', '2']), says: 'not_evaluated' },
  { when: 'it has the same size and another root', earlier: earlierAt(99, log.leaves.toReversed()), says: 'forked' },
  { when: 'somebody else signed it', earlier: makeLog(makeKey(), log.leaves).note, says: 'unsigned' },
]) {
  test(`against an earlier checkpoint a certificate is told as ${says} when ${when}`, () => {
    const verified = verifyCertificate(primitives, logKey.key, TEXT, [earlier])
    assert.equal(verified.ok ? verified.value.earlier[0]?.kind : verified.refusal.kind, says)
  })
}

function pathsOf(value: unknown, path: readonly string[] = []): readonly (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path]
  return [...(path.length > 0 ? [path] : []), ...Object.entries(value).flatMap(([name, item]) => pathsOf(item, [...path, name]))]
}
