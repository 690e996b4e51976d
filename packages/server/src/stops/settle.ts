import type { ServerInstanceId, StopId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { ServerAnswer } from '@writ/domain/stop'
import type { EpochMs } from '@writ/domain/time'
import { failpoint } from '../platform/failpoint.ts'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { findServerInstance } from '../store/server-instances.ts'
import { countCallsThrough, countLeaseEnds, listSettled, listStopServers, lockStop, lockStopServer, markStopSettled, setAnswer } from '../store/stops.ts'

const WRIT = { kind: 'writ', id: 'writ' } as const

/** `own`: who asks; of another server it is told only once that is gone. */
type AnswerInput = { readonly stop: StopId; readonly instance: ServerInstanceId; readonly own: ServerInstanceId; readonly now: EpochMs }
export type AnswerRefusal = { readonly kind: 'no_such_point' } | { readonly kind: 'calls_in_flight'; readonly count: number } | { readonly kind: 'still_there' }

/** A server confirms that nothing of what was stopped is in flight there any more; or it is found to be gone. Once more changes nothing. */
export const answerStop = change('stop.answer', async (tx: Tx, { stop, instance, own, now }: AnswerInput): Promise<Outcome<ServerAnswer, AnswerRefusal>> => {
  const found = await lockStop(tx, stop)
  const point = found && await lockStopServer(tx, { stop, instance })
  if (found === undefined || point === undefined) return refuse({ kind: 'no_such_point' })
  if (point.answer !== null) return ok(point.answer)
  const isThere = (await findServerInstance(tx.db, instance))?.goneAt === null
  if (instance !== own && isThere) return refuse({ kind: 'still_there' })
  const { inFlight, lost } = await countCallsThrough(tx.db, { stop, instance }, found.at)
  if (inFlight > 0) return refuse({ kind: 'calls_in_flight', count: inFlight })
  const answer: ServerAnswer = lost > 0 ? 'lost' : instance === own ? 'acknowledged' : 'gone'
  await setAnswer(tx.db, { stop, instance }, { answer, callsLost: lost, now })
  await append(tx, now, { type: 'stop.acknowledged', actor: WRIT, identity: found.identity, facts: { stop, server: instance, answer, calls_lost: lost, after_ms: now - found.at } })
  failpoint('stop.answered.before_commit')
  return ok(answer)
})

type SettleInput = { readonly stop: StopId; readonly now: EpochMs }

/** Once nothing is awaited any more: contained, if every server has confirmed and every credential was refused when it was tried. */
export const settleStop = change('stop.settle', async (tx: Tx, { stop, now }: SettleInput): Promise<Outcome<boolean, { readonly kind: 'no_such_stop' }>> => {
  const found = await lockStop(tx, stop)
  if (found === undefined) return refuse({ kind: 'no_such_stop' })
  if (found.state !== 'containing' || !(await listSettled(tx.db)).includes(stop)) return ok(false)
  const [servers, ends] = [await listStopServers(tx.db, stop), await countLeaseEnds(tx.db, stop)]
  const lost = servers.filter(({ answer }) => answer === 'lost').length
  const outcome = lost > 0 || ends.notEvaluated > 0 ? 'not_proved' : 'contained'
  await markStopSettled(tx.db, stop, outcome, now)
  await append(tx, now, {
    type: 'stop.settled', actor: WRIT, identity: found.identity,
    facts: { stop, outcome, servers: servers.length, servers_lost: lost, proved: ends.proved, not_evaluated: ends.notEvaluated, after_ms: now - found.at },
  })
  failpoint('stop.settled.before_commit')
  return ok(true)
})
