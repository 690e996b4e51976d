import { createHash } from 'node:crypto'
import { approveApproval, showApproval, type ApprovalCardReply } from '@writ/contract/approvals'
import { confirm } from '../ask.ts'
import { call } from '../client.ts'
import type { Start } from '../connections.ts'
import { CommandFailure, EXIT, usage } from '../exit.ts'
import { say } from '../output.ts'
import { printCard, willRun } from './approval-card.ts'
import { personConnection, printAnswered } from './approvals.ts'

type ApproveFlags = { readonly envelope?: string; readonly reason?: string }

/** Shows the exact bytes and says yes to their hash and to no other. */
export async function approve(start: Start, id: string, flags: ApproveFlags): Promise<void> {
  const { settings } = start
  const isBlind = settings.yes || !settings.mayAsk
  if (isBlind && (!settings.yes || flags.envelope === undefined)) {
    throw usage('without a terminal to ask on, --yes and --envelope SHA256 are needed', `\`writ approvals show ${id}\` shows what would run, and its hash`)
  }
  const connection = personConnection(start)
  const card = await call(connection, showApproval, { parameters: { id } })
  await refuseWhatCanNotBe(start, card)
  const shown = card.envelope_sha256!
  refuseOtherBytes(card)
  if (flags.envelope !== undefined && flags.envelope.toLowerCase() !== shown) {
    throw new CommandFailure(EXIT.conflict, `what is asked for is not what you have looked at: its envelope is ${shown}`, { hints: [`writ approvals show ${id}`] })
  }
  if (!isBlind) {
    await printCard({ ...settings, format: 'human' }, card)
    await confirm(settings, `say yes to exactly this (envelope ${shown})?`)
  }
  const approved = await call(connection, approveApproval, {
    parameters: { id }, body: { choice: card.choice ?? { scope: 'once' }, envelope_sha256: shown, ...(flags.reason === undefined ? {} : { reason: flags.reason }) },
  })
  await printAnswered(start, approved)
  if (approved.state === 'waiting') say(settings, `${approved.yes} of ${approved.quorum} have said yes`)
}

async function refuseWhatCanNotBe({ server }: Start, card: ApprovalCardReply): Promise<void> {
  if (card.state !== 'waiting') throw new CommandFailure(EXIT.conflict, `it is ${card.state} already`, { hints: [`writ approvals show ${card.id}`] })
  const who = card.you.may ? [] : [`who can: ${card.who_can_decide.say}`]
  if (!card.signed && !card.you.may) throw new CommandFailure(EXIT.not_allowed, card.you.say ?? 'you may not answer this', { hints: who })
  if (!card.signed) return
  const { consoleUrl } = await import('./open.ts')
  throw new CommandFailure(EXIT.not_allowed, `what is of ${card.risk} risk a passkey has to sign, which the command line can not`, { hints: [`answer at ${consoleUrl(server, card.id)}`, ...who] })
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** What is shown, what is hashed and what is answered are one: worked out here, and not taken on the server's word. */
function refuseOtherBytes(card: ApprovalCardReply): void {
  const held = card.envelope === null ? undefined : JSON.parse(card.envelope) as { readonly arguments_sha256?: string; readonly choice?: { readonly arguments_sha256?: string } }
  const [text, named] = [willRun(card), held?.choice?.arguments_sha256 ?? held?.arguments_sha256]
  if (card.envelope !== null && text !== null && sha256(card.envelope) === card.envelope_sha256 && named === sha256(text)) return
  throw new CommandFailure(EXIT.verification_failed, 'what the server shows is not what it would have you say yes to', { hints: ['nothing was answered; tell whoever runs this server'] })
}
