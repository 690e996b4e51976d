import assert from 'node:assert/strict'
import { test } from 'node:test'
import { partsOf } from './terms.ts'

const termsIn = (conditions: string): readonly string[] =>
  partsOf(`permit (principal, action, resource)\n${conditions};`).terms.map(({ text, negated }) => (negated ? `not ${text}` : text))

for (const { what, conditions, terms } of [
  { what: 'no condition', conditions: '', terms: [] },
  { what: 'one comparison', conditions: 'when { context.amount <= 1000 }', terms: ['context.amount <= 1000'] },
  { what: 'terms that must all hold', conditions: 'when { context.a == 1 && context.b && !context.c }', terms: ['context.a == 1', 'context.b', '!context.c'] },
  { what: 'terms in brackets', conditions: 'when { (context.a == 1 && (context.b)) }', terms: ['context.a == 1', 'context.b'] },
  { what: 'alternatives', conditions: 'when { context.a || context.b && context.c }', terms: ['context.a || context.b && context.c'] },
  { what: 'alternatives in brackets', conditions: 'when { (context.a || context.b) && context.c }', terms: ['context.a || context.b', 'context.c'] },
  { what: 'an unless', conditions: 'unless { context.a }', terms: ['not context.a'] },
  { what: 'an unless with alternatives', conditions: 'unless { context.a || (context.b || context.c == 2) }', terms: ['not context.a', 'not context.b', 'not context.c == 2'] },
  { what: 'an unless that needs two things', conditions: 'unless { context.a && context.b }', terms: ['not context.a && context.b'] },
  { what: 'several clauses', conditions: 'when { context.a } when { context.b } unless { context.c }', terms: ['context.a', 'context.b', 'not context.c'] },
  { what: 'a choice', conditions: 'when { if context.a then context.b && context.c else context.d && true }', terms: ['if context.a then context.b && context.c else context.d && true'] },
  { what: 'signs in a string', conditions: 'when { context.a == "x && y) } \\" // z" && context.b }', terms: ['context.a == "x && y) } \\" // z"', 'context.b'] },
  { what: 'a comment between', conditions: 'when {\n  context.a && // not && this }\n  context.b\n}', terms: ['context.a', 'context.b'] },
  { what: 'a term over two lines', conditions: 'when { context.labels\n    .containsAll(["a",\n  "b"]) }', terms: ['context.labels .containsAll(["a", "b"])'] },
  { what: 'brackets of a set and a call', conditions: 'when { ["a", "b"].contains(context.a) && (context.b + 1) * 2 < 4 }', terms: ['["a", "b"].contains(context.a)', '(context.b + 1) * 2 < 4'] },
  { what: 'an attribute that is called when', conditions: 'when { context.when && context["unless"] }', terms: ['context.when', 'context["unless"]'] },
  { what: 'a record', conditions: 'when { context.r == {a: 1, "b": 2} && context.c }', terms: ['context.r == {a: 1, "b": 2}', 'context.c'] },
  { what: 'an integer past 2^53', conditions: 'when { context.a < 9007199254740993 }', terms: ['context.a < 9007199254740993'] },
]) {
  test(`a policy with ${what} is taken apart`, () => {
    assert.deepEqual(termsIn(conditions), terms)
  })
}

test('the scope is found behind the annotations, whatever they say', () => {
  const { scope, terms } = partsOf('@id("permit (x)")\n@why("forbid when { }")\nforbid (\n  principal is Writ::Agent in Writ::Class::"a)",\n  action in [Action::"b"],\n  resource\n) when { true };')
  assert.equal(scope, '( principal is Writ::Agent in Writ::Class::"a)", action in [Action::"b"], resource )')
  assert.deepEqual(terms.map(({ text }) => text), ['true'])
})

test('each term knows its line', () => {
  const { terms } = partsOf('@id("a")\npermit (principal, action, resource)\nwhen {\n  context.a &&\n  context.b\n}\nunless { context.c };')
  assert.deepEqual(terms.map(({ line }) => line), [3, 4, 6])
})

for (const { term, paths } of [
  { term: 'context.arguments.amount <= 1000', paths: ['context.arguments.amount'] },
  { term: 'context.labels.containsAll(["context.x"])', paths: ['context.labels'] },
  { term: 'context has change', paths: ['context.change'] },
  { term: 'context.arguments has to && resource.id == "x" || true', paths: ['context.arguments.to', 'resource.id'] },
  { term: 'context has arguments.to || true', paths: ['context.arguments.to'] },
  { term: 'principal in resource', paths: ['principal', 'resource'] },
  { term: 'context["two words"].b == context["two words"].b', paths: ['context.two words.b'] },
  { term: 'context.at < datetime("2026-01-01")', paths: ['context.at'] },
  { term: 'context.resource == context.a.principal', paths: ['context.resource', 'context.a.principal'] },
  { term: 'principal == Writ::context::"x"', paths: ['principal'] },
]) {
  test(`\`${term}\` looks at ${paths.join(' and ')}`, () => {
    const found = partsOf(`permit(principal, action, resource) when { ${term} };`).terms.flatMap((one) => one.paths)
    assert.deepEqual(found.map((path) => path.join('.')), paths)
  })
}
