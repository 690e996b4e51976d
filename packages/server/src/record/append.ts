import { hash } from 'node:crypto'
import { EVENT_TYPES, type EventDraft, type EventLeaf } from '@writ/domain/event'
import { mintId, type EventId } from '@writ/domain/id'
import type { EpochMs } from '@writ/domain/time'
import { canonical } from '@writ/ledger/canonical'
import { commit } from '@writ/ledger/commitment'
import { MOST_ENTRY_BYTES } from '@writ/ledger/entries'
import { leafHash } from '@writ/ledger/hash'
import { insertEvents, insertEventSaid, type NewEvent, type Said } from '../store/events.ts'
import type { ChangeContext, Tx } from './tx.ts'

export const sha256 = (bytes: Uint8Array): Uint8Array => hash('sha256', bytes, 'buffer')

/** The event as the log will hold it; its leaf hash is known before it has a place. */
export type Appended = { readonly id: EventId; readonly leafHash: Uint8Array }

/**
 * Records what a change did, in the change's own transaction (law 1): if this fails, the change did not happen. The sealer gives the
 * event its place in the log later.
 */
export async function append(tx: Tx, now: EpochMs, draft: EventDraft): Promise<Appended> {
  return (await appendAll(tx, now, [draft]))[0]!
}

/** The same of several, in their order and together. */
export async function appendAll(tx: Tx, now: EpochMs, drafts: readonly EventDraft[]): Promise<readonly Appended[]> {
  if (drafts.length === 0) return []
  const events = drafts.map((draft) => eventOf(tx.context, now, draft))
  await insertEvents(tx.db, events)
  await insertEventSaid(tx.db, events.flatMap(({ leaf, said }) => said.map((one) => ({ ...one, event: leaf.id }))))
  return events.map(({ leaf, leafHash: hashed }) => ({ id: leaf.id, leafHash: hashed }))
}

function eventOf({ entropy, eventMac }: ChangeContext, now: EpochMs, draft: EventDraft): NewEvent & { readonly said: readonly Said[] } {
  const said = Object.entries(draft.said ?? {}).map(([field, value]) => ({ field, value, salt: entropy.bytes(32) }))
  const leaf: EventLeaf = {
    v: 1,
    id: mintId('event', now, entropy.bytes(10)),
    stream: draft.stream ?? EVENT_TYPES[draft.type].stream,
    type: draft.type,
    at: now,
    actor: draft.actor,
    task: draft.task ?? null,
    identity: draft.identity ?? null,
    lease: draft.lease ?? null,
    facts: draft.facts,
    commitments: Object.fromEntries(said.map(({ field, value, salt }) => [field, commit(sha256, salt, value)])),
  }
  const text = canonical(leaf)
  const bytes = Buffer.from(text, 'utf8')
  // INVARIANT: one leaf that is too long would keep its whole bundle from ever being served.
  if (bytes.length > MOST_ENTRY_BYTES) throw new RangeError(`a \`${draft.type}\` event of ${bytes.length} bytes does not fit an entry of the log`)
  return { leaf, text, leafHash: leafHash(sha256, bytes), mac: eventMac.macOf(bytes), said }
}
