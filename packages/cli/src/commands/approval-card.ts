import type { ApprovalCardReply } from '@writ/contract/approvals'
import { inert } from '@writ/ledger/inert'
import { printExplanation } from '../explanation-lines.ts'
import { inertWhole } from '../inert.ts'
import { printLine, printThing, whenOf } from '../output.ts'
import type { Settings } from '../settings.ts'

type Card = ApprovalCardReply

/** Whoever asks may have written any of it: nothing of it acts, and each of its words is marked. */
export async function printCard(settings: Settings, card: Card): Promise<void> {
  await printThing(settings, card, [
    ['approval', card.id],
    ['state', card.why === null ? card.state : `${card.state} (${card.why})`],
    ['risk', `${card.risk}${card.reversible === false ? ', can not be taken back' : ''}${card.labels.length === 0 ? '' : `, ${card.labels.join(', ')}`}`],
    ['asks', `${card.spiffe_id} (${card.identity_class})`],
    ['for', `${card.action} ${card.resource.type} ${card.resource.id}`],
    ['on behalf of', card.on_behalf_of === null ? null : `${card.on_behalf_of.subject} at ${card.on_behalf_of.issuer}`],
    ['why (as the agent says)', card.intent],
    ['ends', `${card.expires_at} (${whenOf(settings, card.expires_at)}), then it is denied`],
    ['said yes', `${card.yes} of ${card.quorum}`],
    ['who can answer', card.who_can_decide.say],
    ['you', card.you.may ? (card.signed ? 'may, with your passkey, in the console' : 'may') : card.you.say],
    ['before', `${card.history.used} used, ${card.history.denied} denied, ${card.history.lapsed} unanswered in 30 days`],
    ['arguments sha256', card.arguments_sha256],
    ['envelope sha256', card.envelope_sha256],
    ...(settings.format === 'plain' ? [['arguments', willRun(card)] as const] : []),
  ])
  if (settings.format !== 'human') return
  printLine('')
  printLine('exactly what will run:')
  printLine(inertWhole(willRun(card) ?? 'erased').split('\n').map((line) => `  ${line}`).join('\n'))
  printLine('')
  printLine('who is behind it:')
  for (const [depth, link] of card.chain.entries()) printLine(`  ${'  '.repeat(depth)}${inert(link.spiffe_id)}  says it is for: ${inert(link.purpose)}`)
  for (const vote of card.votes) printLine(`  ${vote.answer === 'approve' ? 'yes' : 'no'} by ${inert(vote.name)}${vote.reason === null ? '' : `: ${inert(vote.reason)}`}`)
  if (card.explanation === null) return
  printLine('')
  printLine('why a person is asked:')
  await printExplanation(settings, card.explanation)
}

/** The kept bytes themselves, lowered where somebody has. */
export const willRun = (card: Pick<Card, 'arguments' | 'edited_arguments'>): string | null => card.edited_arguments ?? card.arguments
