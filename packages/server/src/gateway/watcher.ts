import type { LeaseId, TaskId } from '@writ/domain/id'
import type { Logger } from 'pino'
import type { Bell } from '../platform/bell.ts'
import type { Clock } from '../platform/clock.ts'
import type { Store } from '../record/tx.ts'
import { StorageBusy, StorageUnavailable } from '../store/faults.ts'
import { listOver } from '../store/lent-leases.ts'
import { listMcpServers, type McpServer } from '../store/mcp-servers.ts'
import { listEnded } from '../store/task-ends.ts'
import { findTokenStandings } from '../store/tokens.ts'
import type { LinkState } from './links.ts'
import { Ended } from './refused.ts'

/** What there is to be ended. */
export type Watched = {
  readonly states: () => readonly Pick<LinkState, 'task' | 'leases'>[]
  endTasks(ended: ReadonlyMap<TaskId, Ended>): void
  endTokens(leases: ReadonlySet<LeaseId>, because: Ended): void
  /** Leases in the hands of MCP servers. */
  readonly lent: () => readonly LeaseId[]
  endLent(leases: ReadonlySet<LeaseId>): void
  /** Called after each look: `isChanged` tells of a server that is not what it was when a way to it was opened. */
  endRest(isChanged: (server: McpServer) => boolean): void
}

export type WatcherNeeds = { readonly store: Pick<Store, 'read'>; readonly clock: Clock; readonly log: Logger; /** Rung when something has ended here. */ readonly due: Bell; readonly watched: Watched }

/** A stop on any server is heard within this, so that a call in flight ends within a second of it. */
const PACE_MS = 250
const TOKENS_AT_ONCE = 500

/** Ends what is in flight when its task, its token or its server does, whoever ended that. Answers how to stop. */
export function startWatcher(needs: WatcherNeeds): () => Promise<void> {
  const listener = needs.due.listener()
  let isStopping = false
  const stopped = Promise.withResolvers<void>()
  const running = (async () => {
    while (!isStopping) {
      try {
        await look(needs)
      } catch (error) {
        const isExpected = error instanceof StorageUnavailable || error instanceof StorageBusy
        needs.log[isExpected ? 'warn' : 'error']({ err: isExpected ? error.message : error }, 'it could not be seen which tasks have ended')
      }
      await Promise.race([listener.heard(PACE_MS), stopped.promise])
    }
  })()
  return async () => {
    isStopping = true
    stopped.resolve()
    await running
  }
}

async function look({ store, clock, watched }: WatcherNeeds): Promise<void> {
  const states = watched.states()
  if (states.length === 0) return
  const tasks = [...new Set(states.map(({ task }) => task))]
  const leases = [...new Set(states.flatMap((one) => one.leases))]
  const lent = watched.lent()
  const [ended, stopped, servers, over] = await store.read(async (db) => [
    await listEnded(db, tasks), await stoppedAmong(leases, (some) => findTokenStandings(db, some, clock.now())), await listMcpServers(db), await listOver(db, lent),
  ] as const)
  if (ended.size > 0) watched.endTasks(new Map([...ended].map(([task, reason]) => [task, new Ended('task_ended', reason)])))
  if (stopped.size > 0) watched.endTokens(stopped, new Ended('token_ended'))
  // Revoked, or taken back while this server stood still: the login that its program holds is dead.
  if (over.size > 0) watched.endLent(over)
  const active = new Map(servers.filter(({ state }) => state === 'active').map((one) => [one.id, one]))
  watched.endRest(({ id, secretSetAt }) => active.get(id)?.secretSetAt !== secretSetAt)
}

type Standing = Awaited<ReturnType<typeof findTokenStandings>>[number]

/** A token that only came to its end has begun its call in time; one that was revoked, or whose key was, has not. */
async function stoppedAmong(leases: readonly LeaseId[], ask: (some: { jti: LeaseId; kid: null }[]) => Promise<readonly Standing[]>): Promise<ReadonlySet<LeaseId>> {
  const stopped = new Set<LeaseId>()
  for (let i = 0; i < leases.length; i += TOKENS_AT_ONCE) {
    const some = leases.slice(i, i + TOKENS_AT_ONCE)
    const standings = await ask(some.map((jti) => ({ jti, kid: null })))
    for (const [n, standing] of standings.entries()) if (standing.kind === 'not_live' && standing.why === 'stopped') stopped.add(some[n]!)
  }
  return stopped
}
