import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readBundle, readCheckedBundle, type BundleFiles } from './bundle.ts'

const OK = '@id("ok") permit(principal, action, resource) when { context.budget_left > 0 };\n'

/** Each complaint as a compiler prints it. */
function complaintsOf(files: BundleFiles): readonly string[] {
  const read = readBundle(files)
  return read.ok ? [] : read.refusal.map(({ file, line, column, message, hint }) =>
    `${file}:${line}:${column}: ${message}${hint === undefined ? '' : ` (${hint})`}`)
}

const tool = (schema: object): BundleFiles =>
  ({ 'tools.json': JSON.stringify([{ server: 'mail', name: 'send', effect: 'external', input: schema }]) })

for (const { when, files, first } of [
  { when: 'it does not parse', files: { 'a.cedar': `// ö\n@id("ö")\npermit(principal, "ö", resource);` }, first: /^a\.cedar:3:19: unexpected token/ },
  {
    when: 'only its second policy does not parse',
    files: { 'a.cedar': `${OK}@id("b") permit(principal, action resource);` },
    first: /^a\.cedar:2:35: /,
  },
  {
    when: 'a policy has no id',
    files: { 'a.cedar': `${OK}\n  permit(principal, action, resource);` },
    first: /^a\.cedar:3:3: this policy has no `@id`/,
  },
  {
    when: 'an id is taken by another file',
    files: { 'a.cedar': OK, 'b.cedar': `\n${OK}` },
    first: /^b\.cedar:2:1: the id `ok` is taken \(a\.cedar:1 has it\)/,
  },
  {
    when: 'it has a template',
    files: { 'a.cedar': '@id("t") permit(principal == ?principal, action, resource);' },
    first: /^a\.cedar:1:30: expected a static policy/,
  },
  {
    when: 'the schema does not know an attribute',
    files: { 'a.cedar': `${OK}@id("b") permit(principal, action, resource)\nwhen { "ö" != "o" && context.aproved };` },
    first: /^a\.cedar:3:22: attribute `aproved` in context .* not found \(did you mean `approved`\?\)$/,
  },
  {
    when: 'an optional attribute is read without a look whether it is there',
    files: { 'a.cedar': '@id("b") permit(principal, action, resource) when { context.change == "x" };' }, first: /unable to guarantee safety .*context has change/,
  },
  {
    when: 'types do not match',
    files: { 'a.cedar': '@id("b") permit(principal, action, resource) when { context.depth < "1" };' },
    first: /^a\.cedar:1:\d+: /,
  },
  {
    when: 'it names an action that there is not',
    files: { 'a.cedar': '@id("b") forbid(principal, action == Writ::Action::"cal", resource);' },
    first: /did you mean `Writ::Action::"call"`/,
  },
  {
    when: 'it names a class that there is not',
    files: { 'a.cedar': '@id("b") forbid(principal in Writ::Class::"autonomus", action, resource);' },
    first: /"autonomous"/,
  },
  {
    when: 'a policy can never apply',
    files: { 'a.cedar': '@id("b") forbid(principal, action, resource) when { context.depth > 1 && false };' },
    first: /policy is impossible/,
  },
  {
    when: 'a policy for one kind of identity can never apply', files: { 'a.cedar': '@id("b") forbid(principal is Writ::Bot, action, resource) when { principal is Writ::Agent };' },
    first: /policy is impossible/,
  },
  {
    when: 'a permit lets autonomous identities in by role alone',
    files: { 'a.cedar': `${OK}@id("b") permit(principal, action, resource);` },
    first: /^a\.cedar:2:1: the permit `b` lets .*leave the class out/,
  },
  { when: 'a file is a stranger', files: { 'a.cedar~': OK }, first: /^a\.cedar~:1:1: no such file/ },
  { when: 'the schema does not parse', files: { 'schema.cedarschema': 'entity a;\nentity b { x };' }, first: /^schema\.cedarschema:2:\d+: / },
  {
    when: 'the schema names a type that there is not',
    files: { 'schema.cedarschema': 'entity a;\nentity b = { x: Strng };' },
    first: /^schema\.cedarschema:2:17: failed to resolve type: Strng/,
  },
  {
    when: 'the schema opens Writ\'s namespace',
    files: { 'schema.cedarschema': '// namespace Writ\nnamespace Writ::More { entity x; }' },
    first: /^schema\.cedarschema:2:1: the namespace `Writ`/,
  },
  {
    when: 'the schema gives a type of Cedar\'s another meaning',
    files: { 'schema.cedarschema': 'type datetime = Long;' },
    first: /^schema\.cedarschema:1:6: `datetime` is a type of Cedar's/,
  },
  {
    when: 'the schema has an action without a namespace that is called like one of Writ\'s',
    files: { 'schema.cedarschema': 'entity user, record;\naction read appliesTo { principal: [user], resource: [record] };' },
    first: /^schema\.cedarschema:2:8: Writ has an action `read` of its own/,
  },
  {
    when: 'the schema has a type without a namespace that is called like one of Writ\'s',
    files: { 'schema.cedarschema': 'entity Tool;' }, first: /^schema\.cedarschema:1:8: Writ has an entity type `Tool` of its own/,
  },
  {
    when: 'an entity has a type that there is not',
    files: { 'entities.json': '[\n{"uid":{"type":"x","id":"y"}}]' },
    first: /^entities\.json:2:8: the schema has no entity type `x`/,
  },
  {
    when: 'an entity has an attribute of another type', files: { 'entities.json': '[{"uid":{"type":"Writ::Server","id":"y"},"attrs":{"environment":1}}]' },
    first: /^entities\.json:1:51: `Writ::Server::"y"`: environment: 1 is no text/,
  },
  {
    when: 'an entity puts an identity into a class', files: { 'entities.json': '[{"uid":{"type":"Writ::Agent","id":"y"},"parents":[{"type":"Writ::Class","id":"script"}]}]' },
    first: /an identity's class is what it was registered with/,
  },
  {
    when: 'an entity is in itself', files: { 'entities.json': '[{"uid":{"type":"Writ::Group","id":"a"},"parents":[{"type":"Writ::Group","id":"a"}]}]' },
    first: /the entity `Writ::Group::"a"` is in itself/,
  },
  {
    when: 'a file of JSON has a name twice',
    files: { 'entities.json': '[{"uid":\n{},"uid":{}}]' },
    first: /^entities\.json:2:4: the name `uid` stands twice/,
  },
  {
    when: 'a tool says a wrong effect',
    files: { 'tools.json': '[{"server":"a","name":"b","effect":"reed"}]' },
    first: /^tools\.json:1:36: a tool says its `effect`/,
  },
  {
    when: 'a tool takes what has no type',
    files: tool({ type: 'object', properties: { a: {} } }),
    first: /no type in Cedar: `a`: it does not say its type/,
  },
  {
    when: 'a tool requires what it does not know',
    files: tool({ type: 'object', properties: {}, required: ['a'] }),
    first: /`a` is required and not among/,
  },
  {
    when: 'a tool takes a list of anything',
    files: tool({ type: 'object', properties: { a: { type: 'array' } } }),
    first: /what every one of its items is/,
  },
  {
    when: 'a tool takes texts or numbers',
    files: tool({ type: 'object', properties: { a: { type: ['string', 'integer'] } } }),
    first: /several types/,
  },
  {
    when: 'a tool takes what contains itself',
    files: tool({ $ref: '#/$defs/a', $defs: { a: { type: 'object', properties: { b: { $ref: '#/$defs/a' } } } } }),
    first: /contains itself/,
  },
]) {
  test(`a directory of policies is refused with the place when ${when}`, () => {
    const complaints = complaintsOf(files)
    assert.match(complaints[0] ?? '', first)
    assert.equal(complaints.length, 1, complaints.join('\n'))
  })
}

