import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { writeTogether } from './test-together.ts'

const root = mkdtempSync(join(tmpdir(), 'writ-together-'))
after(() => rmSync(root, { recursive: true }))

const GOOD = 'packages/a/src/good.test.ts'
const HOOKS = 'packages/a/src/hooks.test.ts'
for (const [path, text] of Object.entries({
  [HOOKS]: "import { after, before, test } from 'node:test'\nbefore(() => { globalThis.isOpen = true })\nafter(() => { globalThis.isOpen = false })\ntest('within its hooks', (t) => t.assert.ok(globalThis.isOpen))",
  [GOOD]: "import { test } from 'node:test'\ntest('without the hooks of another', (t) => t.assert.ok(!globalThis.isOpen))",
  'packages/a/src/late.test.ts': "import { test } from 'node:test'\ntest('a test before the end', () => {})\nthrow new Error('it breaks off')",
  'packages/a/src/lost.test.ts': "import './no-such-file.ts'",
  'packages/a/src/wrong.test.ts': "import { test } from 'node:test'\ntest('a test that fails', () => { throw new Error('no') })",
  'packages/a/src/waits.test.ts': "import { test } from 'node:test'\ntest('waits for what keeps no process alive', () => new Promise((resolve) => { setTimeout(resolve, 50).unref() }))",
  'packages/b/src/of-b.test.ts': "import { test } from 'node:test'\ntest('of b', () => {})",
  'scripts/of-scripts.test.ts': "import { test } from 'node:test'\ntest('of the scripts', () => {})",
})) {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

/** Carries them out as the runner does; what it says. */
function run(...files: readonly string[]): { readonly code: number | null; readonly said: string } {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const done = spawnSync(process.execPath, ['--test', '--test-reporter=spec', ...writeTogether(root, files, root)], { cwd: root, env, encoding: 'utf8' })
  return { code: done.status, said: done.stdout }
}

test('the files of each package, and the scripts, are carried out in one process each', () => {
  const files = [GOOD, HOOKS, 'packages/b/src/of-b.test.ts', 'scripts/of-scripts.test.ts']
  assert.deepEqual(writeTogether(root, files, root).map((path) => basename(path)), ['a.test.mjs', 'b.test.mjs', 'scripts.test.mjs'])
  const { code, said } = run(...files)
  assert.equal(code, 0, said)
  assert.match(said, /tests 4\n/)
  for (const file of files) assert.ok(said.includes(`▶ ${file}\n`), said)
})

test('the hooks of a file are its own', () => {
  const { code, said } = run(HOOKS, GOOD)
  assert.equal(code, 0, said)
})

test('what keeps no process alive by itself is waited for', () => {
  const { code, said } = run('packages/a/src/waits.test.ts', GOOD)
  assert.equal(code, 0, said)
})

for (const { what, file, says } of [
  { what: 'can not be read', file: 'packages/a/src/lost.test.ts', says: /no-such-file\.ts/ },
  { what: 'breaks off after its first test', file: 'packages/a/src/late.test.ts', says: /it breaks off/ },
  { what: 'has a test that fails', file: 'packages/a/src/wrong.test.ts', says: /a test that fails/ },
]) {
  test(`a file that ${what} fails the run by its name, and those after it are carried out`, () => {
    const { code, said } = run(file, GOOD)
    assert.equal(code, 1)
    assert.ok(said.includes(`✖ ${file}`), said)
    assert.match(said, says)
    assert.match(said, /✔ without the hooks of another/)
  })
}
