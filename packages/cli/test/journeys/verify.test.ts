import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { estateForFile } from '../estate.ts'
import { BIN, writ } from '../run-writ.ts'

type Receipt = { readonly leaf: string; index: number; proof: string[]; readonly disclosures?: Record<string, { readonly value: string }> }
type Certificate = { readonly checkpoint: string; readonly receipts: Receipt[]; readonly summary: object }

/** Where nothing of Writ is known: neither configuration nor server. */
const folder = mkdtempSync(join(tmpdir(), 'writ-auditor-'))
const at = (name: string): string => join(folder, name)
const put = (name: string, text: string): void => writeFileSync(at(name), text)

// The certificates of two tasks and the log of people's acts, and then no server any more.
estateForFile({
  async ready({ stage, writ: server }) {
    for (const name of ['first', 'second']) {
      const done = await writ(stage, ['run', '-q', '--for', `${name} work`, '--grant', 'postgres:shop:ddl', '--certificate', at(`${name}.json`), '--', '/bin/sh', '-c', 'exit 0'])
      assert.equal(done.code, 0, done.err)
    }
    const exported = await writ(stage, ['audit', 'export', '--stream', 'human', at('human.jsonl')])
    assert.equal(exported.code, 0, exported.err)
    await server.kill()
  },
})
after(() => rmSync(folder, { recursive: true }))

/** No server, no configuration, no home, and a Node that may neither open a socket nor start a process nor write a file. */
function verify(...words: readonly string[]): { readonly code: number | null; readonly out: string; readonly err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--permission', '--allow-fs-read=*', BIN, 'verify', ...words], { cwd: folder, encoding: 'utf8', env: {} })
  return { code: status, out: stdout, err: stderr }
}

test('a certificate verifies with its log key alone: no server, no configuration, no network', () => {
  const done = verify('--key', 'first.json.key', 'first.json')
  assert.deepEqual([done.code, done.err], [0, ''])
  assert.match(done.out, /^verified: closure certificate\nlog writ\.local\/\w+\/non-human, \d+ leaves/)
  assert.match(done.out, /purpose \(said by the agent, not verified\): "first work"/)
  assert.match(done.out, /outcome: proved/)
})

const text = (): string => readFileSync(at('first.json'), 'utf8')
const certificate = (): Certificate => JSON.parse(text()) as Certificate
const changed = (change: (file: Certificate) => unknown): string => {
  const file = certificate()
  change(file)
  return JSON.stringify(file)
}
/** Another letter in the place of the one at `index`, so that base64 stays base64. */
const flipped = (of: string, index: number): string => `${of.slice(0, index)}${of[index] === 'A' ? 'B' : 'A'}${of.slice(index + 1)}`

for (const { what, key = 'first.json.key', damage } of [
  { what: 'a byte of a leaf is another', damage: () => changed(({ receipts }) => Object.assign(receipts[1]!, { leaf: receipts[1]!.leaf.replace('tsk_0', 'tsk_1') })) },
  { what: 'a byte of a proof is another', damage: () => changed(({ receipts }) => { receipts[2]!.proof[0] = flipped(receipts[2]!.proof[0]!, 7) }) },
  { what: 'a byte of the root in its checkpoint is another', damage: () => changed((file) => Object.assign(file, { checkpoint: flipped(file.checkpoint, file.checkpoint.split('\n', 2).join('\n').length + 5) })) },
  { what: 'a byte of its summary is another', damage: () => text().replace('"outcome": "proved"', '"outcome": "provee"') },
  { what: 'a disclosed text is another', damage: () => changed(({ receipts }) => Object.assign(receipts.find(({ disclosures }) => disclosures?.purpose)!.disclosures!.purpose!, { value: 'first wark' })) },
  { what: 'a receipt is taken out', damage: () => changed(({ receipts }) => receipts.splice(3, 1)) },
  { what: 'two receipts have exchanged their places in the log', damage: () => changed(({ receipts: [, one, other] }) => { [one!.index, other!.index, one!.proof, other!.proof] = [other!.index, one!.index, other!.proof, one!.proof] }) },
  { what: 'a receipt of another task stands in it', damage: () => changed(({ receipts }) => receipts.push((JSON.parse(readFileSync(at('second.json'), 'utf8')) as Certificate).receipts[0]!)) },
  { what: 'the key is that of another log', key: 'human.jsonl.key', damage: text },
  { what: 'its end is cut off', damage: () => text().slice(0, -200) },
] satisfies readonly { readonly what: string; readonly key?: string; readonly damage: () => string }[]) {
  test(`a certificate is refused with 21 and one line when ${what}`, () => {
    const damaged = damage()
    if (key === 'first.json.key') assert.notEqual(damaged, text())
    put('damaged.json', damaged)
    const done = verify('--key', key, 'damaged.json')
    assert.deepEqual([done.code, done.out], [21, ''], done.err)
    assert.match(done.err, /^error: verification failed: [a-z_]+: \P{Cc}+\n$/u)
  })
}
