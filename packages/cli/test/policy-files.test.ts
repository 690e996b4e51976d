import assert from 'node:assert/strict'
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { DEFAULT_BUNDLE } from '@writ/policy/defaults'
import { put, REFUND_SET } from './policy-set.ts'
import { emptyStage, writ as writAlone } from './run-writ.ts'
import { warmWritForFile } from './warm-writ.ts'

const writ = warmWritForFile()

const WRONG = `// é takes two bytes
@id("reads")
permit (principal, action in Writ::Action::"call", resource is Writ::Tool) when { resource.efect == "read" };
permit (principal, action == Writ::Action::"connect", resource) when { context.budget_left > 0 };
`

test('a directory begins with the policies that every server begins with, and they pass their own check and cases', async (t) => {
  const stage = await emptyStage(t)
  const done = await writAlone(stage, ['policy', 'init', 'policies'])
  assert.equal(done.code, 0, done.err)
  for (const [file, text] of Object.entries(DEFAULT_BUNDLE)) assert.equal(readFileSync(join(stage.folder, 'policies', file), 'utf8'), text, file)
  const checked = await writAlone(stage, ['policy', 'check', 'policies'])
  assert.deepEqual([checked.code, checked.out], [0, ''], checked.err)
  assert.match(checked.err, /^\d+ policies, 0 tools: nothing to complain of$/m)
  const tested = await writ(stage, ['policy', 'test', 'policies'])
  assert.deepEqual([tested.code, tested.out], [0, ''], tested.err)
  assert.match(tested.err, /^\d+ cases: all pass$/m)
  assert.equal((await writ(stage, ['policy', 'fmt', 'policies', '--check'])).code, 0)
})

test('a directory that holds something is not written to', async (t) => {
  const stage = await emptyStage(t)
  put(stage.folder, { 'policies/notes.md': 'mine' })
  const done = await writ(stage, ['policy', 'init', 'policies'])
  assert.equal(done.code, 6)
  assert.deepEqual(readdirSync(join(stage.folder, 'policies')), ['notes.md'])
})

test('whatever is wrong is said by file, line and column, with the way out', async (t) => {
  const stage = await emptyStage(t)
  put(stage.folder, { ...under('policies', DEFAULT_BUNDLE), 'policies/more/wrong.cedar': WRONG, 'policies/typo.cedr': 'permit', 'policies/.git/config': 'not read' })
  const done = await writ(stage, ['policy', 'check', 'policies'])
  assert.equal(done.code, 1)
  assert.match(done.out, /^policies\/more\/wrong\.cedar:3:83: attribute `efect` on entity type `Writ::Tool` not found\n {2}hint: did you mean `effect`\?$/m)
  assert.match(done.out, /^policies\/more\/wrong\.cedar:4:1: this policy has no `@id`$/m)
  assert.match(done.out, /^policies\/typo\.cedr:1:1: no such file belongs to policies$/m)
  assert.match(done.err, /^3 complaints$/m)
  const json = JSON.parse((await writ(stage, ['policy', 'check', 'policies', '--json'])).out) as readonly { readonly file: string; readonly line: number; readonly column: number; readonly hint?: string }[]
  assert.deepEqual(json.map(({ file, line, column }) => [file, line, column]), [['more/wrong.cedar', 3, 83], ['more/wrong.cedar', 4, 1], ['typo.cedr', 1, 1]])
  for (const verb of ['test', 'simulate', 'diff', 'apply']) {
    const refused = await writ(stage, ['policy', verb, 'policies'])
    assert.deepEqual([refused.code, refused.out], [1, ''], verb)
    assert.match(refused.err, /error: the policies in `policies` are not fit to be applied\n {2}policies\/more\/wrong\.cedar:3:83: /)
  }
})

test('a text that does not parse is said where it breaks off', async (t) => {
  const stage = await emptyStage(t)
  put(stage.folder, { 'p/x.cedar': '@id("x")\npermit (principal' })
  const done = await writ(stage, ['policy', 'check', 'p', '--plain'])
  assert.equal(done.code, 1)
  assert.match(done.out, /^p\/x\.cedar:2:18\t/)
  const formatted = await writ(stage, ['policy', 'fmt', 'p'])
  assert.deepEqual([formatted.code, readFileSync(join(stage.folder, 'p/x.cedar'), 'utf8')], [1, '@id("x")\npermit (principal'])
})

test('a case that fails is shown with the four lines of its explanation', async (t) => {
  const stage = await emptyStage(t)
  put(stage.folder, under('p', { ...REFUND_SET, 'tests/refunds.json': REFUND_SET['tests/refunds.json']!.replace('"needs_approval"', '"allow"') }))
  const done = await writ(stage, ['policy', 'test', 'p'])
  assert.equal(done.code, 1)
  assert.deepEqual(done.out.replaceAll(/permits\.cedar:\d+/g, 'permits.cedar:N').split('\n'), [
    'FAIL  p/tests/refunds.json:3:1: a large one',
    '  expects allow; came needs_approval by other-writes-approved',
    '    needs approval: spiffe://example.test/case call Tool stripe/refunds.create',
    '    why: no policy permits it without an approval; nearest is refunds-small (refunds.cedar:7): context.arguments.amount <= 1000 (is 4200)',
    '    would allow it: other-writes-approved (permits.cedar:N) permits it once a person has approved it',
    '    next: a person has to approve exactly this',
    '',
  ])
  assert.match(done.err, /^\d+ cases: \d+ pass, 1 fails$/m)
  const rows = JSON.parse((await writ(stage, ['policy', 'test', 'p', '--json'])).out) as readonly { readonly name: string; readonly passed: boolean; readonly came: string }[]
  assert.deepEqual(rows.filter(({ passed }) => !passed).map(({ name, came }) => [name, came]), [['a large one', 'needs_approval']])
  assert.ok(rows.length > 2)
})

