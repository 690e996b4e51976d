import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { applyPolicies } from '@writ/contract/policies'
import { DEFAULT_BUNDLE } from '@writ/policy/defaults'
import type { RunningWrit } from './running-writ.ts'

const FOLDER = join(import.meta.dirname, 'fixtures/authzen')

/** What the certification scenario wants a decision point to know, beside the set that ships. */
export const CERTIFICATION_FILES: Readonly<Record<string, string>> = Object.fromEntries(readdirSync(FOLDER).map((name) => [name, readFileSync(join(FOLDER, name), 'utf8')]))

/** Applies it, with more files where a test needs them. */
export async function authzenBundle(writ: Pick<RunningWrit, 'operator'>, more: Readonly<Record<string, string>> = {}): Promise<void> {
  const got = await writ.operator(applyPolicies, { body: { files: { ...DEFAULT_BUNDLE, ...CERTIFICATION_FILES, ...more }, reason: 'a test asks' } })
  assert.equal(got.status, 201, got.text)
}

const tool = (server: string, name: string, more: object, input: object): object => ({
  server, name, reversible: false, labels: [], ...more, input: { type: 'object', properties: input, additionalProperties: false },
})

/** Tools of two servers: one that reads what is confidential, one that reads what strangers wrote, one that writes, one that sends out. */
export const TOOLS_FILE = JSON.stringify([
  tool('crm', 'search', { effect: 'read', labels: ['confidential'] }, { query: { type: 'string' } }),
  tool('crm', 'inbox', { effect: 'read', trust: 'untrusted' }, {}),
  tool('crm', 'refund', { effect: 'write', reversible: true }, { amount: { type: 'integer' } }),
  tool('mail', 'send', { effect: 'external' }, { to: { type: 'string' } }),
])

export const TOOL_GRANTS = ['mcp:crm:search', 'mcp:crm:inbox', 'mcp:crm:refund?amount=5000', 'mcp:mail:send', 'order:7:approve?amount=100', 'order:8:approve'] as const

/** Things of the operator's own, which agents use: an order that is not in the files, and one that is. */
export const ORDER_FILES: Readonly<Record<string, string>> = {
  'schema.cedarschema': `${CERTIFICATION_FILES['schema.cedarschema']}
entity order = { status: String };
namespace Shop {
  action approve appliesTo { principal: [Writ::Agent], resource: [order], context: { task: String, budget_left: Long, arguments?: { amount?: Long } } };
}
`,
  'orders.cedar': `@id("paid-orders")
permit (
  principal,
  action == Shop::Action::"approve",
  resource is order
)
when { resource.status == "paid" && context.budget_left > 0 };
`,
  'entities.json': JSON.stringify([...JSON.parse(CERTIFICATION_FILES['entities.json']!) as object[], { uid: { type: 'order', id: '8' }, attrs: { status: 'open' }, parents: [] }]),
}
