import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readPolicies } from './policies.ts'
import { isRoleOnly } from './role-only.ts'
import { readSchema } from './schema.ts'

const schema = readSchema('entity user; entity record; action view appliesTo { principal: [user], resource: [record] };', [])
assert.ok(schema.ok)
const { types } = schema.value

for (const { policy, isRefused } of [
  { policy: 'permit(principal, action, resource);', isRefused: true },
  { policy: 'permit(principal is Writ::Agent, action, resource);', isRefused: true },
  { policy: 'permit(principal in Writ::Group::"ops", action == Writ::Action::"call", resource == Writ::Tool::"a/b");', isRefused: true },
  { policy: 'permit(principal == Writ::Agent::"spiffe://a/b", action, resource);', isRefused: true },
  { policy: 'permit(principal in Writ::Class::"autonomous", action, resource);', isRefused: true },
  { policy: 'permit(principal, action, resource) when { principal.class == "autonomous" };', isRefused: true },
  { policy: 'permit(principal, action, resource) when { principal.environment == "production" };', isRefused: true },
  { policy: 'permit(principal, action, resource) when { principal.system_scope.contains("billing") };', isRefused: true },
  { policy: 'permit(principal, action, resource) when { resource in Writ::Server::"mail" };', isRefused: true },
  { policy: 'permit(principal, action, resource) when { context has task };', isRefused: true },
  { policy: 'permit(principal, action, resource) when { principal.class == "autonomous" || context.approved };', isRefused: true },
  { policy: 'permit(principal, action, resource) unless { principal.class == "script" && context.approved };', isRefused: true },
  { policy: 'permit(principal, action, resource) when { principal in [Writ::Class::"script", Writ::Class::"autonomous"] };', isRefused: true },
  { policy: 'permit(principal, action, resource) when { ["script", "autonomous"].contains(principal.class) };', isRefused: true },
  { policy: 'permit(principal in Writ::Class::"script", action, resource);', isRefused: false },
  { policy: 'permit(principal is Writ::Agent in Writ::Class::"assisted", action, resource);', isRefused: false },
  { policy: 'permit(principal, action, resource) when { principal.class == "script" };', isRefused: false },
  { policy: 'permit(principal, action, resource) when { principal.class != "autonomous" };', isRefused: false },
  { policy: 'permit(principal, action, resource) when { context.class != "autonomous" };', isRefused: false },
  { policy: 'permit(principal, action, resource) unless { principal in Writ::Class::"autonomous" };', isRefused: false },
  { policy: 'permit(principal, action, resource) when { principal.class == "script" || principal.class == "chatbot" };', isRefused: false },
  { policy: 'permit(principal, action, resource) when { ["script", "chatbot"].contains(principal.class) };', isRefused: false },
  { policy: 'permit(principal, action, resource) when { principal in [Writ::Class::"script", Writ::Class::"chatbot"] };', isRefused: false },
  { policy: 'permit(principal, action, resource) when { if principal.class == "autonomous" then context.approved else true };', isRefused: false },
  { policy: 'permit(principal, action, resource) when { context.budget_left > 0 };', isRefused: false },
  { policy: 'permit(principal, action, resource) when { context has change };', isRefused: false },
  { policy: 'permit(principal, action, resource) when { resource.effect == "read" };', isRefused: false },
  { policy: 'permit(principal == user::"alice", action, resource == record::"r");', isRefused: false },
  { policy: 'permit(principal, action == Action::"view", resource);', isRefused: false },
  { policy: 'forbid(principal, action, resource);', isRefused: false },
]) {
  test(`for the class autonomous ${policy} is ${isRefused ? 'refused' : 'accepted'}`, () => {
    const { policies, complaints } = readPolicies('a.cedar', `@id("one") ${policy}`)
    assert.deepEqual(complaints, [])
    assert.equal(isRoleOnly(policies[0]!.json, types), isRefused)
  })
}
