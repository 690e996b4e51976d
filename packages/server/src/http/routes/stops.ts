import * as contract from '@writ/contract/stops'
import { mintId, type TaskId } from '@writ/domain/id'
import { unreachable } from '@writ/domain/outcome'
import type { Touched } from '@writ/domain/stop'
import { toIso, type EpochMs } from '@writ/domain/time'
import type { Clock } from '../../platform/clock.ts'
import type { Entropy } from '../../platform/entropy.ts'
import type { Db, Store } from '../../record/tx.ts'
import { makeStop, weighStop, type StopAsked, type StopRefusal } from '../../stops/make.ts'
import { findIdentity } from '../../store/identities.ts'
import { listServerInstances } from '../../store/server-instances.ts'
import { countLeaseEnds, findStop, listStopLeases, listStops, listStopServers, listStopTasks, type Stop, type StopLease, type StopServer } from '../../store/stops.ts'
import { actorOf, isOwn, route, type HumanCaller, type Route } from '../call.ts'
import { NO_TASK, problem, type ProblemAnswer } from '../problem.ts'

export type StopRoutesNeeds = {
  readonly store: Store
  readonly clock: Clock
  readonly entropy: Entropy
  readonly wake: () => void
  /** Of these tasks, on this server. */
  readonly mcpOf: (tasks: ReadonlySet<TaskId>) => { readonly sessions: number; readonly links: number }
}

const MOST_LEASES_SHOWN = 200
const NO_STOP = problem('not-found', { code: 'stop_not_found', detail: 'there is no such stop, or it is not yours' })

export function stopRoutes(needs: StopRoutesNeeds): readonly Route[] {
  const { store, clock, entropy } = needs
  return [
    route(contract.makeStop, async ({ caller, body, once }) => {
      const asked: StopAsked = { target: body.target.kind, reference: body.target.id, own: ownOf(caller) }
      const now = clock.now()
      const weighed = await store.read(async (db) => {
        const found = await weighStop(db, asked)
        return found.ok ? { ok: true as const, ...found.value, ...(await besides(db, found.value.reach.identities)) } : found
      })
      if (!weighed.ok) return stopProblem(weighed.refusal)
      const about = {
        suspends: [...weighed.suspends],
        mcp: { ...needs.mcpOf(new Set(weighed.reach.tasks.map((task) => task.id))), servers_not_evaluated: Math.max(0, weighed.servers - 1) },
      }
      if (body.dry_run) return { reply: { stop: null, touches: touchesReply(weighed.touched), ...about } }
      const id = mintId('stop', now, entropy.bytes(10))
      const made = await store.changeOnce(makeStop, { ...asked, id, reason: body.reason, by: actorOf(caller), now }, once)
      if (!made.ok) return made.refusal.kind === 'key_reused' ? problem('idempotency-key-reused', { hint: 'use a new Idempotency-Key for a new request' }) : stopProblem(made.refusal)
      needs.wake()
      const reply = await store.read(async (db) => describeStop(db, (await findStop(db, made.value.value))!, await listStopServers(db, made.value.value)))
      return { reply: { stop: reply, touches: reply.touched, ...about } }
    }),
    route(contract.listStops, async ({ caller, query }) => {
      const own = ownOf(caller)
      return { reply: await store.read(async (db) => {
        const found = await listStops(db, { limit: query.limit + 1, ...(query.cursor === undefined ? {} : { before: query.cursor }), ...(own === null ? {} : { identities: own }) })
        const stops: contract.StopReply[] = []
        for (const one of found.slice(0, query.limit)) stops.push(await describeStop(db, one, await listStopServers(db, one.id)))
        return { stops, next: found.length > query.limit ? stops.at(-1)!.id : null }
      }) }
    }),
    route(contract.showStop, async ({ caller, parameters }) => {
      const reply = await store.read(async (db) => {
        const found = await findStop(db, parameters.id!)
        if (found === undefined || !isOwn(caller, found.identity)) return undefined
        // Read once: what is counted is what is shown.
        const servers = await listStopServers(db, found.id)
        const points = [
          ...servers.map((one) => serverPoint(one, found.at)),
          ...(await listStopLeases(db, found.id, MOST_LEASES_SHOWN)).map((one) => leasePoint(one, found.at)),
        ]
        return { ...(await describeStop(db, found, servers)), tasks: [...await listStopTasks(db, found.id)], points }
      })
      return reply === undefined ? NO_STOP : { reply }
    }),
  ]
}

const ownOf = (caller: HumanCaller): readonly string[] | null => (caller.kind === 'operator' || caller.own === null ? null : [...caller.own.identities])

async function besides(db: Db, identities: readonly string[]): Promise<{ readonly suspends: readonly string[]; readonly servers: number }> {
  const found = await Promise.all(identities.map((id) => findIdentity(db, id)))
  return { suspends: found.flatMap((one) => (one?.state === 'active' ? [one.spiffeId] : [])), servers: (await listServerInstances(db)).length }
}

const touchesReply = ({ identities, tasks, logins, tokens, callsInFlight, approvals }: Touched) => ({ identities, tasks, logins, access_tokens: tokens, calls_in_flight: callsInFlight, approvals })

async function describeStop(db: Db, stop: Stop, servers: readonly StopServer[]): Promise<contract.StopReply> {
  const ends = await countLeaseEnds(db, stop.id)
  const confirmed = servers.filter(({ answer }) => answer === 'acknowledged' || answer === 'gone').length + ends.proved
  return {
    id: stop.id, target: { kind: stop.target, id: stop.targetId }, identity: stop.identity, spiffe_id: (await findIdentity(db, stop.identity))!.spiffeId, reason: stop.reason,
    by: { kind: stop.by.kind, id: stop.by.id }, at: toIso(stop.at), state: stop.state, settled_at: stop.settledAt === null ? null : toIso(stop.settledAt),
    after_ms: stop.settledAt === null ? null : stop.settledAt - stop.at, touched: touchesReply(stop.touched), confirmed,
    of: servers.length + ends.pending + ends.incident + ends.notEvaluated + ends.proved,
  }
}

function serverPoint(one: StopServer, since: EpochMs): contract.StopPointReply {
  return {
    kind: 'server', id: one.instance, address: one.address, state: one.answer ?? 'pending', at: toIso(one.answeredAt ?? since), after_ms: one.answeredAt === null ? null : one.answeredAt - since,
    calls: one.calls, calls_lost: one.callsLost,
  }
}

function leasePoint({ id, kind, backend, outcome, incident }: StopLease, since: EpochMs): contract.StopPointReply {
  const state = outcome as 'proved' | 'not_evaluated' | 'never_issued' | null ?? (incident === null ? 'pending' : 'incident')
  return { kind: kind === 'login' ? 'login' : 'access_token', id, backend, state, since: outcome === null ? toIso(since) : null, incident }
}

function stopProblem(refusal: StopRefusal): ProblemAnswer {
  switch (refusal.kind) {
    case 'no_such_task': return NO_TASK
    case 'no_such_identity': return problem('not-found', { code: 'identity_not_found', detail: 'there is no such identity, or it is not yours' })
    case 'not_yours': return problem('not-allowed', { code: 'not_yours', detail: `it has delegated to identities that are not yours: ${refusal.identities.length}`, hint: 'stop it alone, or ask a responder' })
    default: return unreachable(refusal)
  }
}
