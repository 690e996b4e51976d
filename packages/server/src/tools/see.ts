import { hash } from 'node:crypto'
import type { EventActor, PublicValue } from '@writ/domain/event'
import type { ExactRecord } from '@writ/domain/exact'
import type { FindingId, McpServerId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { epochMs, type EpochMs } from '@writ/domain/time'
import { canonical } from '@writ/ledger/canonical'
import type { Clock } from '../platform/clock.ts'
import { append } from '../record/append.ts'
import { change, type Db, type Engines, type Store, type Tx } from '../record/tx.ts'
import { findMcpServerById, forgetGoneTools, listListedTools, lockMcpServer, lockMcpServerById, markToolsGone, putSeenTool, touchListedTools, type ListedTool, type McpServer } from '../store/mcp-servers.ts'
import { isRecord, readList, type LeftOut, type ToolDefinition, type Unreadable } from './definition.ts'
import { findingsDue, settleFindings, toolsInForce, type FindingsDue } from './tool-findings.ts'

const WRIT: EventActor = { kind: 'writ', id: 'writ' }

/** What a server said when it was asked for its tools: the exact JSON text of each definition, and what else it can do. */
export type Heard = { readonly definitions: readonly string[]; readonly capabilities: ExactRecord }

/** A definition as it is kept. */
export type HeardTool = Pick<ToolDefinition, 'name' | 'hash' | 'text' | 'flags'>

/** A list that was read already: a long one takes its time, and whoever waits behind the change would wait for it. */
export type SeeInput = {
  readonly server: McpServerId
  readonly tools: readonly HeardTool[]
  readonly leftOut: readonly LeftOut[]
  readonly unreadable: readonly Unreadable[]
  readonly now: EpochMs
}
export type SeeRefusal = { readonly kind: 'no_such_server' }

/** How the list differs from the last one, by names; `raised`: findings that are new. */
export type SeenList = {
  readonly added: readonly string[]
  readonly changed: readonly string[]
  readonly gone: readonly string[]
  readonly leftOut: readonly LeftOut[]
  readonly raised: readonly FindingId[]
}

export type SeeNeeds = { readonly store: Pick<Store, 'read' | 'change'>; readonly engines: Engines; readonly clock: Clock }

/** How long what did not change may stay as last seen before. */
const TOUCHED_EVERY_MS = 3_600_000
/** Of definitions that are gone and that nobody has pinned, per server. */
const MOST_GONE_KEPT = 1000

type Plan = {
  readonly added: readonly HeardTool[]
  readonly changed: readonly { readonly from: string; readonly to: HeardTool }[]
  readonly gone: readonly string[]
  readonly isOld: boolean
  readonly pins: ReadonlySet<string>
  readonly findings: FindingsDue
  /** Not before anything that was seen, whatever the other server's clock said. */
  readonly at: EpochMs
}

/** Takes note of what a server lists: of what differs from the last time, and nothing else. Most looks find nothing, and hold up no writer. */
export async function seeTools({ store, engines, clock }: SeeNeeds, server: McpServerId, { definitions, capabilities }: Heard): Promise<Outcome<SeenList, SeeRefusal>> {
  const { tools, leftOut, unreadable } = readList(definitions, Object.keys(capabilities).filter((name) => isRecord(capabilities[name])))
  const input: SeeInput = { server, tools: tools.map(({ name, hash: pin, text, flags }) => ({ name, hash: pin, text, flags })), leftOut, unreadable, now: clock.now() }
  const planned = await store.read(async (db) => {
    const found = await findMcpServerById(db, server)
    return found?.state === 'active' ? planIn(db, engines, found, input) : undefined
  })
  if (planned === undefined) return refuse({ kind: 'no_such_server' })
  return isNothing(planned) ? ok({ added: [], changed: [], gone: [], leftOut, raised: [] }) : store.change(see, input)
}

export const see = change('tools.see', async (tx: Tx, input: SeeInput) => {
  const server = await lockMcpServerById(tx, input.server)
  if (server?.state !== 'active') return refuse<SeeRefusal>({ kind: 'no_such_server' })
  const plan = await planIn(tx.db, tx.context.engines, server, input)
  const { added, changed, gone, at } = plan
  if (differs(plan)) {
    await markToolsGone(tx.db, server.id, [...gone, ...changed.map(({ to }) => to.name)], at)
    for (const { name, hash: pin, text: definition, flags } of [...added, ...changed.map(({ to }) => to)]) {
      await putSeenTool(tx.db, { server: server.id, name, hash: pin, definition, flags }, at)
    }
    await forgetGoneTools(tx.db, server.id, MOST_GONE_KEPT, plan.pins)
    await append(tx, input.now, { type: 'tools.seen', actor: WRIT, facts: factsOf(server, plan, input.leftOut) })
  }
  if (differs(plan) || plan.isOld) await touchListedTools(tx.db, server.id, at)
  const raised = await settleFindings(tx, plan.findings, input.now)
  return ok<SeenList>({ added: added.map((one) => one.name), changed: changed.map(({ to }) => to.name), gone, leftOut: input.leftOut, raised })
})

type SettleInput = { readonly server: string; readonly now: EpochMs }

/** After the policies pinned something: brings the findings in line with them. */
export const settleTools = change('tools.settle', async (tx: Tx, { server: name, now }: SettleInput) => {
  const server = await lockMcpServer(tx, name)
  if (server === undefined) return refuse<SeeRefusal>({ kind: 'no_such_server' })
  const inForce = await toolsInForce(tx.db, tx.context.engines, server.name)
  await settleFindings(tx, await findingsDue(tx.db, server.name, { listed: await listListedTools(tx.db, server.id), unreadable: null }, inForce), now)
  return ok(null)
})

const differs = ({ added, changed, gone }: Plan): boolean => added.length + changed.length + gone.length > 0
const isNothing = (plan: Plan): boolean => !differs(plan) && !plan.isOld && plan.findings.raise.length + plan.findings.resolve.length === 0

async function planIn(db: Db, engines: Engines, server: Pick<McpServer, 'id' | 'name'>, { tools, unreadable, now }: SeeInput): Promise<Plan> {
  const listed = await listListedTools(db, server.id)
  const before = new Map(listed.map((one) => [one.name, one]))
  const names = new Set(tools.map((one) => one.name))
  const inForce = await toolsInForce(db, engines, server.name)
  return {
    added: tools.filter(({ name }) => !before.has(name)),
    changed: tools.flatMap((to) => { const from = before.get(to.name)?.hash; return from === undefined || from === to.hash ? [] : [{ from, to }] }),
    gone: listed.filter(({ name }) => !names.has(name)).map(({ name }) => name),
    isOld: listed.some(({ lastSeen }) => lastSeen + TOUCHED_EVERY_MS <= now),
    pins: new Set([...inForce.values()].flatMap(({ pin }) => pin ?? [])),
    findings: await findingsDue(db, server.name, { listed: tools, unreadable }, inForce),
    at: listed.reduce<EpochMs>((latest, { lastSeen }: ListedTool) => (lastSeen > latest ? lastSeen : latest), epochMs(now)),
  }
}

/** So that the event fits an entry of the log, of a long difference the beginning; `list` is a digest over the whole list. */
const MOST_FACTS = 30_000

function factsOf(server: McpServer, { added, changed, gone }: Plan, leftOut: readonly LeftOut[]): Readonly<Record<string, PublicValue>> {
  let left = MOST_FACTS
  const cut = <T extends PublicValue>(all: readonly T[]): readonly T[] => all.filter((one) => (left -= canonical(one).length * 3) > 0)
  return {
    mcp_server: server.id, name: server.name, counts: { added: added.length, changed: changed.length, gone: gone.length, left_out: leftOut.reduce((sum, { count }) => sum + count, 0) },
    added: cut(added.map((one) => ({ tool: one.name, hash: one.hash }))),
    changed: cut(changed.map(({ from, to }) => ({ tool: to.name, from, hash: to.hash }))),
    gone: cut(gone),
    difference: hash('sha256', canonical([added.map((one) => [one.name, one.hash]), changed.map(({ from, to }) => [to.name, from, to.hash]), [...gone]]), 'hex'),
  }
}
