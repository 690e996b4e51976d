import * as contract from '@writ/contract/mcp-servers'
import { unreachable, type Outcome } from '@writ/domain/outcome'
import { toIso } from '@writ/domain/time'
import type { Sealer } from '../../keys/seal.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Entropy } from '../../platform/entropy.ts'
import type { Outbound } from '../../platform/outbound.ts'
import { applyFiles, type FilesRefusal } from '../../policies/apply-files.ts'
import type { PoliciesAside } from '../../policies/aside.ts'
import type { Engines, Store } from '../../record/tx.ts'
import { findMcpServer, findMcpServerById, listMcpServers, type McpServer, type McpSettings, type ProgramLease } from '../../store/mcp-servers.ts'
import { listToolCalls, type ToolCall } from '../../store/tool-calls.ts'
import { acceptTools, type AcceptRefusal } from '../../tools/accept.ts'
import { addServer, type AddRefusal } from '../../tools/add.ts'
import type { LeftOut } from '../../tools/definition.ts'
import { retireMcpServer } from '../../tools/retire.ts'
import { rotateServerSecret } from '../../tools/rotate-secret.ts'
import { seeTools, type Heard } from '../../tools/see.ts'
import { standingOf, type ToolStanding } from '../../tools/standing.ts'
import { actorOf, route, type Route } from '../call.ts'
import { isCertificates } from '../certificates.ts'
import { badField, policiesRefused, problem, urlFaultText, type ProblemAnswer } from '../problem.ts'

/** Why a server could not be asked; `code` is a word of ours or the system's. */
export type ListRefusal = { readonly kind: 'upstream'; readonly code: string }

export type McpRoutesNeeds = {
  readonly store: Store
  readonly clock: Clock
  readonly entropy: Entropy
  readonly secrets: Sealer
  readonly outbound: Pick<Outbound, 'faultOf'>
  readonly engines: Engines
  readonly aside: Pick<PoliciesAside, 'check'>
  readonly origin: () => string
  /** Asks the server itself, in nobody's task. */
  readonly listTools: (server: string) => Promise<Outcome<Heard, ListRefusal>>
}

const KEY_REUSED = problem('idempotency-key-reused')
const NO_SERVER = problem('not-found', { code: 'no_such_server', detail: 'there is no active MCP server of this name', hint: 'writ mcp list' })

export function mcpServerRoutes(needs: McpRoutesNeeds): readonly Route[] {
  return [...serverRoutes(needs), ...toolRoutes(needs)]
}

function serverRoutes(needs: McpRoutesNeeds): readonly Route[] {
  const { store, clock } = needs
  const show = async (id: McpServer['id']) => serverReply((await store.read((db) => findMcpServerById(db, id)))!, needs.origin())
  return [
    route(contract.addMcpServer, async ({ caller, body, once }) => {
      if (body.transport === 'http' && body.ca !== undefined && !isCertificates(body.ca)) return badField('ca', 'must be X.509 certificates in PEM')
      const secrets = body.transport === 'http' ? body.headers : body.variables
      const leased = body.transport === 'http' ? undefined : contract.variableOfLease(body.leases, body.variables)
      if (leased !== undefined) return badField('variables', `\`${leased}\` comes with a lease`)
      const added = await addServer(needs, { name: body.name, settings: settingsOf(body), secrets, environment: body.environment ?? null }, actorOf(caller), once)
      if (!added.ok) return added.refusal.kind === 'key_reused' ? KEY_REUSED : addProblem(added.refusal)
      return { reply: await show(added.value) }
    }),
    route(contract.listMcpServers, async () => ({ reply: { servers: (await store.read(listMcpServers)).map((one) => serverReply(one, needs.origin())) } })),
    route(contract.showMcpServer, async ({ parameters }) => {
      const server = await store.read((db) => findMcpServer(db, parameters.name!))
      return server === undefined ? NO_SERVER : { reply: serverReply(server, needs.origin()) }
    }),
    route(contract.retireMcpServer, async ({ caller, parameters, body, once }) => {
      const retired = await store.changeOnce(retireMcpServer, { server: parameters.name!, reason: body.reason, by: actorOf(caller), now: clock.now() }, once)
      if (!retired.ok) return retired.refusal.kind === 'key_reused' ? KEY_REUSED : NO_SERVER
      return { reply: await show(retired.value.value) }
    }),
    route(contract.setMcpServerSecrets, async ({ caller, parameters, body, once }) => {
      const server = await store.read((db) => findMcpServer(db, parameters.name!))
      if (server === undefined) return NO_SERVER
      const [field, other] = server.settings.transport === 'http' ? ['headers', 'variables'] as const : ['variables', 'headers'] as const
      if (body[other] !== undefined) return badField(other, `is nothing that a server over ${server.settings.transport} has`)
      const leased = contract.variableOfLease(leasesOf(server.settings), body.variables ?? {})
      if (leased !== undefined) return badField('variables', `\`${leased}\` comes with a lease`)
      const rotated = await rotateServerSecret(needs, server.name, body[field] ?? {}, actorOf(caller), once)
      if (!rotated.ok) return rotated.refusal.kind === 'key_reused' ? KEY_REUSED : NO_SERVER
      return { reply: await show(rotated.value) }
    }),
  ]
}

