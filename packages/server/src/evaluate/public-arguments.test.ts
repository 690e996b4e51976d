import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InexactNumber, type ExactRecord } from '@writ/domain/exact'
import { readBundle } from '@writ/policy/bundle'
import { DEFAULT_BUNDLE } from '@writ/policy/defaults'
import { openEngine } from '@writ/policy/engine'
import { publicArguments } from './public-arguments.ts'

const properties = {
  path: { type: 'string' }, body: { type: 'string' }, head: { type: 'integer' }, all: { type: 'boolean' }, share: { type: 'number' },
  tags: { type: 'array', items: { type: 'string' } }, owner: { type: 'object', properties: { path: { type: 'string' } } }, constructor: { type: 'string' },
}
const engineWith = (open: readonly string[] | undefined) => {
  const read = readBundle({ ...DEFAULT_BUNDLE, 'tools.json': JSON.stringify([{ server: 'files', name: 'read', effect: 'read', public: open, input: { type: 'object', properties } }]) })
  return read.ok ? openEngine(read.value) : assert.fail(JSON.stringify(read.refusal))
}
const engine = engineWith(['path', 'head', 'all', 'share', 'tags', 'owner', 'constructor'])
const READ = { type: 'Writ::Tool', id: 'files/read' }
const LONG = 'a'.repeat(200)

const CASES: readonly (readonly [what: string, given: ExactRecord, shown: object | undefined])[] = [
  ['a text, as it is', { path: '/a\n\u0001"b' }, { path: '/a\n\u0001"b' }],
  ['a number and a truth value', { head: -7n, all: false }, { head: -7, all: false }],
  ['nothing of an argument that is not public', { path: '/a', body: 'what is in it' }, { path: '/a' }],
  ['nothing where no public one is given', { body: '/a' }, undefined],
  ['nothing of what only every object has', {}, undefined],
  ['nothing of one of the same name inside of another', { body: 'x', owner: { path: '/secret' } }, { owner: { withheld: 'type' } }],
  ['that a list, a fraction or a null is there', { tags: ['secret'], share: new InexactNumber('0.5'), path: null }, { path: { withheld: 'type' }, share: { withheld: 'type' }, tags: { withheld: 'type' } }],
  ['a text up to its bound', { path: LONG }, { path: LONG }],
  ['no part of a longer one', { path: `${LONG}b` }, { path: { withheld: 'too_long' } }],
  ['no number that another reader would round', { head: 9007199254740992n }, { head: { withheld: 'too_long' } }],
]
for (const [what, given, shown] of CASES) test(`the record of a call shows ${what}`, () => assert.deepEqual(publicArguments(engine, { uid: READ, action: 'call', arguments: given }), shown))

test('the record shows no argument where none was made public, of what is no call of that tool, or of a tool that is not there', () => {
  const given = { path: '/a' }
  for (const open of [undefined, []]) assert.equal(publicArguments(engineWith(open), { uid: READ, action: 'call', arguments: given }), undefined)
  for (const [type, id, action] of [['Writ::Tool', 'files/read', 'read'], ['Writ::Tool', 'files/write', 'call'], ['Writ::Backend', 'files/read', 'call'], ['document', 'files/read', 'call']] as const) {
    assert.equal(publicArguments(engine, { uid: { type, id }, action, arguments: given }), undefined)
  }
})
