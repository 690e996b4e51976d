import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { buildVerifier } from '../../../scripts/build-verifier.ts'
import { printCertificate } from '../src/certificate.ts'
import { printVerifierKey } from '../src/note.ts'
import { leafText, makeKey, makeLog, receiptsOf, sealNote, sha256 } from './made-log.ts'
import { story, surrounded, tokenStory } from './story.ts'

const HOST_NODE = '/usr/bin/node'
const versionOf = (node: string): string => execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
const isOld = existsSync(HOST_NODE) && Number(/^v(\d+)/.exec(versionOf(HOST_NODE))?.[1]) < 24
const NODE = isOld ? HOST_NODE : process.execPath
const WHERE = `on Node ${versionOf(NODE)}`

const folder = mkdtempSync(join(tmpdir(), 'writ-verify-'))
const at = (name: string): string => join(folder, name)
const put = (name: string, text: string | Uint8Array): string => {
  writeFileSync(at(name), text)
  return at(name)
}
const verify = (...args: readonly string[]): { code: number | null; out: string; err: string } => {
  // An empty environment: no NODE_OPTIONS, no NODE_PATH, nothing of ours.
  const { status, stdout, stderr } = spawnSync(NODE, [at('writ-verify.mjs'), ...args], { cwd: folder, encoding: 'utf8', env: {} })
  return { code: status, out: stdout, err: stderr }
}

const logKey = makeKey()
const log = makeLog(logKey, surrounded().map(leafText))
const printed = printCertificate(sha256, log.note, receiptsOf(log, story))
assert.ok(printed.ok)
const TEXT = printed.value
const EXPORT = `${log.lines.join('\n')}\n`

before(async () => {
  await buildVerifier(at('writ-verify.mjs'))
  put('log.key', `${printVerifierKey(logKey.key)}\n`)
  put('task.json', TEXT)
  put('log.jsonl', EXPORT)
  put('earlier.txt', makeLog(logKey, log.leaves.slice(0, 7)).note)
})
after(() => rmSync(folder, { recursive: true }))

const withKey = ['--key', 'log.key']

test(`the offline verifier is one file that imports nothing but Node's own modules`, () => {
  const code = readFileSync(at('writ-verify.mjs'), 'utf8')
  const imported = Array.from(
    code.matchAll(/^\s*import\b.*?from\s+"([^"]+)"|\b(?:import|require)\(\s*["']([^"']+)["']/gm), (found) => found[1] ?? found[2],
  )
  assert.deepEqual(new Set(imported), new Set(['node:crypto', 'node:fs']))
})

test(`the offline verifier prints what a certificate's receipts cover, ${WHERE}`, () => {
  const { code, out, err } = verify(...withKey, 'task.json')
  assert.deepEqual([code, err], [0, ''])
  assert.match(out, /^verified: closure certificate\nlog writ\.example\/logs\/non-human, 20 leaves/)
  assert.match(out, /outcome: proved/)
})

test(`the offline verifier prints until when who checks an access token offline could accept it, and refuses a certificate without it, ${WHERE}`, () => {
  const of = makeLog(logKey, surrounded(tokenStory).map(leafText))
  const whole = printCertificate(sha256, of.note, receiptsOf(of, tokenStory))
  assert.ok(whole.ok)
  put('token.json', whole.value)
  const { code, out } = verify(...withKey, 'token.json')
  assert.equal(code, 0)
  assert.match(out, /^ {4}asked about it again: refused by writ, stopped, 40 ms after the end or revocation$/m)
  assert.match(out, /^ {4}who checks it offline, and never asks, could accept it until: 2026-09-21T14:18:20\.000Z$/m)
  const { receipts, ...rest } = JSON.parse(whole.value) as { receipts: readonly { leaf: string }[] }
  put('less.json', JSON.stringify({ ...rest, receipts: receipts.filter(({ leaf }) => !leaf.includes('"lse_t","stream"')) }))
  const less = verify(...withKey, 'less.json')
  assert.notEqual(less.code, 0)
  assert.match(less.out + less.err, /incomplete/)
})

test(`the offline verifier finds a log whole that continues what the auditor kept, ${WHERE}`, () => {
  const { code, out } = verify(...withKey, '--checkpoint=earlier.txt', '--checkpoint', 'task.json', '--checkpoint', 'log.jsonl', 'log.jsonl')
  assert.equal(code, 0)
  assert.match(out, /^verified: log export\n/)
  assert.match(out, /it continues the earlier checkpoint at 7 leaves\n.*at 20 leaves\n.*at 20 leaves\n$/)
})

test(`the offline verifier says when a log was compared with nothing, ${WHERE}`, () => {
  assert.match(verify(...withKey, 'log.jsonl').out, /compared with no earlier checkpoint/)
})