test('a file of cases that is broken is a complaint, and no cases at all is said', async (t) => {
  const stage = await emptyStage(t)
  put(stage.folder, under('p', { ...REFUND_SET, 'tests/refunds.json': '[\n  { "nam": 1 ]' }))
  const done = await writ(stage, ['policy', 'check', 'p'])
  assert.equal(done.code, 1)
  assert.match(done.out, /^p\/tests\/refunds\.json:2:14: /)
  put(stage.folder, { 'q/only.cedar': '@id("a")\nforbid (principal, action, resource);\n' })
  const none = await writ(stage, ['policy', 'test', 'q'])
  assert.equal(none.code, 0, none.err)
  assert.match(none.err, /there are no cases/)
})

test('every policy is brought in one form, the file keeps its mode, and a link stays one', async (t) => {
  const stage = await emptyStage(t)
  const untidy = '// kept\n@id("a") permit(principal,action==Writ::Action::"connect",resource)when{context.budget_left>0};'
  put(stage.folder, { 'p/a.cedar': untidy, 'elsewhere.cedar': untidy.replace('"a"', '"b"') })
  chmodSync(join(stage.folder, 'p/a.cedar'), 0o640)
  symlinkSync('../elsewhere.cedar', join(stage.folder, 'p/b.cedar'))
  const checked = await writ(stage, ['policy', 'fmt', 'p', '--check', '--plain'])
  assert.deepEqual([checked.code, checked.out], [1, 'p/a.cedar\np/b.cedar\n'], checked.err)
  assert.equal(readFileSync(join(stage.folder, 'p/a.cedar'), 'utf8'), untidy)
  assert.equal((await writ(stage, ['policy', 'fmt', 'p'])).code, 0)
  assert.match(readFileSync(join(stage.folder, 'p/a.cedar'), 'utf8'), /^\/\/ kept\n@id\("a"\)\npermit \(/)
  assert.equal(statSync(join(stage.folder, 'p/a.cedar')).mode & 0o777, 0o640)
  assert.ok(lstatSync(join(stage.folder, 'p/b.cedar')).isSymbolicLink())
  assert.match(readFileSync(join(stage.folder, 'elsewhere.cedar'), 'utf8'), /^\/\/ kept\n@id\("b"\)\npermit \(/)
  assert.deepEqual(readdirSync(join(stage.folder, 'p')), ['a.cedar', 'b.cedar'])
  assert.match((await writ(stage, ['policy', 'fmt', 'p'])).err, /nothing to do/)
})

for (const { what, make, code, says } of [
  { what: 'that is not there', make: () => undefined, code: 5, says: /there is no `p`/ },
  { what: 'that is a file', make: (p: string) => writeFileSync(p, 'x'), code: 2, says: /`p` is no directory/ },
  { what: 'that is empty', make: (p: string) => { mkdirSync(p) }, code: 2, says: /there are no policies in `p`\nhint: `writ policy init p`/ },
  { what: 'with a file that is no text', make: (p: string) => { mkdirSync(p); writeFileSync(join(p, 'a.cedar'), Buffer.from([0x70, 0xff])) }, code: 2, says: /`p\/a\.cedar` is no text in UTF-8/ },
  { what: 'with a link that leads back to it', make: (p: string) => { mkdirSync(p); symlinkSync('.', join(p, 'loop')) }, code: 2, says: /`p\/loop` is no file/ },
  { what: 'with a link that leads nowhere', make: (p: string) => { mkdirSync(p); symlinkSync('gone', join(p, 'a.cedar')) }, code: 5, says: /there is no `p\/a\.cedar`/ },
  { what: 'that is too large', make: (p: string) => { mkdirSync(p); writeFileSync(join(p, 'a.cedar'), ' '.repeat(8_000_001)) }, code: 2, says: /more than 8 MB/ },
]) {
  test(`a directory ${what} is refused with a sentence`, async (t) => {
    const stage = await emptyStage(t)
    make(join(stage.folder, 'p'))
    const done = await writ(stage, ['policy', 'check', 'p'])
    assert.deepEqual([done.code, done.out], [code, ''], done.err)
    assert.match(done.err, says)
  })
}

test('names and texts of a directory can not act on a terminal', async (t) => {
  const stage = await emptyStage(t)
  put(stage.folder, { 'p/a\u001b[2J.cedar': 'x', 'p/tests/a.json': '[{ "name": "clear\\u001b[2J", "action": "connect", "resource": "Backend shop", "expect": "deny" }]', 'p/ok.cedar': '@id("a")\npermit (principal, action == Writ::Action::"connect", resource) when { context.budget_left > 0 };\n' })
  for (const args of [[], ['--json'], ['--plain']] as readonly (readonly string[])[]) {
    const done = await writ(stage, ['policy', 'check', 'p', ...args])
    assert.equal(done.code, 1)
    assert.ok(!(done.out + done.err).includes('\u001b'), args.join())
  }
  rmSync(join(stage.folder, 'p/a\u001b[2J.cedar'))
  const done = await writ(stage, ['policy', 'test', 'p'])
  assert.deepEqual([done.code, (done.out + done.err).includes('\u001b')], [1, false], done.err)
})

const under = (folder: string, files: Readonly<Record<string, string>>): Record<string, string> => Object.fromEntries(Object.entries(files).map(([file, text]) => [`${folder}/${file}`, text]))
