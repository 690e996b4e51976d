import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readBundle, type Bundle, type BundleFiles } from './bundle.ts'
import { differencesOf, isSame } from './differences.ts'

function bundleOf(files: BundleFiles): Bundle {
  const bundle = readBundle(files)
  return bundle.ok ? bundle.value : assert.fail(JSON.stringify(bundle.refusal))
}

const policy = (id: string, condition: string): string => `@id("${id}")\npermit (principal, action == Writ::Action::"connect", resource)\nwhen { ${condition} };\n`
const tool = (effect: string): string => JSON.stringify([{ server: 'pay', name: 'refund', effect, reversible: false, labels: [], input: { type: 'object', properties: {} } }])
const entity = (id: string, parents: readonly string[]): object => ({ uid: { type: 'Writ::Group', id }, attrs: {}, parents: parents.map((parent) => ({ type: 'Writ::Group', id: parent })) })
const oneCase = (expect: string): string => `[{ "name": "a", "action": "connect", "resource": "Backend a", "expect": "${expect}" }]`

const BEFORE: BundleFiles = {
  'a.cedar': policy('one', 'context.budget_left > 1') + policy('two', 'context.budget_left > 2'),
  'b.cedar': policy('three', 'context.budget_left > 3'),
  'schema.cedarschema': 'entity record;',
  'entities.json': JSON.stringify([entity('a', ['c', 'b']), entity('b', []), entity('c', [])]),
  'tools.json': tool('read'),
  'tests/a.json': oneCase('allow'),
}

test('a bundle is the same as itself, however its files are laid out', () => {
  const after = {
    ...BEFORE,
    'entities.json': JSON.stringify([entity('c', []), entity('b', []), entity('a', ['b', 'c'])], null, 2),
    'tools.json': JSON.stringify(JSON.parse(tool('read')), null, 2),
    'tests/a.json': `\n\n${oneCase('allow')}`,
  }
  assert.ok(isSame(differencesOf(bundleOf(BEFORE), bundleOf(after))))
})

for (const { what, files, found } of [
  { what: 'a policy that is new', files: { 'c.cedar': policy('four', 'context.depth > 0') }, found: ['four added c.cedar'] },
  { what: 'a policy that is gone', files: { 'b.cedar': '' }, found: ['three removed b.cedar'] },
  { what: 'a policy with another number', files: { 'b.cedar': policy('three', 'context.budget_left > 4') }, found: ['three changed b.cedar'] },
  { what: 'a policy that is written otherwise', files: { 'b.cedar': policy('three', '// why\ncontext.budget_left>3') }, found: ['three reworded b.cedar'] },
  { what: 'a policy in another file', files: { 'b.cedar': '', 'c.cedar': policy('three', 'context.budget_left > 3') }, found: ['three moved c.cedar'] },
  { what: 'a policy with another id', files: { 'b.cedar': policy('trois', 'context.budget_left > 3') }, found: ['three removed b.cedar', 'trois added b.cedar'] },
]) {
  test(`${what} is found`, () => {
    const differences = differencesOf(bundleOf(BEFORE), bundleOf({ ...BEFORE, ...files }))
    assert.deepEqual(differences.policies.map(({ policy: id, change, file }) => `${id} ${change} ${file}`), found)
    assert.equal(isSame(differences), false)
  })
}

test('a number past 2^53 that differs in its last digit is a change', () => {
  const [before, after] = ['9007199254740992', '9007199254740993'].map((most) => bundleOf({ 'a.cedar': policy('one', `context.depth < ${most}`) }))
  assert.deepEqual(differencesOf(before!, after!).policies.map(({ change }) => change), ['changed'])
})

test('both texts of a changed policy are shown', () => {
  const [difference] = differencesOf(bundleOf(BEFORE), bundleOf({ ...BEFORE, 'b.cedar': policy('three', 'context.budget_left > 4') })).policies
  assert.match(difference!.before!, /> 3/)
  assert.match(difference!.after!, /> 4/)
})

for (const { what, files, found } of [
  { what: 'schema', files: { 'schema.cedarschema': 'entity file;' }, found: { schema: 'changed' } },
  { what: 'entities', files: { 'entities.json': JSON.stringify([entity('a', ['b']), entity('b', []), entity('d', [])]) }, found: { entities: [
    { name: 'Writ::Group::"a"', change: 'changed' }, { name: 'Writ::Group::"c"', change: 'removed' }, { name: 'Writ::Group::"d"', change: 'added' },
  ] } },
  { what: 'tools', files: { 'tools.json': tool('write') }, found: { tools: [{ name: 'pay/refund', change: 'changed' }] } },
  { what: 'cases', files: { 'tests/a.json': oneCase('deny') }, found: { cases: [{ name: 'a', change: 'changed' }] } },
]) {
  test(`a change of the ${what} is found, and nothing else`, () => {
    assert.deepEqual(differencesOf(bundleOf(BEFORE), bundleOf({ ...BEFORE, ...files })), { policies: [], schema: null, entities: [], tools: [], cases: [], ...found })
  })
}
