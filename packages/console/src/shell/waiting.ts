import { listApprovals } from '../endpoints.ts'
import { useLiveState } from '../live.ts'
import { useAsk } from '../queries.ts'
import { useReach } from '../who.ts'

/** Beyond it a number says no more than `99+`. */
const MOST = 99

export type WaitingCount = { readonly count: number; readonly more: boolean }

/** How many requests wait for whoever is signed in, and not for others; undefined of somebody who answers none, and until it is known. */
export function useWaiting(): WaitingCount | undefined {
  const answers = useReach('approveApproval') !== 'none'
  const poll = useLiveState().kind !== 'live'
  const { data } = useAsk(listApprovals, { query: { state: 'waiting', mine: 'true', limit: MOST } }, { when: answers, poll })
  return data === undefined || !answers ? undefined : { count: data.approvals.length, more: data.next !== null }
}

/** As the menu and the title say it: nothing of none. */
export const countText = (waiting: WaitingCount | undefined): string | null =>
  waiting === undefined || waiting.count === 0 ? null : `${waiting.count}${waiting.more ? '+' : ''}`
