import { STREAMS } from '@writ/domain/event'
import { milliseconds, plus } from '@writ/domain/time'
import type { Logger } from 'pino'
import type { Bell } from '../platform/bell.ts'
import type { ResyncedClock } from '../platform/clock.ts'
import { lapseRound } from '../approvals/end.ts'
import { warmRound } from '../decide/warm.ts'
import { within } from '../platform/within.ts'
import { MOST_LEAVES, sealOnce, type SealNeeds } from '../record/seal.ts'
import type { Store } from '../record/tx.ts'
import { noticeRounds, type NoticeNeeds } from '../notices/round.ts'
import { retireDueIdentities } from '../registry/change-identity.ts'
import type { WithdrawNeeds } from '../revoke/withdraw.ts'
import { INSTANCE_PACE_MS } from '../tools/instances.ts'
import { endDueTasks } from '../tasks/keep-task.ts'
import { forget } from './forget.ts'
import { instanceRound, type InstanceJobNeeds } from './instances.ts'
import { startLoop, type Loop } from './loop.ts'
import { stopRound, type StopJobNeeds } from './stops.ts'
import { orphanRound, type OrphanNeeds } from './orphans.ts'
import { signingKeyRound, type SigningKeyJobNeeds } from './signing-keys.ts'
import { tokenRound } from './tokens.ts'
import { withdrawals } from './withdrawals.ts'

export type JobNeeds = SealNeeds & WithdrawNeeds & SigningKeyJobNeeds & InstanceJobNeeds & Omit<OrphanNeeds, 'reach'> & NoticeNeeds & StopJobNeeds & {
  readonly backends: OrphanNeeds['reach']
  readonly store: Store
  readonly clock: ResyncedClock
  readonly log: Logger
  /** Rung when something is due. */
  readonly due: Bell
  /** Rung when the record has grown. */
  readonly recorded: Bell
  /** Rung when the log has grown. */
  readonly sealed: Bell
  /** What the host's clock is compared with. */
  readonly referenceTime: () => Promise<number | undefined>
}

/** A claim on rows that one transaction both takes and finishes: it only has to outlive that. */
const BRIEF_CLAIM = milliseconds(30_000)
const MOST_DUE = 200

/** A checkpoint costs a commit and some statements: under load it covers what has come in this long; the first event after a rest waits for nothing. */
const SEAL_GAP_MS = 50

/** A version is parsed where it decides within twice this time. */
const WARM_PACE_MS = 500

/** Somebody is told within a second, whichever server recorded it. */
const NOTICE_PACE_MS = 800
const NOTICE_GAP_MS = 200

export type Jobs = {
  readonly loops: readonly Loop[]
  /** Whether the withdrawals that were under way have ended in this time; what was recorded is sealed. */
  readonly stop: (mostMs: number) => Promise<boolean>
}

/** Everything that runs on its own: what is due ends, what was recorded is sealed, what is left over is found. */
export function startJobs(needs: JobNeeds): Jobs {
  const { store, clock } = needs
  const about = { clock, log: needs.log }
  const withdrawing = withdrawals({ ...needs, ended: needs.recorded })
  const telling = noticeRounds(needs)
  const loops = [
    startLoop({ name: 'end-due', paceMs: 250, wokenBy: needs.due, ...about, round: () => endWhatIsDue(needs) }),
    startLoop({ name: 'withdraw', paceMs: 250, wokenBy: needs.due, ...about, round: withdrawing.round }),
    startLoop({ name: 'end-tokens', paceMs: 250, wokenBy: needs.due, ...about, round: tokenRound(needs) }),
    startLoop({ name: 'seal', paceMs: 200, gapMs: SEAL_GAP_MS, wokenBy: needs.recorded, ...about, round: () => sealAll(needs) }),
    startLoop({ name: 'signing-keys', paceMs: 1000, ...about, round: signingKeyRound(needs) }),
    startLoop({ name: 'instances', paceMs: INSTANCE_PACE_MS, ...about, round: instanceRound(needs) }),
    startLoop({ name: 'policies', paceMs: WARM_PACE_MS, ...about, round: warmRound(needs) }),
    startLoop({ name: 'notices', paceMs: NOTICE_PACE_MS, gapMs: NOTICE_GAP_MS, wokenBy: needs.recorded, ...about, round: async () => needs.instance() !== undefined && telling.round() }),
    startLoop({ name: 'lapse-approvals', paceMs: 250, ...about, round: lapseRound(needs) }),
    startLoop({ name: 'stops', paceMs: 250, wokenBy: needs.due, ...about, round: stopRound(needs) }),
    startLoop({ name: 'orphans', paceMs: 30_000, ...about, round: orphanRound({ ...needs, reach: needs.backends }) }),
    startLoop({
      name: 'forget', paceMs: 15_000, ...about,
      round: async () => {
        const forgotten = await store.change(forget, { now: clock.now() })
        return forgotten.ok && forgotten.value
      },
    }),
    startLoop({
      name: 'clock', paceMs: 10_000, ...about,
      round: async () => {
        clock.resync((await needs.referenceTime()) as never)
        return false
      },
    }),
  ]
  return {
    loops,
    async stop(mostMs) {
      const others = Promise.all(loops.filter((loop) => loop.name !== 'seal').map((loop) => loop.stop()))
      // A back end that hangs holds up nobody's end: what is not withdrawn by then is due again at the next start.
      const isSettled = await within(others.then(() => Promise.all([withdrawing.settled(), telling.settled()])), mostMs)
      await loops.find((loop) => loop.name === 'seal')!.stop()
      await sealAll(needs)
      return isSettled
    },
  }
}

async function endWhatIsDue(needs: JobNeeds): Promise<boolean> {
  const now = needs.clock.now()
  const claim = { now, until: plus(now, BRIEF_CLAIM), limit: MOST_DUE }
  const ended = await needs.store.change(endDueTasks, claim)
  const retired = await needs.store.change(retireDueIdentities, claim)
  const count = (ended.ok ? ended.value : 0) + (retired.ok ? retired.value : 0)
  if (count > 0) needs.due.ring()
  return ended.ok && ended.value === MOST_DUE
}

async function sealAll(needs: JobNeeds): Promise<boolean> {
  const sealed = []
  for (const stream of STREAMS) sealed.push(await sealOnce(needs, stream))
  if (sealed.some((many) => many > 0)) needs.sealed.ring()
  return sealed.includes(MOST_LEAVES)
}