function toolRoutes(needs: McpRoutesNeeds): readonly Route[] {
  const { store, engines } = needs
  const show = async (name: string): Promise<readonly contract.McpToolReply[] | undefined> => store.read(async (db) => {
    const server = await findMcpServer(db, name)
    return server && (await standingOf(db, engines, server)).map(toolReply)
  })
  return [
    route(contract.listMcpTools, async ({ parameters, query }) => {
      const looked = query.fresh === 'true' ? await look(needs, parameters.name!) : NOT_LOOKED
      if (looked.kind === 'no_such_server') return NO_SERVER
      if (looked.kind === 'upstream') return upstreamProblem(parameters.name!, looked.code)
      const tools = await show(parameters.name!)
      return tools === undefined ? NO_SERVER : { reply: { tools: [...tools], left_out: [...looked.leftOut] } }
    }),
    route(contract.acceptMcpTools, async ({ caller, parameters, body, once }) => {
      const server = parameters.name!
      // One that can not be asked at this moment is held to what was seen last: a pin lets nothing through but what the person has seen.
      const looked = await look(needs, server)
      if (looked.kind === 'no_such_server') return NO_SERVER
      const accepted = await acceptTools({ ...needs, apply: (order) => applyFiles(needs, order) }, { server, tools: body.tools, reason: body.reason, by: actorOf(caller), once })
      if (!accepted.ok) return acceptProblem(accepted.refusal)
      return { reply: { tools: [...(await show(server)) ?? []], left_out: looked.kind === 'looked' ? [...looked.leftOut] : [], policy_version: accepted.value.version } }
    }),
    route(contract.listToolCalls, async ({ query }) => {
      const { task, cursor } = query
      const found = await store.read((db) => listToolCalls(db, { limit: query.limit + 1, ...(task === undefined ? {} : { task }), ...(cursor === undefined ? {} : { before: cursor }) }))
      const calls = found.slice(0, query.limit).map(callReply)
      return { reply: { calls, next: found.length > query.limit ? calls.at(-1)!.decision : null } }
    }),
  ]
}

type Looked = { readonly kind: 'looked'; readonly leftOut: readonly LeftOut[] } | ListRefusal | { readonly kind: 'no_such_server' }

const NOT_LOOKED: Looked = { kind: 'looked', leftOut: [] }

/** Asks the server, and takes note of what it says. */
async function look(needs: McpRoutesNeeds, name: string): Promise<Looked> {
  const server = await needs.store.read((db) => findMcpServer(db, name))
  if (server === undefined) return { kind: 'no_such_server' }
  const heard = await needs.listTools(name)
  if (!heard.ok) return heard.refusal
  const seen = await seeTools(needs, server.id, heard.value)
  return seen.ok ? { kind: 'looked', leftOut: seen.value.leftOut } : seen.refusal
}

type AddBody = Parameters<Parameters<typeof route<typeof contract.addMcpServer>>[1]>[0]['body']

