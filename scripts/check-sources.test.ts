import assert from 'node:assert/strict'
import { test } from 'node:test'
import { citationsIn, printMissing, sourceBreaches } from './check-sources.ts'
import { treeOf } from './test-tree.ts'

const FILE = 'packages/domain/src/time.ts'
const TEST = 'packages/domain/src/time.test.ts'
const HEAD = '| requirement id | standard and section | file | test |\n|---|---|---|---|\n'
const NOT_LISTED = '`RFC 7519 §2` is cited here and not listed in docs/conformance.md'
const row = (clause: string, file = FILE, of = TEST, requirement = 'LIF-9'): string => `| ${requirement} | ${clause} | \`${file}\` | \`${of}\` |\n`

for (const { comment, clauses } of [
  { comment: '// RFC 7519 §2 NumericDate', clauses: ['RFC 7519 §2'] },
  { comment: '// RFC 8693 §2, §4.1 and §4.2.', clauses: ['RFC 8693 §2', 'RFC 8693 §4.1', 'RFC 8693 §4.2'] },
  { comment: '// RFC 9562 §A.6; RFC 8785', clauses: ['RFC 9562 §A.6', 'RFC 8785'] },
  { comment: '/**\n * whole seconds, see RFC\n * 7519 §2\n */', clauses: ['RFC 7519 §2'] },
  { comment: '// C2SP tlog-tiles, SPIFFE-ID §2.3, Standard Webhooks 1.0', clauses: ['C2SP tlog-tiles', 'SPIFFE-ID §2.3', 'Standard Webhooks'] },
  { comment: '// OCSF 1.x classes, NIST SP 800-38D §8.3', clauses: ['OCSF', 'NIST SP 800-38D §8.3'] },
  { comment: "export const a = 'RFC 9457 problem'", clauses: [] },
]) {
  test(`the comment ${JSON.stringify(comment)} cites ${clauses.length === 0 ? 'nothing' : clauses.join(' and ')}`, (t) => {
    assert.deepEqual(citationsIn(treeOf(t, { [FILE]: comment })).map((one) => one.clause), clauses)
  })
}

for (const { when, source, document, says } of [
  { when: 'each clause has its row', source: '// RFC 7519 §2', document: HEAD + row('RFC 7519 §2') },
  { when: 'a requirement has no standard', source: '', document: HEAD + row('-') },
  { when: 'nothing has a test yet', source: '// RFC 7519 §2', document: HEAD + row('RFC 7519 §2', FILE, '-') },
  { when: 'one row names two files', source: '// RFC 7519 §2', document: HEAD + row('RFC 7519 §2', `${FILE}\`, \`packages/domain/src/other.ts`) },
  { when: 'a clause is cited and not listed', source: '\n// RFC 7519 §2', document: HEAD, says: [`${FILE}:2: ${NOT_LISTED}`] },
  { when: 'there is no document', source: '// RFC 7519 §2', says: [`${FILE}:1: ${NOT_LISTED}`] },
  {
    when: 'a clause is listed and not cited', source: '', document: HEAD + row('RFC 7519 §2'),
    says: [`docs/conformance.md:3: \`${FILE}\` does not cite \`RFC 7519 §2\``],
  },
  {
    when: 'the section is another', source: '// RFC 7519 §2', document: HEAD + row('RFC 7519 §4'),
    says: [`${FILE}:1: ${NOT_LISTED}`, `docs/conformance.md:3: \`${FILE}\` does not cite \`RFC 7519 §4\``],
  },
  {
    when: 'a test is not there', source: '// RFC 7519 §2', document: HEAD + row('RFC 7519 §2', FILE, 'no.test.ts'),
    says: ['docs/conformance.md:3: `no.test.ts` is not there'],
  },
  {
    when: 'a row names no requirement', source: '// RFC 7519 §2', document: HEAD + row('RFC 7519 §2', FILE, TEST, '?'),
    says: ['docs/conformance.md:3: a row without a requirement'],
  },
] as readonly { when: string; source: string; document?: string; says?: readonly string[] }[]) {
  test(`the standards ${says === undefined ? 'are in order' : 'are not in order'} when ${when}`, (t) => {
    const files = { [FILE]: source, [TEST]: '', 'packages/domain/src/other.ts': source }
    if (!document?.includes('other.ts')) Reflect.deleteProperty(files, 'packages/domain/src/other.ts')
    const found = sourceBreaches(treeOf(t, document === undefined ? files : { ...files, 'docs/conformance.md': document }))
    assert.deepEqual(found.map((one) => `${one.file}:${one.line}: ${one.what}`), says ?? [])
  })
}

test('the missing rows are printed ready to paste, once for each clause and file, with the test beside the file', (t) => {
  const root = treeOf(t, {
    [FILE]: '// RFC 7519 §2\n// RFC 7519 §2\n// RFC 9396 §2', [TEST]: '', 'packages/domain/src/id.ts': '// RFC 7519 §4',
    'docs/conformance.md': HEAD + row('RFC 7519 §4', 'packages/domain/src/id.ts', '-'),
  })
  assert.deepEqual(printMissing(root), [`| LIF-9 | RFC 7519 §2 | \`${FILE}\` | \`${TEST}\` |`, `| ? | RFC 9396 §2 | \`${FILE}\` | \`${TEST}\` |`])
})
