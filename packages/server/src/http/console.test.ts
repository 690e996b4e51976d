import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { hostEntropy } from '../platform/entropy.ts'
import { openConsole } from './console.ts'

const folder = mkdtempSync(join(tmpdir(), 'writ-console-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const built = openConsole({ directory: folder, entropy: hostEntropy })

test('where the console was not built, its page says how to build it', async () => {
  const { raw, headers } = await openConsole({ directory: join(folder, 'nowhere'), entropy: hostEntropy }).page()
  assert.match(raw, /npm run build:console/)
  assert.match(headers['content-security-policy'] ?? '', /^default-src 'none'/)
})

test('every page has a nonce of its own, in its head and in its policy', async () => {
  writeFileSync(join(folder, 'index.html'), '<meta name="csp-nonce" content="__WRIT_NONCE__"><script nonce="__WRIT_NONCE__"></script>')
  const [one, other] = [await built.page(), await built.page()]
  const nonce = /content="([\w-]{22})"/.exec(one.raw)?.[1]
  assert.ok(nonce !== undefined && one.headers['content-security-policy']!.includes(`script-src 'self' 'nonce-${nonce}'`) && !other.raw.includes(nonce))
  assert.doesNotMatch(one.raw, /__/)
})

mkdirSync(join(folder, 'assets'))
for (const [name, text] of [['a.js', 'plain'], ['a.js.br', 'brotli'], ['a.js.gz', 'gzip'], ['b.css', 'plain']]) writeFileSync(join(folder, 'assets', name!), text!)

for (const { takes, name = 'a.js', is } of [
  { takes: 'gzip, deflate, br, zstd', is: ['brotli', 'br'] }, { takes: 'gzip', is: ['gzip', 'gzip'] }, { takes: 'br;q=0, gzip;q=0.5', is: ['gzip', 'gzip'] }, { takes: '', is: ['plain', undefined] },
  { takes: 'br', name: 'b.css', is: ['plain', undefined] },
]) test(`whoever takes \`${takes}\` gets ${name} as ${is[0]}`, async () => {
  const found = await built.asset(name, takes)
  assert.deepEqual(found && [Buffer.from(found.bytes).toString(), found.encoding], is)
})

for (const name of ['../index.html', '..%2findex.html', 'nothing.js', 'a.js.br', '.hidden.js', 'a', 'a.exe']) test(`\`${name}\` is no file of a build`, async () => {
  assert.equal(await built.asset(name, 'br'), undefined)
})
