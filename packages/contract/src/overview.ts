import { z } from 'zod'
import { endpoint } from './endpoint.ts'

/** How one hour's decisions came out; advice is left out, for nothing hung on it. */
export const decisionHour = z.object({
  /** When the hour begins, UTC. */
  from: z.string(),
  /** By the policies alone. */
  allowed: z.number(),
  /** Allowed because a person had said yes to it. */
  approved: z.number(),
  denied: z.number(),
  /** Observed: let through, and would have been denied. */
  observed: z.number(),
  /** There were more than were counted: each number is the least that it can be. */
  more: z.boolean(),
})
export type DecisionHour = z.infer<typeof decisionHour>

/** What runs, what is wrong and what became of it: of the whole installation, as of one moment. */
export const overview = z.object({
  at: z.string(),
  tasks_open: z.number(),
  /** Identities with an open task. */
  identities_at_work: z.number(),
  identities: z.object({ active: z.number(), suspended: z.number(), retired: z.number() }),
  /** Leases and access tokens that have no recorded end yet. */
  leases_open: z.number(),
  /** Keys that identities prove themselves with, which have no end of their own. */
  standing_credentials: z.number(),
  findings: z.array(z.object({ kind: z.string(), count: z.number() })),
  incidents_open: z.number(),
  /** Oldest first; the last one is not over. */
  hours: z.array(decisionHour),
})
export type OverviewReply = z.infer<typeof overview>

export const showOverview = endpoint({
  method: 'GET', path: '/v1/overview', who: 'operator', summary: 'What runs, what is wrong, and the decisions of the last 24 hours by the hour', reply: overview, problems: [],
})
