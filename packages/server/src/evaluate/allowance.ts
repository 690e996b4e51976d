import type { IdentityId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { MostPerMinute } from '../config/per-minute.ts'
import type { Clock } from '../platform/clock.ts'
import { perMinute } from '../platform/per-minute.ts'
import type { Store } from '../record/tx.ts'
import { noteAskedTooOften } from '../watch/asks-too-often.ts'

export type AllowanceNeeds = { readonly store: Pick<Store, 'change'>; readonly clock: Clock; readonly most: Pick<MostPerMinute, 'advice' | 'denied'> }

/** `seconds`: when it may ask again. */
export type TooOften = { readonly kind: 'asks_too_often'; readonly of: 'advice' | 'denied'; readonly most: number; readonly seconds: number }

/** So many attempts may be made now, of which each may be denied. They are given back once it is known how many were. */
export type Taken = { readonly count: number; readonly giveBack: (denied: number) => void }

/**
 * How often an identity may ask, so that none keeps the server or its log busy with what leads to nothing. Uses that are allowed are not
 * bounded here: they have their budget.
 */
export type Allowance = {
  /** So many questions without a task, all or none of them. */
  readonly advice: (of: IdentityId, count: number) => Promise<Outcome<null, TooOften>>
  /**
   * At most so many attempts, and at least one. As many as may still be denied are on their way at a time, so that no more are denied than
   * may be, however many come at once; the others wait.
   */
  readonly attempts: (of: IdentityId, wanted: number) => Promise<Outcome<Taken, TooOften>>
}

type Underway = { count: number; readonly waiting: (() => void)[] }

export function allowance({ store, clock, most }: AllowanceNeeds): Allowance {
  const counted = { advice: perMinute(clock), denied: perMinute(clock) }
  const told = perMinute(clock)
  const underway = new Map<IdentityId, Underway>()

  /** The first time in a minute the record is told, too. */
  const tooOften = async (identity: IdentityId, of: TooOften['of']): Promise<Outcome<never, TooOften>> => {
    const isFirst = told.countOf(identity) === 0
    told.add(identity, 1)
    if (isFirst) await store.change(noteAskedTooOften, { identity, of, mostPerMinute: most[of], now: clock.now() })
    return refuse({ kind: 'asks_too_often', of, most: most[of], seconds: counted[of].secondsLeft(identity) })
  }

  const taking = (identity: IdentityId, own: Underway, count: number): Taken => {
    own.count += count
    return {
      count,
      giveBack(denied) {
        counted.denied.add(identity, denied)
        own.count -= count
        for (const wake of own.waiting.splice(0)) wake()
        if (own.count === 0) underway.delete(identity)
      },
    }
  }

  return {
    async advice(identity, count) {
      if (counted.advice.countOf(identity) + count > most.advice) return tooOften(identity, 'advice')
      counted.advice.add(identity, count)
      return ok(null)
    },
    async attempts(identity, wanted) {
      for (;;) {
        const left = most.denied - counted.denied.countOf(identity)
        if (left <= 0) return tooOften(identity, 'denied')
        const own = underway.get(identity) ?? { count: 0, waiting: [] }
        underway.set(identity, own)
        if (own.count < left) return ok(taking(identity, own, Math.min(wanted, left - own.count)))
        await new Promise<void>((resolve) => { own.waiting.push(resolve) })
      }
    },
  }
}