const settingsOf = (body: AddBody): McpSettings => (body.transport === 'http'
  ? { transport: 'http', url: body.url, ca: body.ca ?? null }
  : { transport: 'stdio', command: body.command, args: body.args, cwd: body.cwd ?? null, leases: body.leases })

const leasesOf = (settings: McpSettings): readonly ProgramLease[] => (settings.transport === 'stdio' ? settings.leases : [])

function serverReply(server: McpServer, origin: string): contract.McpServerReply {
  const { settings } = server
  const where = settings.transport === 'http'
    ? { url: settings.url, own_ca: settings.ca !== null, command: null, args: [], cwd: null }
    : { url: null, own_ca: false, command: settings.command, args: [...settings.args], cwd: settings.cwd }
  return {
    id: server.id, name: server.name, transport: settings.transport, ...where, has_secrets: server.sealedSecret !== null, leases: leasesOf(settings).map((one) => ({ ...one })),
    environment: server.environment, state: server.state, added_by: server.addedBy, added_at: toIso(server.addedAt),
    secret_set_at: server.secretSetAt === null ? null : toIso(server.secretSetAt), endpoint: `${origin}/mcp/${server.name}`,
  }
}

const termsReply = (terms: ToolStanding['terms']): contract.ToolTerms | null => (terms === null ? null : { ...terms, labels: [...terms.labels], public: [...terms.public] })

function toolReply({ name, state, listed, pinned, terms, proposal, unshown }: ToolStanding): contract.McpToolReply {
  return {
    name, state, hash: listed?.hash ?? null, definition: listed?.definition ?? null, pin: pinned?.hash ?? null, pinned_definition: pinned?.definition ?? null,
    terms: termsReply(terms), proposal: termsReply(proposal), flags: (listed?.flags ?? []).map((flag) => ({ ...flag, characters: [...flag.characters] })), unshown: [...unshown],
    first_seen: listed === null ? null : toIso(listed.firstSeen), last_seen: listed === null ? null : toIso(listed.lastSeen),
  }
}

const callReply = (call: ToolCall): contract.ToolCallReply => ({
  decision: call.decision, task: call.task, identity: call.identity, server: call.server, tool: call.tool, status: call.status, started_at: toIso(call.startedAt),
  finished_at: call.finishedAt === null ? null : toIso(call.finishedAt), duration_ms: call.durationMs, bytes: call.result?.bytes ?? null, sha256: call.result?.sha256 ?? null,
})

const upstreamProblem = (server: string, code: string): ProblemAnswer => problem('backend-unavailable', { code: 'upstream', detail: `the MCP server \`${server}\` can not be asked: ${code}` })

function addProblem(refusal: AddRefusal): ProblemAnswer {
  switch (refusal.kind) {
    case 'already_exists': return problem('already-exists', { code: refusal.kind, detail: 'an active MCP server has this name', hint: 'writ mcp list' })
    case 'url_not_allowed': return badField('url', urlFaultText(refusal.fault))
    case 'no_such_permit': return badField('leases', `no back end \`${refusal.lease.resource}\` has a template \`${refusal.lease.action}\``)
    default: return unreachable(refusal)
  }
}

function acceptProblem(refusal: AcceptRefusal | FilesRefusal): ProblemAnswer {
  const code = refusal.kind
  switch (refusal.kind) {
    case 'key_reused': return KEY_REUSED
    case 'no_such_server': return NO_SERVER
    case 'stale': return problem('conflict', {
      code, detail: 'what is listed is not what was looked at; nothing was pinned', hint: 'look again: writ mcp tools NAME --fresh',
      errors: refusal.tools.map(({ name, seen }) => ({ field: name, message: seen === null ? 'is not listed' : `is ${seen} now` })),
    })
    case 'policies_refused': return policiesRefused(refusal.complaints)
    case 'no_such_version':
    case 'policies_changed_meanwhile': return problem('conflict', { code, detail: 'other policies were applied in this moment; nothing was pinned', hint: 'try again' })
    default: return unreachable(refusal)
  }
}
