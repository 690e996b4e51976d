import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { printCertificate } from '@writ/ledger/certificate'
import { printVerifierKey } from '@writ/ledger/note'
import { leafText, makeKey, makeLog, receiptsOf, sha256 } from '../../ledger/test/made-log.ts'
import { noise, story, surrounded } from '../../ledger/test/story.ts'
import { emptyStage, writ as writAlone } from './run-writ.ts'
import { warmWritForFile } from './warm-writ.ts'

const writ = warmWritForFile()

const key = makeKey()

async function filesOf(t: TestContext) {
  const stage = await emptyStage(t)
  const leaves = surrounded(story).map(leafText)
  const log = makeLog(key, leaves)
  const grown = makeLog(key, [...leaves, ...[2000, 2001].map((i) => leafText(noise(i)))])
  const certificate = printCertificate(sha256, log.note, receiptsOf(log, story))
  assert.ok(certificate.ok)
  const write = (name: string, text: string): Promise<void> => writeFile(join(stage.folder, name), text)
  await Promise.all([write('log.key', `${printVerifierKey(key.key)}\n`), write('other.key', printVerifierKey(makeKey().key)), write('closed.json', certificate.value), write('note', log.note), write('log.jsonl', `${grown.lines.join('\n')}\n`)])
  return { stage, write, lines: grown.lines, read: (name: string) => readFile(join(stage.folder, name), 'utf8') }
}

test('a certificate verifies with nothing but the key, though configuration and server are broken', async (t) => {
  const { stage } = await filesOf(t)
  const done = await writAlone(stage, ['verify', '--key', 'log.key', 'closed.json'], { environment: { WRIT_CONFIG: '/dev/null', WRIT_URL: 'nonsense' } })
  assert.deepEqual([done.code, done.err], [0, ''])
  assert.match(done.out, /^verified: closure certificate\n/)
  assert.match(done.out, /outcome: proved/)
})

test('a certificate verifies from standard input, and says so in JSON', async (t) => {
  const { stage, read } = await filesOf(t)
  const done = await writAlone(stage, ['verify', '--key', 'log.key', '--json', '-'], { input: await read('closed.json') })
  const { verified, closure } = JSON.parse(done.out) as { readonly verified: boolean; readonly closure: { readonly task: string } }
  assert.deepEqual([verified, closure.task], [true, 'tsk_1'])
})

test('a log verifies as a continuation of an earlier checkpoint, bare or in a certificate', async (t) => {
  const { stage } = await filesOf(t)
  for (const earlier of ['note', 'closed.json']) {
    const done = await writ(stage, ['verify', '--key', 'log.key', '--checkpoint', earlier, 'log.jsonl'])
    assert.equal(done.code, 0, done.err)
    assert.match(done.out, /^verified: log export\n/)
  }
})

test('a leaf changed below a checkpoint is found by its number', async (t) => {
  const { stage, write, lines } = await filesOf(t)
  await write('changed.jsonl', `${lines.map((line, i) => (i === 6 ? line.replace('0.1.0', '0.1.1').replace('tsk_1', 'tsk_9') : line)).join('\n')}\n`)
  const done = await writ(stage, ['verify', '--key', 'log.key', '--checkpoint', 'note', 'changed.jsonl'])
  assert.deepEqual([done.code, done.out], [21, ''])
  assert.match(done.err, /^error: verification failed: .*5/)
  assert.equal(done.err.trim().split('\n').length, 1)
})

for (const { what, damage } of [
  { what: 'another outcome in its summary', damage: (text: string) => text.replace('"proved"', '"incident"') },
  { what: 'a receipt less', damage: (text: string) => { const file = JSON.parse(text) as { receipts: unknown[] }; file.receipts.splice(4, 1); return JSON.stringify(file) } },
  { what: 'an unknown field', damage: (text: string) => text.replace('{', '{"also":1,') },
  { what: 'half of it', damage: (text: string) => text.slice(0, text.length / 2) },
  { what: 'nothing in it', damage: () => '' },
  { what: 'an escape sequence in it', damage: (text: string) => text.replace('tsk_1', 'tsk_\\u001b[2J') },
]) {
  test(`a certificate with ${what} answers 21 and one line that says why`, async (t) => {
    const { stage, write, read } = await filesOf(t)
    await write('damaged.json', damage(await read('closed.json')))
    const done = await writ(stage, ['verify', '--key', 'log.key', 'damaged.json'])
    assert.deepEqual([done.code, done.out], [21, ''], done.err)
    assert.match(done.err, /^error: verification failed: \P{Cc}+\n$/u)
  })
}

for (const { what, args, code } of [
  { what: 'the key of another log', args: ['--key', 'other.key', 'closed.json'], code: 21 },
  { what: 'something that is no key', args: ['--key', 'note', 'closed.json'], code: 2 },
  { what: 'a file that is not there', args: ['--key', 'log.key', 'nowhere.json'], code: 5 },
  { what: 'a key that is not there', args: ['--key', 'nowhere.key', 'closed.json'], code: 5 },
  { what: 'no key', args: ['closed.json'], code: 2 },
]) {
  test(`verify with ${what} answers ${code}`, async (t) => {
    const { stage } = await filesOf(t)
    assert.equal((await writ(stage, ['verify', ...args])).code, code)
  })
}
