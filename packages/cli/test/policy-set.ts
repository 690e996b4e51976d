import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DEFAULT_BUNDLE } from '@writ/policy/defaults'

/** Writes files below a folder. */
export function put(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), text)
  }
}

const REFUNDS = `@id("refunds-small")
permit (
  principal,
  action == Writ::Action::"stripe/refunds.create",
  resource
)
when { context.arguments.amount <= 1000 };

// The neighbour that JavaScript's own numbers can't tell from it is not forbidden.
@id("refunds-odd")
forbid (
  principal,
  action == Writ::Action::"stripe/refunds.create",
  resource
)
when { context.arguments.amount == 9007199254740993 };
`

const TOOLS = JSON.stringify([{
  server: 'stripe', name: 'refunds.create', effect: 'external', reversible: false, labels: [],
  input: { type: 'object', properties: { amount: { type: 'integer' }, note: { type: 'string' } }, required: ['amount'] },
}], null, 2)

const CASES = `[
  { "name": "a small refund", "action": "call", "resource": "Tool stripe/refunds.create", "arguments": { "amount": 900 }, "expect": "allow", "by": ["refunds-small"] },
  { "name": "a large one", "action": "call", "resource": "Tool stripe/refunds.create", "arguments": { "amount": 4200 }, "expect": "needs_approval" }
]
`

/** The set that ships, and refunds: up to 1,000 by themselves, above only with a person's approval, one amount never. */
export const REFUND_SET: Readonly<Record<string, string>> = { ...DEFAULT_BUNDLE, 'refunds.cedar': REFUNDS, 'tools.json': TOOLS, 'tests/refunds.json': CASES }
