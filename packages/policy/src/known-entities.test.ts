import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readCheckedBundle } from './bundle.ts'
import { openEngine } from './engine.ts'
import type { Entity, Question } from './question.ts'

const SCHEMA = `entity Team in [Team];
entity person in [Team] = { lead?: person, level: Long, nick?: String };
entity record in [Team] = { owner: person, team: Team };
action see appliesTo { principal: [person], resource: [record], context: {} };`

const entity = (type: string, id: string, attrs: object = {}, ...parents: readonly string[]): object =>
  ({ uid: { type, id }, attrs, parents: parents.map((one) => ({ type: 'Team', id: one })) })
const person = (id: string): object => ({ __entity: { type: 'person', id } })

/** ann is in red, red is in all; bob leads ann and is in blue; joe is in nothing. */
const ENTITIES = JSON.stringify([
  entity('Team', 'all'), entity('Team', 'red', {}, 'all'), entity('Team', 'blue'),
  entity('person', 'ann', { level: 1, lead: person('bob') }, 'red'), entity('person', 'bob', { level: 2, nick: 'b' }, 'blue'), entity('person', 'joe', { level: 3 }),
  entity('record', 'r', { owner: person('ann'), team: { __entity: { type: 'Team', id: 'red' } } }, 'blue'),
])

const asked = (id: string): Question => {
  const of = (type: string, name: string): Entity => ({ uid: { type, id: name }, attributes: {}, parents: [] })
  return { principal: of('person', id), action: 'see', resource: of('record', 'r'), arguments: {}, claimed: {}, known: {} }
}

const CASES: readonly (readonly [policy: string, may: string])[] = [
  ['permit (principal in Team::"red", action, resource);', 'ann'],
  ['permit (principal in Team::"all", action, resource);', 'ann'],
  ['permit (principal is person in Team::"all", action, resource);', 'ann'],
  ['permit (principal, action, resource in Team::"blue");', 'ann bob joe'],
  ['permit (principal, action, resource) when { principal in Team::"all" };', 'ann'],
  ['permit (principal, action, resource) when { principal in [Team::"blue", Team::"all"] };', 'ann bob'],
  ['permit (principal, action, resource) when { principal is person in Team::"blue" };', 'bob'],
  ['permit (principal, action, resource) when { principal in resource.team };', 'ann'],
  ['permit (principal, action, resource) when { principal in [resource.team, Team::"blue"] };', 'ann bob'],
  ['permit (principal, action, resource) when { principal has lead && principal.lead in Team::"blue" };', 'ann'],
  ['permit (principal, action, resource) when { principal has lead && principal.lead.level == 2 };', 'ann'],
  ['permit (principal, action, resource) when { principal has lead.nick };', 'ann'],
  ['permit (principal, action, resource) when { resource.owner has lead && resource.owner.lead == principal };', 'bob'],
  ['permit (principal, action, resource) when { person::"joe".level > principal.level };', 'ann bob'],
  ['permit (principal, action, resource) unless { principal in Team::"all" };', 'bob joe'],
  ['permit (principal, action, resource); @id("not") forbid (principal, action, resource) when { principal in Team::"all" };', 'bob joe'],
]

test('policies see what they ask for of entities, and what those are in, however little is handed on', () => {
  for (const [policy, may] of CASES) {
    const bundle = readCheckedBundle({ 'a.cedar': `@id("one") ${policy}`, 'schema.cedarschema': SCHEMA, 'entities.json': ENTITIES })
    if (!bundle.ok) assert.fail(`${policy} ${JSON.stringify(bundle.refusal)}`)
    const engine = openEngine(bundle.value)
    const answers = ['ann', 'bob', 'joe'].map((id) => ({ id, ...engine.decide(asked(id)) }))
    assert.deepEqual(answers.flatMap(({ errors }) => errors), [], policy)
    assert.equal(answers.filter(({ answer }) => answer === 'allow').map(({ id }) => id).join(' '), may, policy)
    engine.close()
  }
})
