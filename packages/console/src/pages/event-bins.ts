import type { EventReply } from '@writ/contract/events'

export type Range = { readonly from: number; readonly to: number }
export type Count = { readonly all: number; readonly denied: number }
export type Lane = EventReply['stream']
export type Bin = Range & Readonly<Record<Lane, Count>>
export type Bins = Range & { readonly step: number; readonly bins: readonly Bin[] }

export const LANES: readonly Lane[] = ['non-human', 'human']

const [SECOND, MINUTE, HOUR, DAY] = [1000, 60_000, 3_600_000, 86_400_000]
const STEPS = [SECOND, 5 * SECOND, 15 * SECOND, MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 3 * HOUR, 12 * HOUR, DAY, 7 * DAY, 30 * DAY]
const MOST_BINS = 80

/** A denial, in whichever lane. */
export const isDenied = ({ type, facts }: Pick<EventReply, 'type' | 'facts'>): boolean =>
  type === 'decision.made' ? facts['answer'] === 'deny' : type === 'approval.denied' || type === 'device.denied'

/** How many there were in each step of time, lane by lane; undefined of nothing. Beginnings are whole steps of UTC. */
export function binsOf(events: readonly Pick<EventReply, 'at' | 'stream' | 'type' | 'facts'>[], range: Partial<Range>): Bins | undefined {
  const times = events.map(({ at }) => Date.parse(at))
  const [first, last] = [range.from ?? Math.min(...times), range.to ?? Math.max(...times)]
  if (!Number.isFinite(first) || !Number.isFinite(last) || last < first) return undefined
  const step = STEPS.find((one) => (last - first) / one < MOST_BINS - 1) ?? Math.ceil((last - first) / MOST_BINS / DAY) * DAY
  const from = Math.floor(first / step) * step
  const counts = Array.from({ length: Math.floor((last - from) / step) + 1 }, () => ({ 'non-human': { all: 0, denied: 0 }, 'human': { all: 0, denied: 0 } }))
  for (const [i, event] of events.entries()) {
    const count = counts[Math.floor((times[i]! - from) / step)]?.[event.stream]
    if (count === undefined) continue
    count.all += 1
    if (isDenied(event)) count.denied += 1
  }
  return { from, to: from + counts.length * step, step, bins: counts.map((count, i) => ({ from: from + i * step, to: from + (i + 1) * step, ...count })) }
}
