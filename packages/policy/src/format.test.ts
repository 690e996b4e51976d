import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reformatted } from './format.ts'

const IN_FORM = '// why\n@id("a")\npermit (principal, action, resource)\nwhen { context.a };\n'

function reformattedText(text: string): string | undefined {
  const outcome = reformatted({ 'a.cedar': text })
  return outcome.ok ? outcome.value['a.cedar'] : assert.fail(JSON.stringify(outcome.refusal))
}

for (const { what, text } of [
  { what: 'is in form already', text: IN_FORM },
  { what: 'is empty', text: '' },
  { what: 'holds only a comment', text: '// nothing yet\n' },
]) {
  test(`a file that ${what} stays as it is`, () => {
    assert.equal(reformattedText(text), undefined)
  })
}

test('a file is brought into form with its comments, and then stays', () => {
  assert.equal(reformattedText('// why\n@id("a") permit(principal,action,\n\nresource) when {context.a};'), IN_FORM)
  assert.equal(reformattedText(IN_FORM), undefined)
})

test('an integer past 2^53 keeps its digits', () => {
  const text = reformattedText('@id("a") permit(principal,action,resource) when {context.a<9007199254740993};')
  assert.match(text!, /context\.a < 9007199254740993/)
})

test('only policy files are brought into form', () => {
  const files = { 'entities.json': '[ ]', 'schema.cedarschema': 'entity  A;', 'tests/a.json': '[ ]' }
  assert.deepEqual(reformatted(files), { ok: true, value: {} })
})

test('a file that does not parse is refused with its place, and nothing is brought into form', () => {
  const outcome = reformatted({ 'good.cedar': 'permit(principal,action,resource);', 'bad.cedar': '// größer\n@id("ä") permit(principal, action, resource) wen { true };' })
  assert.deepEqual(outcome, {
    ok: false,
    refusal: [{
      file: 'bad.cedar', line: 2, column: 46, message: 'cannot parse input policies: invalid policy condition: wen', hint: 'condition must be either `when` or `unless`',
    }],
  })
})
