import { parseExactJson } from '@writ/contract/strict-json'
import type { ExactRecord } from '@writ/domain/exact'
import type { DecisionId, ServerInstanceId, TaskId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { KeyObject } from 'node:crypto'
import { useOnce } from '../authenticate/one-time.ts'
import { questionPlace } from '../decide/record-decision.ts'
import type { Sealer } from '../keys/seal.ts'
import type { Bell } from '../platform/bell.ts'
import type { OutboundStreams } from '../platform/outbound.ts'
import { within } from '../platform/within.ts'
import type { PoliciesAside } from '../policies/aside.ts'
import { unexplained } from '../policies/explain-decision.ts'
import type { Engines, Store } from '../record/tx.ts'
import { findDecision } from '../store/decisions.ts'
import { findMcpServer, mcpSecretPlace, type McpServer } from '../store/mcp-servers.ts'
import { findServerInstance } from '../store/server-instances.ts'
import type { Heard } from '../tools/see.ts'
import { openUpstream, type KnownGenerations, type UpstreamSecret, type UpstreamTransport } from '../upstreams/open.ts'
import { UpstreamFault, type McpClient } from '../upstreams/upstream.ts'
import type { ApprovalNeeds } from './approvals.ts'
import { callRecorder } from './calls.ts'
import { useUp, type DecisionNeeds } from './decisions.ts'
import { mcpDoor, type DoorCall } from './door.ts'
import type { FaceAnswer } from './face.ts'
import { forwarding } from './forward.ts'
import { isRecord } from './json-rpc.ts'
import { lender, type LenderNeeds } from './lend.ts'
import { openLinks, type Links, type OpenUpstream, type OpenUpstreamOrder } from './links.ts'
import { newerFace } from './newer-face.ts'
import { olderFace, type OlderFace } from './older-face.ts'
import { linkKeyOf, pipeline } from './pipeline.ts'
import { Ended } from './refused.ts'
import { listDefinitions } from './tool-lists.ts'
import { startWatcher } from './watcher.ts'

export type GatewayNeeds = Pick<DecisionNeeds, 'allowance' | 'tellRefused' | 'challenge'> & LenderNeeds & {
  readonly store: Store
  readonly engines: Engines
  readonly aside: Pick<PoliciesAside, 'explain'>
  /** Opens what was asked at a decision. */
  readonly questions: Pick<Sealer, 'unseal'>
  readonly states: Sealer
  readonly hopKeys: readonly KeyObject[]
  readonly outbound: OutboundStreams
  /** Rung when something has ended. */
  readonly due: Bell
  /** Aborted when this server stops. */
  readonly stopping: AbortSignal
  /** What clients call this server. */
  readonly issuer: () => string
  /** This run of the server. */
  readonly instance: ServerInstanceId
  readonly version: string
} & Pick<ApprovalNeeds, 'approvalUrl' | 'waiters'>

/** Why a server could not be asked; `code` is a word of ours or the system's. */
export type ListRefusal = { readonly kind: 'upstream'; readonly code: string }

export type Gateway = {
  readonly door: (call: DoorCall) => Promise<FaceAnswer>
  /** What a server lists, asked for in nobody's task. */
  readonly listTools: (server: string) => Promise<Outcome<Heard, ListRefusal>>
  /** The tasks of the open ways and sessions, one for each. */
  readonly held: () => { readonly links: readonly TaskId[]; readonly sessions: readonly TaskId[] }
  /** Ends every way to a server, once nobody comes any more, and writes down what became of the calls. */
  close(): Promise<void>
}

/** How long a denial waits for its explanation; it can be asked for later. */
const EXPLAIN_MS = 3000
const LONGEST_LAST_RECORDS_MS = 5000
const LIST_MS = 30_000

export function openGateway(needs: GatewayNeeds): Gateway {
  const { store, clock, entropy, log, instance } = needs
  const generations: KnownGenerations = new Map()
  const open: OpenUpstream = (server, { client, signal, ...given }) => openUpstream(
    { name: server.name, transport: transportOf(server) }, { secret: secretOf(server, given), client, signal },
    { outbound: needs.outbound, entropy, generations, onTrouble: (trouble) => log.warn({ trouble }, 'the program of an MCP server ended unasked') },
  )
  const links = openLinks({ store, secrets: needs.secrets, engines: needs.engines, clock, log, openUpstream: open })
  const calls = callRecorder({ store, clock, log })
  const decisions: DecisionNeeds = {
    store, clock, entropy, log, instance, allowance: needs.allowance, wake: needs.wake, tellRefused: needs.tellRefused, challenge: needs.challenge, explain: (decision) => explained(needs, decision),
  }
  const way = pipeline({ ...decisions, engines: needs.engines, links, calls, lend: lender(needs), approvalUrl: needs.approvalUrl, waiters: needs.waiters })
  const older = olderFace({ home: instance, clock, entropy, log, pipeline: way })
  const newer = newerFace({
    pipeline: way, states: needs.states, clock, home: instance, stopping: needs.stopping,
    generationOf: (exchange) => links.find(linkKeyOf(exchange))?.upstream.description.generation,
  })
  const addressOf = (home: ServerInstanceId): Promise<string | undefined> => store.read(async (db) => {
    const found = await findServerInstance(db, home)
    return found?.goneAt === null ? found.address ?? undefined : undefined
  })
  const stopWatching = startWatcher({ store, clock, log, due: needs.due, watched: watchedOf(links, older) })
  needs.stopping.addEventListener('abort', () => { older.hangUp() }, { once: true })
  return {
    door: mcpDoor({
      issuer: needs.issuer, older: older.face, newer, home: instance, log,
      forwarding: forwarding({ self: instance, hopKeys: needs.hopKeys, addressOf, issuer: needs.issuer, clock, stopping: needs.stopping }),
      useUp: (of) => useUp(decisions, of),
      spend: (uses) => store.change(useOnce, { uses }).then(() => undefined, () => undefined),
    }),
    listTools: (name) => listTools(needs, open, name),
    held: () => ({ links: links.states().map((one) => one.task), sessions: older.states().map((one) => one.task) }),
    async close() {
      await stopWatching()
      const because = new Ended('stopping')
      older.close(because)
      await links.close(because)
      if (!(await calls.drain(LONGEST_LAST_RECORDS_MS))) log.warn('what became of some calls was not recorded')
    },
  }
}

const watchedOf = (links: Links, older: OlderFace): Parameters<typeof startWatcher>[0]['watched'] => ({
  states: () => [...links.states(), ...older.states()],
  endTasks(ended) {
    links.end(({ task }) => ended.get(task))
    for (const [task, because] of ended) older.endWhere((holder) => holder.task === task, because)
  },
  endTokens(leases, because) {
    links.endCalls(leases, because)
    for (const lease of leases) older.endToken(lease, because)
  },
  lent: () => links.states().flatMap(({ lent }) => lent),
  endLent(over) {
    links.end(({ lent }) => (lent.some((lease) => over.has(lease)) ? new Ended('server_changed') : undefined))
  },
  endRest(isChanged) {
    links.end(({ server }) => (isChanged(server) ? new Ended('server_changed') : undefined))
  },
})

function transportOf({ settings }: McpServer): UpstreamTransport {
  if (settings.transport === 'http') return { kind: 'http', url: settings.url, ca: settings.ca }
  return { kind: 'stdio', command: settings.command, args: settings.args, ...(settings.cwd === null ? {} : { cwd: settings.cwd }) }
}

const secretOf = ({ settings }: McpServer, { secret, beside }: Pick<OpenUpstreamOrder, 'secret' | 'beside'>): UpstreamSecret =>
  (settings.transport === 'http' ? { headers: secret } : { environment: secret, beside })

/** The explanation as a client gets it. Whoever is denied waits for it, but not for long. */
async function explained({ store, questions, aside, log }: GatewayNeeds, id: DecisionId): Promise<ExactRecord | null> {
  const decision = await store.read((db) => findDecision(db, id))
  if (decision === undefined || decision.evaluated === null) return null
  const asked = questions.unseal(decision.evaluated, questionPlace(id))
  const explaining = unexplained(store, decision, asked).then((order) => aside.explain(order))
  try {
    if (!(await within(explaining, EXPLAIN_MS))) return null
    const read = parseExactJson(JSON.stringify(await explaining))
    return read.ok && isRecord(read.value) ? read.value : null
  } catch (error) {
    log.error({ decision: id, err: error }, 'a denial could not be explained')
    return null
  }
}

/** Some servers list only what their client could go through with. Nothing that is asked of this one is answered. */
const ABLE: ExactRecord = { roots: {}, sampling: {}, elicitation: { form: {}, url: {} } }

async function listTools({ store, secrets, version }: GatewayNeeds, open: OpenUpstream, name: string): Promise<Outcome<Heard, ListRefusal>> {
  const server = await store.read((db) => findMcpServer(db, name))
  if (server === undefined) return refuse({ kind: 'upstream', code: 'no_such_server' })
  const client: McpClient = { name: 'writ', version, capabilities: ABLE }
  const signal = AbortSignal.timeout(LIST_MS)
  try {
    const secret = server.sealedSecret === null ? {} : JSON.parse(secrets.unseal(server.sealedSecret, mcpSecretPlace(server.id))) as Readonly<Record<string, string>>
    // In nobody's task: it is lent nothing.
    const upstream = await open(server, { secret, beside: {}, client, signal })
    try {
      return ok({ definitions: await listDefinitions(upstream, { server: name, client, signal }), capabilities: upstream.description.capabilities })
    } finally {
      await upstream.close()
    }
  } catch (cause) {
    if (cause instanceof UpstreamFault) return refuse({ kind: 'upstream', code: cause.code })
    if (signal.aborted) return refuse({ kind: 'upstream', code: 'too_slow' })
    throw cause
  }
}
