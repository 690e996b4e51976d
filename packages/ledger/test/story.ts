import { leafHashBase64, type MadeEvent } from './made-log.ts'

const T0 = 1_790_000_000_000
const TASK = 'tsk_1'
const own = { task: TASK, identity: 'nhi_1' }

export const opened: MadeEvent = {
  id: 'evt_1', type: 'task.opened', at: T0, ...own,
  facts: {
    spiffe_id: 'spiffe://acme.example/agents/migrator', class: 'autonomous', environment: 'production', authority: ['postgres:shop:ddl'],
    deadline: T0 + 600_000, budget_calls: 100, parent: null, depth: 0, on_behalf_of: 'no', system_scope: ['shop'],
  },
  said: { purpose: 'migrate schema', technical_owner: 'team:platform', business_owner: 'person:maya@acme.example' },
}
export const intended: MadeEvent = {
  id: 'evt_2', type: 'lease.intended', at: T0 + 10, ...own, lease: 'lse_1',
  facts: { backend: 'shop', backend_kind: 'postgres', template: 'ddl', handle: 'writ_lse_1', expires_at: T0 + 600_000 },
}
export const minted: MadeEvent = {
  id: 'evt_3', type: 'lease.minted', at: T0 + 40, ...own, lease: 'lse_1', facts: { control: { ok: 'yes', took_ms: 12 } },
}
export const ended: MadeEvent = { id: 'evt_4', type: 'task.ended', at: T0 + 5000, ...own, facts: { reason: 'completed', calls_used: 1, by: 'nhi_1' } }
export const leaseEnded: MadeEvent = {
  id: 'evt_5', type: 'lease.ended', at: T0 + 5200, ...own, lease: 'lse_1',
  facts: {
    outcome: 'proved', withdrawn_at: T0 + 5100, sessions_ended: 2,
    reassigned: [
      { database: 'shop', kind: 'table', name: 'public.orders_v2', new_owner: 'shop_owner' },
      { database: 'shop', kind: 'function', name: 'public.f()', new_owner: 'shop_owner', disarmed: 'security definer' },
    ],
    control_login: 'ok',
    probe: {
      kind: 'refused',
      by: 'PostgreSQL 18.4',
      code: '28P01',
      message: 'password authentication failed for user "writ_lse_1"',
      absent_from_catalogue: 'yes',
      took_ms: 6,
    },
    refused_after_ms: 180, residual_until: null, attempts: 1,
  },
}
export const intended2: MadeEvent = { ...intended, id: 'evt_6', lease: 'lse_2', at: T0 + 20, facts: { ...intended.facts, handle: 'writ_lse_2' } }
export const neverIssued: MadeEvent = {
  id: 'evt_7', type: 'lease.ended', at: T0 + 30, ...own, lease: 'lse_2',
  facts: {
    outcome: 'never_issued', withdrawn_at: null, sessions_ended: 0, reassigned: [], control_login: 'none',
    probe: { kind: 'not_evaluated', why: 'no secret was made' },
    refused_after_ms: null, residual_until: null, attempts: 1,
  },
}
export const childClosed: MadeEvent = {
  id: 'evt_8', type: 'task.closed', at: T0 + 5300, task: 'tsk_2', identity: 'nhi_2',
  facts: { leases: [], descendants: [], outcome: 'nothing_issued' },
}

export const closedWith = (leases: readonly MadeEvent[], descendants: readonly MadeEvent[], outcome: string): MadeEvent => ({
  id: 'evt_9', type: 'task.closed', at: T0 + 5400, ...own,
  facts: {
    leases: leases.map((end) => ({ lease: end.lease!, leaf: leafHashBase64(end) })),
    descendants: descendants.map((end) => ({ task: end.task!, leaf: leafHashBase64(end) })),
    outcome,
  },
})

export const closed = closedWith([leaseEnded, neverIssued], [childClosed], 'proved')

/** One task with two leases and a child, in the order of the log. */
export const story: readonly MadeEvent[] = [opened, intended, intended2, neverIssued, minted, ended, leaseEnded, childClosed, closed]

export const TOKEN_EXPIRES = T0 + 300_000

export const tokenIssued: MadeEvent = {
  id: 'evt_t1', type: 'lease.minted', at: T0 + 5, ...own, lease: 'lse_t',
  facts: {
    backend: 'writ', backend_kind: 'access_token', audience: 'https://shop.example', jkt: 'thumb', kid: 'k1', expires_at: TOKEN_EXPIRES, authority: 'task',
    in_exchange: null,
  },
}
export const tokenEnded: MadeEvent = {
  id: 'evt_t2', type: 'lease.ended', at: ended.at + 40, ...own, lease: 'lse_t',
  facts: {
    backend_kind: 'access_token', outcome: 'proved', withdrawn_at: ended.at, sessions_ended: 0, reassigned: [], control_login: 'none',
    probe: { kind: 'refused', by: 'writ', code: 'stopped', message: 'the token was stopped' },
    refused_after_ms: 40, residual_until: TOKEN_EXPIRES, attempts: 1,
  },
}

/** One task with an access token and a login, in the order of the log. */
export const tokenStory: readonly MadeEvent[] = [
  opened, tokenIssued, intended, minted, ended, tokenEnded, leaseEnded, closedWith([tokenEnded, leaseEnded], [], 'proved'),
]

/** Events of somebody else, to stand between. */
export const noise = (i: number): MadeEvent => ({ id: `evt_n${i}`, type: 'server.started', at: T0 + i, facts: { version: '0.1.0' } })

/** A log in which the story stands among other events. */
export const surrounded = (events: readonly MadeEvent[] = story): readonly MadeEvent[] =>
  [...events.flatMap((event, i) => [noise(2 * i), event]), noise(999), noise(1000)]
