import { applyPolicies } from '@writ/contract/policies'
import { DEFAULT_BUNDLE } from '@writ/policy/defaults'
import assert from 'node:assert/strict'
import { startWrit, type RunningWrit, type TestIdentity } from '../../server/test/running-writ.ts'

const TOOLS = JSON.stringify([
  { server: 'shop', name: 'refund', effect: 'write', reversible: true, input: { type: 'object', properties: { amount: { type: 'integer' }, note: { type: 'string' } } } },
  { server: 'shop', name: 'search', effect: 'read', input: { type: 'object', properties: { input: { type: 'string' } } } },
  { server: 'mail', name: 'send', effect: 'external', input: { type: 'object', properties: { to: { type: 'string' } } } },
])
const LIMIT = '@id("small-refunds")\nforbid (principal, action == Writ::Action::"shop/refund", resource)\nwhen { context.arguments has amount && context.arguments.amount > 100 };\n'

export const GRANTS = ['mcp:shop:refund', 'mcp:shop:search', 'mcp:mail:send'] as const

/** A Writ whose policies know three tools: a refund is small, what goes out needs an approval. */
export async function writWithTools(): Promise<{ readonly writ: RunningWrit; readonly agent: TestIdentity }> {
  const writ = await startWrit()
  const applied = await writ.operator(applyPolicies, { body: { files: { ...DEFAULT_BUNDLE, 'limits.cedar': LIMIT, 'tools.json': TOOLS }, reason: 'a test asks' } })
  assert.equal(applied.status, 201, applied.text)
  return { writ, agent: await writ.register('shop-agent', { authority: [...GRANTS] }) }
}