const damaged: readonly { readonly what: string; readonly text: string | Uint8Array }[] = [
  { what: 'a leaf is changed', text: TEXT.replace('\\"reason\\":\\"completed\\"', '\\"reason\\":\\"deadline\\"') },
  { what: 'a disclosure is changed', text: TEXT.replace('"value": "migrate schema"', '"value": "read reports"') },
  { what: 'the summary is changed', text: TEXT.replace('"handle": "writ_lse_1"', '"handle": "writ_lse_9"') },
  {
    what: 'a proof hash is changed',
    text: TEXT.replace(/("proof": \[\s*")(.)/, (_, before_: string, first: string) => before_ + (first === 'A' ? 'B' : 'A')),
  },
  { what: 'a leaf number is changed', text: TEXT.replace(/"index": \d+/, '"index": 0') },
  { what: 'a receipt is taken out', text: JSON.stringify({ ...JSON.parse(TEXT), receipts: JSON.parse(TEXT).receipts.slice(0, -1) }) },
  {
    what: 'a receipt stands twice',
    text: JSON.stringify({ ...JSON.parse(TEXT), receipts: [...JSON.parse(TEXT).receipts, JSON.parse(TEXT).receipts[3]] }),
  },
  {
    what: 'the root in the checkpoint is changed',
    text: TEXT.replace(/(\\n20\\n)(.)/, (_, before_: string, first: string) => before_ + (first === 'A' ? 'B' : 'A')),
  },
  {
    what: 'the checkpoint is signed by another key',
    text: TEXT.replace(JSON.stringify(log.note), JSON.stringify(sealNote(makeKey(), log.checkpoint))),
  },
  { what: 'a field is added', text: TEXT.replace('{', '{"approved": true,') },
  { what: 'the end is cut off', text: TEXT.slice(0, TEXT.length / 2) },
  { what: 'the file is not UTF-8', text: new Uint8Array([0x7b, 0xff]) },
]
for (const { what, text } of damaged) {
  test(`the offline verifier ends with 21 when ${what}, ${WHERE}`, () => {
    assert.notEqual(text, TEXT)
    put('bad.json', text)
    const { code, out, err } = verify(...withKey, 'bad.json')
    assert.deepEqual([code, out], [21, ''])
    assert.match(err, /^verification failed: [a-z_]+: /)
  })
}

test(`the offline verifier ends with 21 and names the first bad leaf of a log, ${WHERE}`, () => {
  put('bad.jsonl', EXPORT.replace('\\"reason\\":\\"completed\\"', '\\"reason\\":\\"deadline\\"'))
  const { code, out, err } = verify(...withKey, 'bad.jsonl')
  assert.deepEqual([code, out], [21, ''])
  assert.match(err, /^verification failed: leaf_changed: .*\nfirst bad leaf: 11\n$/)
})

test(`the offline verifier ends with 21 when a log was put back from an older copy, ${WHERE}`, () => {
  put('older.jsonl', `${makeLog(logKey, log.leaves.slice(0, 9)).lines.join('\n')}\n`)
  const { code, err } = verify(...withKey, '--checkpoint', 'task.json', 'older.jsonl')
  assert.equal(code, 21)
  assert.match(err, /first bad leaf: 9/)
})

for (const { what, args, code, says } of [
  { what: 'a flag is misspelt', args: ['--kye', 'log.key', 'task.json'], code: 2, says: /^unknown flag `--kye`/ },
  { what: 'the key is missing', args: ['task.json'], code: 2, says: /^`--key` is missing/ },
  { what: 'the key is given twice', args: [...withKey, ...withKey, 'task.json'], code: 2, says: /twice/ },
  { what: 'a flag has no file', args: ['task.json', '--key'], code: 2, says: /^`--key` needs a file/ },
  { what: 'no file is named', args: withKey, code: 2, says: /^the file to verify is missing/ },
  { what: 'two files are named', args: [...withKey, 'task.json', 'log.jsonl'], code: 2, says: /one file at a time, not also `log\.jsonl`/ },
  { what: 'the key file holds no key', args: ['--key', 'task.json', 'task.json'], code: 2, says: /^`task\.json` holds no verifier key/ },
  { what: 'the file is not there', args: [...withKey, 'nothing.json'], code: 5, says: /^no file `nothing\.json`/ },
  { what: 'the key is not there', args: ['--key', 'nothing.key', 'task.json'], code: 5, says: /^no file `nothing\.key`/ },
  { what: 'the checkpoint is not there', args: [...withKey, '--checkpoint', 'nothing.txt', 'task.json'], code: 5, says: /^no file `nothing\.txt`/ },
  { what: 'the file is a folder', args: [...withKey, '.'], code: 1, says: /^could not verify: EISDIR/ },
  { what: 'a flag would colour the terminal', args: ['--\u001b[31m', 'x'], code: 2, says: /^unknown flag `--\\u\{1b\}\[31m`/ },
]) {
  test(`the offline verifier ends with ${code} when ${what}, ${WHERE}`, () => {
    const said = verify(...args)
    assert.deepEqual([said.code, said.out], [code, ''])
    assert.match(said.err, says)
  })
}

test(`the offline verifier tells its usage when asked, ${WHERE}`, () => {
  const { code, out } = verify('--help')
  assert.equal(code, 0)
  assert.match(out, /^usage: writ-verify --key FILE\.key/)
})
