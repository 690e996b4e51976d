import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readPolicies } from './policies.ts'
import { openSlices, type Asked } from './slices.ts'

const TEXT = `@id("loose") permit(principal, action, resource);
@id("read") permit(principal, action == Action::"read", resource);
@id("ann") permit(principal == user::"ann", action, resource);
@id("team") forbid(principal in Team::"red", action in Action::"all", resource is record);
@id("folder") forbid(principal is user, action, resource in Folder::"x");
@id("both") forbid(principal in Team::"red", action, resource in Folder::"x");`
const { policies } = readPolicies('a.cedar', TEXT)

const asked = (more: Partial<Record<'principal' | 'action' | 'resource', readonly string[]>>): Asked => ({
  principalType: 'user', principalGroups: new Set(more.principal ?? ['user::"joe']),
  actionGroups: new Set(more.action ?? ['Action::"write']), resourceType: 'record', resourceGroups: new Set(more.resource ?? ['record::"r']),
})

for (const { who, question, ids } of [
  { who: 'nobody in particular', question: asked({}), ids: ['loose'] },
  { who: 'a reader', question: asked({ action: ['Action::"read', 'Action::"all'] }), ids: ['loose', 'read'] },
  { who: 'one who is named', question: asked({ principal: ['user::"ann'] }), ids: ['loose', 'ann'] },
  {
    who: 'a member of a team', question: asked({ principal: ['user::"joe', 'Team::"red'], action: ['Action::"write', 'Action::"all'] }),
    ids: ['loose', 'team'],
  },
  { who: 'a resource in a folder', question: asked({ resource: ['record::"r', 'Folder::"x'] }), ids: ['loose', 'folder'] },
  {
    who: 'both', question: asked({ principal: ['user::"joe', 'Team::"red'], resource: ['record::"r', 'Folder::"x'] }),
    ids: ['loose', 'folder', 'both'],
  },
]) {
  test(`only what can apply is evaluated for ${who}`, () => {
    const slices = openSlices(policies, () => true)
    assert.deepEqual(slices.for(question).flatMap((slice) => slice.policies.map((policy) => policy.id)), ids)
    slices.close()
  })
}

test('what was parsed is used again until others need its place', () => {
  const slices = openSlices(policies, () => true, 6)
  const first = slices.for(asked({}))[0]!
  assert.equal(slices.for(asked({}))[0], first)
  assert.equal(slices.for(asked({ principal: ['user::"ann'] }))[0]!.kept === first.kept, false)
  slices.for(asked({ action: ['Action::"read'] }))
  const again = slices.for(asked({}))[0]!
  assert.notEqual(again, first)
  assert.deepEqual(again.policies, first.policies)
  slices.close()
})

test('all the sets of one question are there when they are evaluated, however few may be kept', () => {
  const loose = Array.from({ length: 70 }, (_, i) => `@id("p${i}") permit(principal, action, resource) when { ${i} == 0 };`)
  const many = readPolicies('a.cedar', `${loose.join('\n')}\n@id("ann") permit(principal == user::"ann", action, resource);`)
  const slices = openSlices(many.policies, () => true, 10)
  const found = slices.for(asked({ principal: ['user::"ann'] }))
  assert.deepEqual(found.map((slice) => slice.policies.length), [70, 1])
  assert.equal(new Set(found.map((slice) => slice.kept.name)).size, 2)
  slices.close()
})
