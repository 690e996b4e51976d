import type { EventLeaf } from '@writ/domain/event'
import { mintId, type EventId } from '@writ/domain/id'
import type { NoticeMatter } from '@writ/domain/notice'
import { epochMs, milliseconds, plus, type EpochMs, type Milliseconds } from '@writ/domain/time'
import type { Logger } from 'pino'
import type { EventMac } from '../keys/mac.ts'
import { SealFault, type Sealer } from '../keys/seal.ts'
import type { Entropy } from '../platform/entropy.ts'
import { LONGEST_MAIL_MS } from '../platform/mail.ts'
import { isAuthentic } from '../record/authentic.ts'
import type { Store } from '../record/tx.ts'
import { listEvents, listEventsById, listSaid } from '../store/events.ts'
import { readableUpTo } from '../store/follow.ts'
import { findNoticeTarget, hasDueNotice, listActiveTargets, type Notice, type NoticeTarget } from '../store/notices.ts'
import { findTask } from '../store/tasks.ts'
import { openAddress } from './address.ts'
import { claimDueNotices, queueNotices, settleSent } from './outbox.ts'
import { isForEver, send, troubleOf, type SendNeeds } from './send.ts'
import { tellingOf } from './telling.ts'

export type NoticeNeeds = SendNeeds & {
  readonly store: Pick<Store, 'read' | 'change' | 'dialect'>
  readonly secrets: Sealer
  readonly eventMac: EventMac
  readonly entropy: Entropy
  readonly log: Logger
  /** The first pause after an attempt that failed. */
  readonly retryBase: Milliseconds
  /** Where people sign in. */
  readonly origin: () => string
}

export type NoticeRounds = {
  /** One look at what was recorded and at what is due; answers whether there is more to do right now. */
  readonly round: () => Promise<boolean>
  /** Resolves when what was on its way has come to an end. */
  readonly settled: () => Promise<void>
}

const MOST_LOOKED_AT = 500
/** On their way at once, all targets together: none of them waits for another's slowness for long. */
const MOST_ON_THEIR_WAY = 32
/** Longer than an attempt can take; whoever dies with one under way keeps it from others for so long. */
const CLAIM = milliseconds(LONGEST_MAIL_MS + 15_000)
const LONGEST_PAUSE_MS = 3_600_000
/** From ten seconds on, doubled up to an hour: for about a day. */
const MOST_ATTEMPTS = 30

export function noticeRounds(needs: NoticeNeeds): NoticeRounds {
  const onTheirWay = new Set<Promise<void>>()
  const begin = (notice: Notice): void => {
    const going = attempt(needs, notice)
      .catch((error: unknown) => { needs.log.warn({ notice: notice.id, err: error }, 'a notice could not be settled, and will be tried again') })
      .finally(() => { onTheirWay.delete(going) })
    onTheirWay.add(going)
  }
  return {
    async round() {
      const isMore = await lookAtRecord(needs)
      const room = MOST_ON_THEIR_WAY - onTheirWay.size
      const now = needs.clock.now()
      if (room === 0 || !(await needs.store.read((db) => hasDueNotice(db, now)))) return isMore
      const claimed = await needs.store.change(claimDueNotices, { now, until: plus(now, CLAIM), limit: room })
      if (claimed.ok) claimed.value.forEach(begin)
      return isMore
    },
    async settled() {
      await Promise.allSettled(onTheirWay)
    },
  }
}

async function lookAtRecord(needs: NoticeNeeds): Promise<boolean> {
  let isMore = false
  for (const target of await needs.store.read(listActiveTargets)) isMore = await lookFor(needs, target) || isMore
  return isMore
}

/** Queues what this target is to be told of, from where it was left off. */
async function lookFor({ store, eventMac, entropy, clock }: NoticeNeeds, target: NoticeTarget): Promise<boolean> {
  const whole = await readableUpTo(store, target.toldUpTo)
  if (whole <= target.toldUpTo) return false
  const events = await store.read((db) => listEvents(db, { limit: MOST_LOOKED_AT, afterSeq: target.toldUpTo, upToSeq: whole, types: target.about }))
  const isMore = events.length === MOST_LOOKED_AT
  const now = clock.now()
  const notices = events.filter((event) => isAuthentic(eventMac, event) && !isAboutItself(event.text, target))
    .map((event) => ({ id: mintId('notice', now, entropy.bytes(10)), target: target.id, event: event.id, matter: event.type as NoticeMatter }))
  await store.change(queueNotices, { target: target.id, from: target.toldUpTo, upTo: isMore ? events.at(-1)!.seq : whole, notices, now })
  return isMore
}

/** That nothing reaches a target is nothing that it can be told. */
const isAboutItself = (text: string, target: NoticeTarget): boolean => (JSON.parse(text) as EventLeaf).facts['notice_target'] === target.id

async function attempt(needs: NoticeNeeds, notice: Notice): Promise<void> {
  const about = { notice: notice.id, target: notice.target }
  const trouble = await troubleWith(needs, notice)
  // Whoever dies here has told and does not know it: it is told again, under the same id.
  const now = needs.clock.now()
  if (trouble === undefined) return void await needs.store.change(settleSent, { ...about, trouble: null, again: null, now })
  const isLast = trouble.forEver || notice.attempts + 1 >= MOST_ATTEMPTS
  if (isLast) needs.log.warn({ ...about, trouble: trouble.word }, 'a notice did not arrive and is given up')
  await needs.store.change(settleSent, { ...about, trouble: trouble.word, again: isLast ? null : nextAt(needs, notice, now), now })
}

type Trouble = { readonly word: string; readonly forEver: boolean }

/** Undefined when it has arrived. */
async function troubleWith(needs: NoticeNeeds, notice: Notice): Promise<Trouble | undefined> {
  const { store, secrets } = needs
  const target = await store.read((db) => findNoticeTarget(db, notice.target))
  const [event] = await store.read((db) => listEventsById(db, [notice.event as EventId]))
  if (event === undefined || !isAuthentic(needs.eventMac, event)) return { word: 'event_gone', forEver: true }
  const address = target && addressOf(secrets, target)
  if (address === undefined) return { word: 'address_can_not_be_opened', forEver: true }
  const leaf = JSON.parse(event.text) as EventLeaf
  const said = (await store.read((db) => listSaid(db, [event.id]))).get(event.id) ?? []
  const purpose = notice.matter === 'approval.requested' && leaf.task !== null ? (await store.read((db) => findTask(db, leaf.task!)))?.purpose : undefined
  const more = purpose === undefined ? [] : [{ field: 'purpose', value: purpose }]
  const sent = await send(needs, address, tellingOf({ id: notice.id, matter: notice.matter, leaf, said: [...more, ...said], origin: needs.origin() }))
  return sent.ok ? undefined : { word: troubleOf(sent.refusal), forEver: isForEver(sent.refusal) }
}

/** Another master key than the one it was sealed under opens it never. */
function addressOf(secrets: Sealer, target: NoticeTarget): ReturnType<typeof openAddress> {
  try {
    return openAddress(secrets, target)
  } catch (cause) {
    if (cause instanceof SealFault) return undefined
    throw cause
  }
}

/** Half of the pause is left to chance, so that all that failed together does not come back together. */
function nextAt({ entropy, retryBase }: NoticeNeeds, { attempts }: Notice, now: EpochMs): EpochMs {
  const pause = Math.min(LONGEST_PAUSE_MS, retryBase * 2 ** attempts)
  return epochMs(now + Math.ceil(pause * (0.5 + entropy.bytes(1)[0]! / 512)))
}
