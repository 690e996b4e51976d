import { setTimeout as pause } from 'node:timers/promises'
import type { ApprovalId } from '@writ/domain/id'
import type { Logger } from 'pino'
import type { Store } from '../record/tx.ts'
import { listAnswered } from '../store/approvals.ts'

/** Waits for people's answers: one look at the store for all who wait, whichever server the answer came to. */
export type ApprovalWaiters = {
  /** Resolves once it waits for nobody any more, or after this long, or with the signal. */
  wait(id: ApprovalId, mostMs: number, signal?: AbortSignal): Promise<void>
  /** Tells whoever waits for it, without a look at the store: it was answered here. */
  wake(id: ApprovalId): void
}

export type WaitersNeeds = { readonly store: Pick<Store, 'read'>; readonly log: Logger; /** Aborted when this server stops. */ readonly stopping: AbortSignal }

const LOOK_EVERY_MS = 250
/** By primary key, so many at a time. */
const TOGETHER = 500

export function approvalWaiters({ store, log, stopping }: WaitersNeeds): ApprovalWaiters {
  const waiting = new Map<ApprovalId, Set<() => void>>()
  let looking = false
  const tellAll = (id: ApprovalId): void => { waiting.get(id)?.forEach((tell) => { tell() }) }

  async function look(): Promise<void> {
    const ids = [...waiting.keys()]
    for (let from = 0; from < ids.length; from += TOGETHER) {
      for (const id of await store.read((db) => listAnswered(db, ids.slice(from, from + TOGETHER)))) tellAll(id)
    }
  }

  async function run(): Promise<void> {
    looking = true
    while (waiting.size > 0 && !stopping.aborted) {
      await look().catch((cause: unknown) => { log.warn({ err: cause }, 'approvals could not be looked at; they are looked at again') })
      await pause(LOOK_EVERY_MS, undefined, { signal: stopping, ref: false }).catch(() => undefined)
    }
    looking = false
    if (stopping.aborted) for (const id of waiting.keys()) tellAll(id)
  }

  return {
    async wait(id, mostMs, signal) {
      const answered = Promise.withResolvers<void>()
      const tell = answered.resolve
      waiting.set(id, (waiting.get(id) ?? new Set()).add(tell))
      const late = setTimeout(tell, mostMs)
      signal?.addEventListener('abort', () => { tell() }, { once: true })
      if (signal?.aborted === true) tell()
      if (stopping.aborted) tell()
      if (!looking) void run()
      await answered.promise
      clearTimeout(late)
      const others = waiting.get(id)
      others?.delete(tell)
      if (others?.size === 0) waiting.delete(id)
    },
    wake: tellAll,
  }
}
