import type { ExplanationReply } from '@writ/contract/decisions'
import { inert } from '@writ/ledger/inert'
import { linesOf } from '@writ/policy/explanation'
import { painterOf, printLine } from './output.ts'
import type { Settings } from './settings.ts'

/** The four lines that every reader of a decision gets: what happened, why, what would allow it, what to do now. */
export async function printExplanation(settings: Settings, explanation: ExplanationReply): Promise<void> {
  const paint = await painterOf(settings)
  const colour = { allow: paint.green, approval_required: paint.yellow, deny: paint.red }[explanation.verdict]
  const [first = '', ...rest] = linesOf(explanation).map(inert)
  printLine(`${colour(first)}${explanation.decision === null ? '' : paint.dim(`  ${inert(explanation.decision)}`)}`)
  for (const line of rest) printLine(`  ${line}`)
}
