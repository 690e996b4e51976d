import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const source = fileURLToPath(new URL('..', import.meta.url))
const failpointFile = new URL('failpoint.ts', import.meta.url).href

/** Every point in the server's source: name -> files that have it. */
function failpoints(): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>()
  for (const file of globSync('**/*.ts', { cwd: source, exclude: ['**/*.test.ts', 'platform/failpoint.ts'] })) {
    for (const [call, name] of readFileSync(`${source}/${file}`, 'utf8').matchAll(/\bfailpoint\((?:'([^']*)')?/g)) {
      assert.ok(name !== undefined, `${file}: \`${call}\` has to name its point with a literal`)
      found.set(name, [...found.get(name) ?? [], file])
    }
  }
  return found
}

test('every failpoint has a name that says its place, in words that can be typed', () => {
  const names = [...failpoints().keys()]
  assert.ok(names.includes('store.before_commit'))
  for (const name of names) assert.match(name, /^[a-z]+(?:\.[a-z_]+)+$/)
})

function run(armed: string | undefined, call: string): { readonly signal: string | null; readonly stdout: string } {
  const script = `
    const { failpoint } = await import(${JSON.stringify(failpointFile)})
    process.stdout.write('before ')
    ${call}
    process.stdout.write('after')`
  const env = { ...process.env, ...(armed === undefined ? {} : { WRIT_FAILPOINT: armed }) }
  const { signal, stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], { env, encoding: 'utf8' })
  return { signal, stdout }
}

for (const { armed, call, dies } of [
  { armed: 'here', call: 'failpoint("here")', dies: true },
  { armed: 'here:now', call: 'failpoint("here", "now")', dies: true },
  { armed: 'there', call: 'failpoint("here")', dies: false },
  { armed: 'here', call: 'failpoint("here", "now")', dies: false },
  { armed: 'here:now#2', call: 'failpoint("here", "now"); failpoint("here", "later")', dies: false },
  { armed: 'here:now#2', call: 'failpoint("here", "now"); failpoint("here", "now")', dies: true },
  { armed: undefined, call: 'failpoint("here")', dies: false },
]) {
  test(`with WRIT_FAILPOINT=${armed ?? ''} the process ${dies ? 'is killed' : 'goes on'} at ${call}`, () => {
    const { signal, stdout } = run(armed, call)
    assert.equal(signal, dies ? 'SIGKILL' : null)
    assert.equal(stdout, dies ? 'before ' : 'before after')
  })
}
