import type { EventReceiptReply, EventReply, LogReply } from '@writ/contract/events'
import { toHex } from '@writ/ledger/bytes'
import { toCanonical } from '@writ/ledger/canonical'
import { openCheckpoint, type Checkpoint } from '@writ/ledger/checkpoint'
import type { Leaf } from '@writ/ledger/leaf'
import { parseVerifierKey } from '@writ/ledger/note'
import { checkReceipt, parseReceipt, type ProvedLeaf } from '@writ/ledger/receipt'
import { ask, Refused } from './api.ts'
import { canVerify, withBrowserCrypto } from './browser-crypto.ts'
import { listLogs, showEventReceipt } from './endpoints.ts'
import { seenKeys } from './log-check.ts'

/** `words`: for each text that the leaf commits to, whether it is the one that is shown. */
export type VerifiedEvent = {
  readonly kind: 'verified'
  readonly origin: string
  readonly index: number
  readonly size: number
  readonly checkpointAt: string
  readonly isKeyKnown: boolean
  readonly hash: string
  readonly leaf: string
  readonly words: Readonly<Record<string, 'proved' | 'not_disclosed'>>
}

/** What became of proving, here in this browser, that an event stands in the log as it is shown. */
export type EventProof = VerifiedEvent | { readonly kind: 'failed'; readonly says: string } | { readonly kind: 'not_evaluated'; readonly says: string }

const failed = (says: string): EventProof => ({ kind: 'failed', says })
const notEvaluated = (says: string): EventProof => ({ kind: 'not_evaluated', says })

/** What was recorded this moment is sealed within seconds. */
const SEALED_WITHIN_SECONDS = 10

/** Takes nothing from the server at its word but the log's key, and that only the first time. */
export async function proveEvent(event: EventReply): Promise<EventProof> {
  if (!(await canVerify())) return notEvaluated('this browser can not check Ed25519 signatures here')
  const shown = await receiptOf(event)
  if (typeof shown === 'string') return notEvaluated(shown)
  const { log: origin, vkey, stream, checkpoint_at: checkpointAt } = shown
  const { logs } = await ask(listLogs, {})
  if (!hasLog(logs, shown)) return failed(`it is said to stand in the ${stream} log \`${origin}\`, and the server has no such log, or with another key`)
  const seen = seenKeys()[origin]
  if (seen !== undefined && seen !== vkey) return failed('its log shows another key than this browser knows it by')
  const checkpoint = await checkpointOf(shown)
  if (typeof checkpoint === 'string') return failed(checkpoint)
  const proved = await provedBy(checkpoint, shown.receipt)
  if (typeof proved === 'string') return failed(proved)
  const other = differences(event, shown, proved)
  if (other.length > 0) return failed(`the log says otherwise than what is shown: ${other.join(', ')}`)
  const words = Object.fromEntries(Object.keys(proved.leaf.commitments).map((field) => [field, proved.said.has(field) && Object.hasOwn(event.said, field) ? 'proved' as const : 'not_disclosed' as const]))
  return { kind: 'verified', origin, index: proved.index, size: checkpoint.size, checkpointAt, isKeyKnown: seen !== undefined, hash: toHex(proved.hash), leaf: shown.receipt.leaf, words }
}

/** Or why there is none yet. */
async function receiptOf({ id }: EventReply): Promise<EventReceiptReply | string> {
  try {
    return await ask(showEventReceipt, { parameters: { id }, query: { wait_seconds: SEALED_WITHIN_SECONDS } })
  } catch (error) {
    if (error instanceof Refused && error.problem.code === 'not_sealed_yet') return 'it has no place in the log yet: whatever is recorded is sealed within seconds'
    throw error
  }
}

/** The stream's own log, or one before it that ended with a restore. */
const hasLog = (logs: readonly LogReply[], { stream, log: origin, vkey }: EventReceiptReply): boolean =>
  logs.some((log) => log.stream === stream && [log, ...log.past].some((one) => one.origin === origin && one.vkey === vkey))

const checkpointOf = ({ vkey, log: origin, checkpoint: note }: EventReceiptReply): Promise<Checkpoint | string> => withBrowserCrypto((primitives) => {
  const key = parseVerifierKey(primitives.sha256, vkey)
  if (!key.ok) return key.refusal.detail
  const checkpoint = openCheckpoint(primitives, key.value, note)
  if (!checkpoint.ok) return checkpoint.refusal.detail
  return checkpoint.value.origin === origin ? checkpoint.value : 'its checkpoint is of another log'
})

const provedBy = (checkpoint: Checkpoint, shown: EventReceiptReply['receipt']): Promise<ProvedLeaf | string> => withBrowserCrypto(({ sha256 }) => {
  const receipt = parseReceipt(shown)
  const proved = receipt.ok ? checkReceipt(sha256, checkpoint, receipt.value) : receipt
  return proved.ok ? proved.value : proved.refusal.detail
})

/** Which of what is shown the log does not say: a server that tells one thing and has logged another is found out. */
function differences(event: EventReply, receipt: EventReceiptReply, { leaf, index, said }: ProvedLeaf): readonly string[] {
  const shown: Readonly<Record<string, unknown>> = { ...event, at: Date.parse(event.at) }
  const logged: Readonly<Record<string, unknown>> = { ...leaf }
  const same = (a: unknown, b: unknown): boolean => {
    const [x, y] = [toCanonical(a), toCanonical(b)]
    return x.ok && y.ok && x.value === y.value
  }
  const fields: readonly (keyof Leaf)[] = ['id', 'stream', 'type', 'at', 'actor', 'task', 'identity', 'lease', 'facts']
  return [
    ...fields.filter((field) => !same(shown[field], logged[field])),
    // What was not sealed when it was listed has its place by now.
    ...(event.leaf_index === null || (event.leaf_index === index && event.log === receipt.log) ? [] : ['its place']),
    ...Object.entries(event.said).flatMap(([field, text]) => {
      if (!Object.hasOwn(leaf.commitments, field)) return [`${field}, which it does not commit to`]
      return said.has(field) && said.get(field) !== text ? [`${field}, which it commits to in other words`] : []
    }),
  ]
}
