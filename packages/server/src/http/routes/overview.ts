import * as contract from '@writ/contract/overview'
import { epochMs, toIso, type EpochMs } from '@writ/domain/time'
import type { Clock } from '../../platform/clock.ts'
import type { Store } from '../../record/tx.ts'
import { countDecisions, countIdentities } from '../../store/overview.ts'
import { countOpen } from '../../store/tallies.ts'
import { route, type Route } from '../call.ts'

export type OverviewRoutesNeeds = { readonly store: Pick<Store, 'read'>; readonly clock: Clock }

const HOUR_MS = 3_600_000
const HOURS = 24
/** However many look, the store is counted once in this time. */
const COUNTED_FOR_MS = 2000
const MOST_IN_AN_HOUR = 100_000

export function overviewRoutes({ store, clock }: OverviewRoutesNeeds): readonly Route[] {
  const hours = hoursOf(store)
  let counted: { readonly reply: contract.OverviewReply; readonly until: EpochMs } | undefined
  const count = async (now: EpochMs): Promise<contract.OverviewReply> => {
    const open = await store.read(countOpen)
    const { states, atWork, keys } = await store.read(countIdentities)
    return {
      at: toIso(now), tasks_open: open.tasks, identities_at_work: atWork, identities: states, leases_open: open.leases + open.accessTokens, standing_credentials: keys,
      findings: [...open.findings].map(([kind, of]) => ({ kind, count: of })).toSorted((a, b) => b.count - a.count || (a.kind < b.kind ? -1 : 1)), incidents_open: open.incidents,
      hours: [...await hours(now)],
    }
  }
  return [
    route(contract.showOverview, async () => {
      const now = clock.now()
      if (counted === undefined || now >= counted.until) counted = { reply: await count(now), until: epochMs(now + COUNTED_FOR_MS) }
      return { reply: counted.reply }
    }),
  ]
}

/** An hour that is over is counted once: nothing is ever decided in it any more. */
function hoursOf(store: Pick<Store, 'read'>): (now: EpochMs) => Promise<readonly contract.DecisionHour[]> {
  let kept: ReadonlyMap<number, contract.DecisionHour> = new Map()
  return async (now) => {
    const last = Math.floor(now / HOUR_MS)
    const found = new Map<number, contract.DecisionHour>()
    for (let hour = last - HOURS + 1; hour <= last; hour++) {
      const from = epochMs(hour * HOUR_MS)
      const counts = kept.get(hour) ?? await store.read((db) => countDecisions(db, { from, until: epochMs(from + HOUR_MS), most: MOST_IN_AN_HOUR }))
      found.set(hour, { from: toIso(from), ...counts })
    }
    // Another server's clock may be a little behind: what it decides now may still count as of the hour before.
    kept = new Map([...found].filter(([hour]) => hour < last - 1))
    return [...found.values()].map(({ from, allowed, approved, denied, observed, more }) => ({ from, allowed, approved, denied, observed, more }))
  }
}
