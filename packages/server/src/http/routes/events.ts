import * as contract from '@writ/contract/events'
import type { Stream } from '@writ/domain/event'
import { parseId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { epochMs, toIso, type EpochMs } from '@writ/domain/time'
import type { z } from 'zod'
import type { EventMac } from '../../keys/mac.ts'
import type { Bell } from '../../platform/bell.ts'
import type { Clock } from '../../platform/clock.ts'
import { logHolding, logsOf, type ReadableLog } from '../../prove/logs-of-stream.ts'
import { receiptIn, type StoodEvent } from '../../prove/receipt.ts'
import { isAuthentic } from '../../record/authentic.ts'
import type { Db, Store } from '../../record/tx.ts'
import { listEvents, listEventsById, listSaid, type EventPage, type StoredEvent } from '../../store/events.ts'
import { wholeUpTo } from '../../store/whole-events.ts'
import { hearsWhatWasSaid, route, seesEvent, type HumanCaller, type Route } from '../call.ts'
import { problem, type ProblemAnswer } from '../problem.ts'
import { eventReply } from '../replies.ts'

export type EventRoutesNeeds = { readonly store: Store; readonly eventMac: EventMac; readonly clock: Clock; readonly sealed: Bell; /** Once it is aborted, nobody waits any longer. */ readonly stopping: AbortSignal }

const NO_EVENT = problem('not-found', { code: 'event_not_found', detail: 'there is no such event, or it is not yours', hint: 'an event is named by `evt_` and 26 characters' })
const BAD_CURSOR = problem('invalid-fields', { errors: [{ field: 'cursor', message: 'is not one of ours' }] })
const NOT_SEALED = problem('not-yet', { code: 'not_sealed_yet', detail: 'no checkpoint covers the event yet', hint: 'whatever is recorded is sealed within seconds; ask again with `wait_seconds=10`' })
const NOT_WHOLE = problem('not-yet', { code: 'record_not_whole', detail: 'a transaction that has begun to record may still put an event before the newest', hint: 'ask again' })
const LONGEST_WAIT_STEP_MS = 500

export function eventRoutes(needs: EventRoutesNeeds): readonly Route[] {
  const { store, eventMac } = needs
  /** Undefined also of what is not for this caller. */
  const eventFor = async (db: Db, caller: HumanCaller, reference: string): Promise<StoredEvent | undefined> => {
    const id = parseId('event', reference)
    const [event] = id === undefined ? [] : await listEventsById(db, [id])
    return event !== undefined && isAuthentic(eventMac, event) && seesEvent(caller, event) ? event : undefined
  }
  return [
    route(contract.listEvents, async ({ query }) => {
      const page = pageOf(query)
      if (page === undefined) return BAD_CURSOR
      const found = await waited(needs, query.wait_seconds * 1000, () => readPage(needs, page), (read) => !read.ok || read.value.events.length > 0)
      return found.ok ? { reply: found.value } : found.refusal
    }),
    route(contract.showEvent, async ({ caller, parameters }) => {
      const reply = await store.read(async (db) => {
        const event = await eventFor(db, caller, parameters.id!)
        return event && (await repliesOf(db, [event], hearsWhatWasSaid(caller)))[0]
      })
      return reply === undefined ? NO_EVENT : { reply }
    }),
    route(contract.showEventReceipt, async ({ caller, parameters, query }) => {
      const look = (): Promise<Stood | undefined> => store.read(async (db) => {
        const event = await eventFor(db, caller, parameters.id!)
        if (event === undefined) return undefined
        const said = hearsWhatWasSaid(caller) ? (await listSaid(db, [event.id])).get(event.id) ?? [] : []
        return { event, stood: await receiptIn(db, event, said) }
      })
      const found = await waited(needs, query.wait_seconds * 1000, look, (seen) => seen?.stood !== undefined || seen === undefined)
      if (found === undefined) return NO_EVENT
      return found.stood === undefined ? NOT_SEALED : { reply: receiptReply(found.event, found.stood) }
    }),
  ]
}

type Stood = { readonly event: StoredEvent; readonly stood: StoodEvent | undefined }

type Asked = z.output<typeof contract.listEvents['query']>
type Page = EventPage & { readonly isBackwards: boolean; readonly cursor: number | undefined }

/** Undefined when the cursor is not one of ours. */
function pageOf({ limit, cursor: given, stream, task, since, until, order, newest }: Asked): Page | undefined {
  const cursor = given === undefined ? undefined : Number(given)
  if (cursor !== undefined && !Number.isSafeInteger(cursor)) return undefined
  const isBackwards = order === 'newest_first'
  return {
    limit, isBackwards, cursor, newest: isBackwards || newest === 'true',
    ...(cursor === undefined ? {} : isBackwards ? { beforeSeq: cursor } : { afterSeq: cursor }),
    ...(stream === undefined ? {} : { stream }), ...(task === undefined ? {} : { task }),
    ...(since === undefined ? {} : { since: toInstant(since) }), ...(until === undefined ? {} : { until: toInstant(until) }),
  }
}

/** The contract has seen to it that it is one. Ids know no time before 1970. */
const toInstant = (text: string): EpochMs => epochMs(Math.max(0, Date.parse(text)))

/** Looks until it is good, at most for so long. */
async function waited<T>({ clock, sealed, stopping }: EventRoutesNeeds, ms: number, look: () => Promise<T>, isGood: (found: T) => boolean): Promise<T> {
  const until = clock.now() + ms
  const listener = sealed.listener()
  for (;;) {
    const found = await look()
    const left = until - clock.now()
    if (isGood(found) || left <= 0 || stopping.aborted) return found
    await listener.heard(Math.min(left, LONGEST_WAIT_STEP_MS))
  }
}

type Events = { readonly events: contract.EventReply[]; readonly next: string | null }

/** What stands before a cursor was whole when that was given. */
async function readPage({ store, eventMac }: EventRoutesNeeds, { isBackwards, cursor, ...page }: Page): Promise<Outcome<Events, ProblemAnswer>> {
  const upToSeq = isBackwards && cursor !== undefined ? undefined : await wholeUpTo(store)
  // Whoever follows looks on from the same place; the newest are not known.
  if (upToSeq === null && page.newest === true) return refuse(NOT_WHOLE)
  return store.read(async (db) => {
    const found = await listEvents(db, { ...page, ...(upToSeq === undefined ? {} : { upToSeq: upToSeq ?? 0 }) })
    // A row that is not ours is shown to nobody as an event; where one stood in the log, the log's verification says so.
    const events = await repliesOf(db, found.filter((event) => isAuthentic(eventMac, event)), true)
    if (isBackwards) return ok({ events: events.toReversed(), next: found.length < page.limit ? null : String(found[0]!.seq) })
    return ok({ events, next: String(found.at(-1)?.seq ?? cursor ?? '') || null })
  })
}

async function repliesOf(db: Db, events: readonly StoredEvent[], withSaid: boolean): Promise<contract.EventReply[]> {
  const said = await listSaid(db, withSaid ? events.map((event) => event.id) : [])
  const logs = new Map<Stream, readonly ReadableLog[]>()
  for (const stream of new Set(events.map((event) => event.stream))) logs.set(stream, await logsOf(db, stream))
  return events.map((event) => eventReply(event, said.get(event.id) ?? [], logHolding(logs.get(event.stream)!, event.leafIndex)))
}

const receiptReply = (event: StoredEvent, { log, receipt: { leaf, index, proof, disclosures } }: StoodEvent): contract.EventReceiptReply => ({
  event: event.id, stream: event.stream, log: log.origin, vkey: log.vkey, checkpoint: log.note, checkpoint_at: toIso(log.signedAt),
  receipt: { leaf, index, proof: [...proof], ...(disclosures === undefined ? {} : { disclosures: { ...disclosures } }) },
})