test('a tool\'s JSON Schema becomes the type that its arguments are checked against', () => {
  const input = {
    type: 'object', additionalProperties: false, required: ['to', 'mode'], $defs: { kind: { enum: ['a', 'b'] } },
    properties: {
      to: { type: 'array', items: { type: 'string' } }, mode: { $ref: '#/$defs/kind' }, cc: { anyOf: [{ type: 'string' }, { type: 'null' }] },
      limit: { type: 'number', minimum: 0 }, deep: { type: 'object', properties: { 'a "b"': { type: ['boolean', 'null'] } } },
    },
  }
  const read = readBundle({ 'a.cedar': OK, ...tool(input) })
  assert.ok(read.ok)
  assert.equal(read.value.tools[0]!.argumentsType, '{ "to": Set<String>, "mode": String, "cc"?: String, "limit"?: Long, "deep"?: { "a \\"b\\""?: Bool } }')
})

test('every complaint of every file comes at once, in the order of the files', () => {
  const found = complaintsOf({
    'b.cedar': '@id("x") permit(principal, action, resource) when { context.nope };',
    'a.cedar': 'permit(', 'tools.json': '{}', 'z.txt': '',
  })
  assert.deepEqual(found.map((one) => one.split(':')[0]), ['a.cedar', 'b.cedar', 'tools.json', 'z.txt'])
})

test('policies keep their own text and place, whatever stands in their comments and strings', () => {
  const text = `// a; b "c\n@id("one") // @id("x");\npermit(principal, action, resource) when { context.task == "a;\\"b // c" };\n\n  ${OK}`
  const read = readBundle({ 'sub/a.cedar': text, 'README.md': 'why' })
  assert.ok(read.ok)
  assert.deepEqual(read.value.policies.map(({ id, line, file }) => `${id} ${file}:${line}`), ['one sub/a.cedar:2', 'ok sub/a.cedar:5'])
  assert.equal(read.value.policies[1]!.text, OK.trim())
})

test('a version that was checked is read again without its types', () => {
  assert.equal(readCheckedBundle({ 'a.cedar': '@id("x") permit(principal, action, resource) when { context.nope };' }).ok, true)
})
