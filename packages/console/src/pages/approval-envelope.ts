import type { ApprovalCardReply, ApprovalChoice } from '@writ/contract/approvals'

/** What an answer is about, with all that its envelope has to hold. */
export type Answerable = {
  readonly card: ApprovalCardReply
  readonly choice: ApprovalChoice
  readonly envelope: string | null
  readonly envelopeSha256: string | null
  /** What would run. */
  readonly runs: string | null
}

type Held = {
  readonly approval?: unknown; readonly action?: unknown; readonly resource?: { readonly type?: unknown; readonly id?: unknown }; readonly identity?: unknown; readonly task?: unknown
  readonly chain?: readonly { readonly task?: unknown; readonly identity?: unknown }[]; readonly arguments_sha256?: unknown; readonly expires_at?: unknown
  readonly choice?: { readonly scope?: unknown; readonly arguments_sha256?: unknown; readonly bound?: { readonly arguments?: unknown; readonly calls?: unknown; readonly until?: unknown } }
}

export async function sha256Of(text: string): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
}

export const hexOf = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')

/**
 * Whether what is shown, what is hashed and what would be approved are one: worked out here, and not taken on the server's word. Null where
 * they are, else the part that differs.
 */
export async function differsIn({ card, choice, envelope, envelopeSha256, runs }: Answerable): Promise<string | null> {
  if (envelope === null || envelopeSha256 === null || card.arguments === null || runs === null) return 'what was asked for is kept no more'
  if (hexOf(await sha256Of(envelope)) !== envelopeSha256) return 'the hash'
  const held = JSON.parse(envelope) as Held
  const asked = hexOf(await sha256Of(card.arguments))
  const parts: readonly (readonly [name: string, inEnvelope: unknown, shown: unknown])[] = [
    ['the request', held.approval, card.id], ['the action', held.action, card.action], ['the resource', [held.resource?.type, held.resource?.id], [card.resource.type, card.resource.id]],
    ['who asks', [held.identity, held.task], [card.identity, card.task]], ['who is behind it', held.chain?.map(({ task, identity }) => [task, identity]), card.chain.map(({ task, identity }) => [task, identity])],
    ['the arguments', [held.arguments_sha256, card.arguments_sha256], [asked, asked]], ['its end', held.expires_at, Date.parse(card.expires_at)],
    ['what it allows', held.choice?.scope, choice.scope],
    ...(choice.scope === 'edited' ? [['the lowered arguments', held.choice?.arguments_sha256, hexOf(await sha256Of(runs))] as const] : [['what runs', runs, card.arguments] as const]),
    ...(choice.scope === 'task' ? [['the bound', boundText(held.choice?.bound), boundText({ ...choice.bound, until: Date.parse(choice.bound.until) })] as const] : []),
  ]
  return parts.find(([, inEnvelope, shown]) => JSON.stringify(inEnvelope) !== JSON.stringify(shown))?.[0] ?? null
}

type Bound = { readonly arguments?: unknown; readonly calls?: unknown; readonly until?: unknown } | undefined

const boundText = (bound: Bound): string =>
  JSON.stringify([Object.entries((bound?.arguments ?? {}) as Readonly<Record<string, unknown>>).toSorted(([a], [b]) => (a < b ? -1 : 1)), bound?.calls, bound?.until])
