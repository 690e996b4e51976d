import type { Permit } from '@writ/domain/authority'
import type { EventActor } from '@writ/domain/event'
import type { IdentityId, LeaseId, ServerInstanceId, TaskId } from '@writ/domain/id'
import { leaseVariables, secretVariableName } from '@writ/domain/lease-variables'
import type { Logger } from 'pino'
import type { Decided } from '../decide/record-decision.ts'
import { issueLease, type IssueNeeds, type IssueRefusal } from '../issue/issue-lease.ts'
import { stopLease } from '../revoke/lease-changes.ts'
import type { McpServer } from '../store/mcp-servers.ts'

/** Leases of a task that are in the hands of a server, and in nobody else's: the variables that it finds them by. */
export type Lent = {
  readonly leases: readonly LeaseId[]
  readonly secret: Readonly<Record<string, string>>
  /** Those that may be said aloud. */
  readonly beside: Readonly<Record<string, string>>
  /** Ends the leases at once, whether the task goes on or not. Never throws: what could not be ended here ends with the task. */
  giveBack(): Promise<void>
}

const NOTHING_LENT: Lent = { leases: [], secret: {}, beside: {}, giveBack: async () => undefined }

/** In whose task a server is lent what it needs. */
export type LendOrder = { readonly task: TaskId; readonly identity: IdentityId; readonly traceId: string }

export type Lender = (server: McpServer, order: LendOrder) => Promise<Lent>

/** What a server needs it is not given: the task may not have it, or the back end did not make it. */
export class NotLent extends Error {
  readonly server: string
  readonly permit: Permit
  readonly refusal: IssueRefusal
  /** The decision against it; undefined where it did not come to one, or where that was not what was in the way. */
  readonly decided: Decided | undefined

  constructor(server: string, permit: Permit, refusal: IssueRefusal) {
    super(`the MCP server \`${server}\` was not given a lease of \`${permit.resource}\`: ${refusal.kind}`)
    this.server = server
    this.permit = permit
    this.refusal = refusal
    this.decided = refusal.kind === 'denied' || refusal.kind === 'grant_not_covered' ? refusal.decided : undefined
  }
}

/** `instance`: this run of the server; should it not live to give back what it lent, another one ends it. */
export type LenderNeeds = IssueNeeds & { readonly log: Logger; readonly instance: ServerInstanceId }

const WRIT: EventActor = { kind: 'writ', id: 'writ' }

/**
 * Asks for the leases as the task would ask itself: within its own grant, which is more than the token at hand may hold, decided on, counted and
 * recorded. Only the secret goes another way. Throws `NotLent`, and then nothing of it is left live.
 */
export function lender(needs: LenderNeeds): Lender {
  const { store, clock, log } = needs

  async function end(leases: readonly LeaseId[], server: string): Promise<void> {
    for (const lease of leases) {
      try {
        await store.change(stopLease, { lease, by: WRIT, reason: `the way to the MCP server ${server} was closed`, now: clock.now() })
      } catch (error) {
        log.warn({ mcp_server: server, lease, err: error }, 'a lease that an MCP server had was not ended with the way to it: it ends with its task')
      }
    }
    if (leases.length > 0) needs.wake()
  }

  return async ({ name, settings }, { task, identity, traceId }) => {
    const wanted = settings.transport === 'stdio' ? settings.leases : []
    if (wanted.length === 0) return NOTHING_LENT
    const [leases, secret, beside]: [LeaseId[], Record<string, string>, Record<string, string>] = [[], {}, {}]
    try {
      for (const { variables: prefix, type, resource, action } of wanted) {
        const permit: Permit = { type, resource, action, limits: {} }
        // Without a key nobody can ask for the reply again.
        const once = { caller: identity, key: null, requestHash: '', now: clock.now() }
        const issued = await issueLease(needs, { task, identity, permit, workload: null, traceId, lentBy: needs.instance }, once)
        if (!issued.ok) throw new NotLent(name, permit, issued.refusal)
        leases.push(issued.value.lease.id)
        const given = leaseVariables(prefix, { ...issued.value.address, password: issued.value.secret })
        for (const [variable, value] of Object.entries(given)) (variable === secretVariableName(prefix) ? secret : beside)[variable] = value
      }
    } catch (cause) {
      await end(leases, name)
      throw cause
    }
    let giving: Promise<void> | undefined
    return { leases, secret, beside, giveBack: () => giving ??= end(leases, name) }
  }
}
