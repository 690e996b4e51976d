import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeKey, primitives, sealNote, sha256 } from '../test/made-log.ts'
import { utf8 } from './bytes.ts'
import { openCheckpoint, parseCheckpoint, printCheckpoint } from './checkpoint.ts'
import { emptyRoot } from './hash.ts'
import { toVerifierKey } from './note.ts'

const ROOT = 'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I='
const EXAMPLE = `example.com/behind-the-sofa\n20852163\n${ROOT}\n`

test('the body of the specification is read and written byte for byte, extension lines too', () => {
  for (const text of [EXAMPLE, `${EXAMPLE}more\n`]) {
    const parsed = parseCheckpoint(text)
    assert.ok(parsed.ok)
    assert.equal(parsed.value.size, 20_852_163)
    assert.equal(printCheckpoint(parsed.value), text)
  }
})

for (const { what, text } of [
  { what: 'a size with a leading zero', text: `o\n01\n${ROOT}\n` },
  { what: 'a negative size', text: `o\n-1\n${ROOT}\n` },
  { what: 'a size that no number holds', text: `o\n9007199254740993\n${ROOT}\n` },
  { what: 'a size with a plus', text: `o\n+1\n${ROOT}\n` },
  { what: 'an empty origin', text: `\n1\n${ROOT}\n` },
  { what: 'a short root', text: 'o\n1\nAAAA\n' },
  { what: 'a root without its padding', text: `o\n1\n${ROOT.slice(0, -1)}\n` },
  { what: 'an empty extension line', text: `o\n1\n${ROOT}\n\n` },
  { what: 'no last newline', text: `o\n1\n${ROOT}` },
  { what: 'two lines', text: 'o\n1\n' },
]) {
  test(`a checkpoint with ${what} is refused`, () => {
    const parsed = parseCheckpoint(text)
    assert.equal(parsed.ok ? 'ok' : parsed.refusal.kind, 'malformed_checkpoint')
  })
}

test('what no checkpoint can say is not printed', () => {
  assert.throws(() => printCheckpoint({ origin: 'a\nb', size: 1, root: new Uint8Array(32), extensions: [] }))
  assert.throws(() => printCheckpoint({ origin: 'a', size: 0.5, root: new Uint8Array(32), extensions: [] }))
  assert.throws(() => printCheckpoint({ origin: 'a', size: 1, root: new Uint8Array(31), extensions: [] }))
})

test('a checkpoint of one log does not stand for another, though the same key signed both', () => {
  const log = makeKey('writ.example/logs/non-human')
  const human = { key: toVerifierKey(sha256, 'writ.example/logs/human', log.key.publicKey), privateKey: log.privateKey }
  const body = { origin: log.key.name, size: 1, root: sha256(utf8('a')), extensions: [] }
  assert.ok(openCheckpoint(primitives, log.key, sealNote(log, body)).ok)
  const wrong = openCheckpoint(primitives, human.key, sealNote(human, body))
  assert.equal(wrong.ok ? 'ok' : wrong.refusal.kind, 'wrong_origin')
})

test('an empty log has the empty root and no other', () => {
  const log = makeKey()
  const body = { origin: log.key.name, size: 0, root: emptyRoot(sha256), extensions: [] }
  assert.ok(openCheckpoint(primitives, log.key, sealNote(log, body)).ok)
  const wrong = openCheckpoint(primitives, log.key, sealNote(log, { ...body, root: sha256(utf8('a')) }))
  assert.equal(wrong.ok ? 'ok' : wrong.refusal.kind, 'malformed_checkpoint')
})
