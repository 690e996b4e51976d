import { hash } from 'node:crypto'
import { parseExactJson } from '@writ/contract/strict-json'
import type { Permit } from '@writ/domain/authority'
import type { ApprovalId } from '@writ/domain/id'
import type { Continues } from '../decide/continued.ts'
import type { Decided } from '../decide/record-decision.ts'
import { labelsOf } from '../decide/decide.ts'
import { limitsIn, TOOL } from '../evaluate/use.ts'
import type { Engines } from '../record/tx.ts'
import { findMcpServer } from '../store/mcp-servers.ts'
import { findPolicyFiles } from '../store/policies.ts'
import type { ToolDefinition } from '../tools/definition.ts'
import { membersOf } from '../upstreams/members.ts'
import type { CallOutcome } from '@writ/domain/tool-call'
import { UpstreamFault, type Along, type InputAnswers, type McpError, type McpMessage, type Turn, type UpstreamDescription } from '../upstreams/upstream.ts'
import { approvalIn, askPerson, awaitPerson, type ApprovalNeeds } from './approvals.ts'
import type { CallRecorder } from './calls.ts'
import { decide, denialOf, useUp, type DecisionNeeds } from './decisions.ts'
import type { Exchange, Pipeline } from './exchange.ts'
import { continuesAfter, goingOnIn, stateOf } from './going-on.ts'
import { isRecord } from './json-rpc.ts'
import { NotLent, type Lender } from './lend.ts'
import type { Link, LinkKey, Links } from './links.ts'
import { readAsking, type Asking, type Listed } from './methods.ts'
import { mirrorFault } from './mirrored.ts'
import { Ended, Refused, RPC_CODES, rpcError } from './refused.ts'
import { foreseen, NOT_FORESEEN } from './trouble.ts'
import { isPseudo, visibleTools, type VisibleNeeds } from './visible.ts'

export type PipelineNeeds = DecisionNeeds & VisibleNeeds & ApprovalNeeds & {
  readonly engines: Engines
  readonly links: Links
  readonly calls: CallRecorder
  readonly lend: Lender
}

/** The one way that every request of every client goes, whatever generation it is of: decided, recorded, forwarded. */
export function pipeline(needs: PipelineNeeds): Pipeline {
  const errorOf = (cause: unknown, { traceId }: Exchange): McpError => {
    const error = foreseen(cause)
    if (error === undefined) needs.log.error({ trace_id: traceId, err: cause }, 'a request to an MCP server failed')
    return error ?? NOT_FORESEEN
  }
  /** What HTTP has something to say about is thrown; the rest is a turn. */
  const turned = async (exchange: Exchange, work: () => Promise<Turn>): Promise<Turn> => {
    try {
      return await work()
    } catch (cause) {
      if (cause instanceof Refused) throw cause
      return { kind: 'error', error: errorOf(cause, exchange) }
    }
  }
  /** For what has no turn to say it with. */
  const orRefused = async <T>(exchange: Exchange, work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (cause) {
      throw cause instanceof Refused ? cause : new Refused(200, errorOf(cause, exchange), { cause })
    }
  }
  return {
    carry: (exchange) => turned(exchange, () => carry(needs, exchange)),
    resume: (exchange, state, answers) => turned(exchange, async () => {
      const approval = approvalIn(state)
      if (approval !== undefined) return comeBack(needs, exchange, approval, answers)
      const read = readAsking(exchange.message)
      if (!read.ok || read.value.kind !== 'call') {
        await useUp(needs, exchange)
        return failed(read.ok ? rpcError(RPC_CODES.invalidParams, 'nothing of this was asked for') : read.refusal)
      }
      const { state: own, continues } = goingOnIn(state)
      return call(needs, exchange, read.value, { continues, forward: (link, along, message) => link.upstream.resume(message, own, answers, along) })
    }),
    describe: (exchange) => orRefused(exchange, async () => describedBy((await look(needs, exchange)).link.upstream.description)),
    listen: (exchange, hearer) => orRefused(exchange, async () => (await look(needs, exchange)).link.listen(hearer)),
    tell: (exchange) => orRefused(exchange, async () => {
      await useUp(needs, exchange)
      await needs.links.find(linkKeyOf(exchange))?.upstream.tell(exchange.message)
    }),
  }
}

const failed = (error: McpError): Turn => ({ kind: 'error', error })
export const linkKeyOf = ({ caller, server, client }: Exchange): LinkKey => ({ task: caller.task, server, client })

/** It waited for a person, and is decided anew. Who did not want to see the page is not asked to again. */
async function comeBack(needs: PipelineNeeds, exchange: Exchange, approval: ApprovalId, answers: InputAnswers): Promise<Turn> {
  await useUp(needs, exchange)
  exchange.onForward?.()
  const { canReturn: _, ...rest } = exchange
  const hasGone = await awaitPerson(needs, approval, answers, exchange.signal)
  return carry(needs, { ...(hasGone ? exchange : rest), uses: [] })
}

async function carry(needs: PipelineNeeds, exchange: Exchange): Promise<Turn> {
  const asking = readAsking(exchange.message)
  if (!asking.ok || asking.value.kind === 'ping') {
    await useUp(needs, exchange)
    return asking.ok ? { kind: 'result', text: '{}' } : failed(asking.refusal)
  }
  return asking.value.kind === 'look' ? show(needs, exchange, asking.value) : call(needs, exchange, asking.value)
}

/** Of what a server says that it can do, what goes through here. */
const ABILITIES = ['tools', 'resources', 'prompts', 'completions', 'logging'] as const

function describedBy({ capabilities, ...rest }: UpstreamDescription): UpstreamDescription {
  return { ...rest, capabilities: Object.fromEntries(ABILITIES.filter((name) => isRecord(capabilities[name])).map((name) => [name, capabilities[name]!])) }
}

type Looked = { readonly link: Link; readonly version: number }

/** Opens the way to the server, once it has been decided that the task may see what there is. Throws `Refused` where it may not. */
async function look(needs: PipelineNeeds, exchange: Exchange): Promise<Looked> {
  const server = await needs.store.read((db) => findMcpServer(db, exchange.server))
  const decided = await decide(needs, exchange, { kind: 'look', isThere: server !== undefined })
  if (decided.answer === 'deny' || server === undefined) throw new Refused(200, await denialOf(needs, exchange, decided, 'any'))
  const lend = () => needs.lend(server, { task: exchange.caller.task, identity: exchange.caller.identity, traceId: exchange.traceId })
  try {
    return { link: await needs.links.open(linkKeyOf(exchange), server, lend), version: decided.policyVersion }
  } catch (cause) {
    throw cause instanceof NotLent && cause.decided !== undefined ? await notLentTo(needs, exchange, cause, cause.decided) : cause
  }
}

/** The server was not opened, for the task may not have what it needs: the denial of that, and whose it is. */
async function notLentTo(needs: PipelineNeeds, exchange: Exchange, { server, permit }: NotLent, decided: Decided): Promise<Refused> {
  const { code, message, data } = await denialOf(needs, exchange, decided, permit)
  const about = { upstream: server, backend: permit.resource }
  return new Refused(200, rpcError(code, `the MCP server \`${server}\` needs a lease of \`${permit.resource}\`: ${message}`, isRecord(data) ? { ...data, ...about } : about))
}

async function show(needs: PipelineNeeds, exchange: Exchange, { list, forward }: Extract<Asking, { kind: 'look' }>): Promise<Turn> {
  const { link, version } = await look(needs, exchange)
  const listed = list === null ? undefined : await listedBy(needs, exchange, { list, link, version, cursor: forward.params['cursor'] !== undefined })
  if (listed !== undefined) return listed
  exchange.onForward?.()
  return link.run({ lease: exchange.caller.lease, signal: exchange.signal }, (signal) => link.upstream.request(forward, { ...alongOf(exchange), signal }))
}

type ListOrder = Looked & { readonly list: Listed; readonly cursor: boolean }

/** Undefined where the server is to be asked itself. */
async function listedBy(needs: PipelineNeeds, exchange: Exchange, { list, link, version, cursor }: ListOrder): Promise<Turn | undefined> {
  const { usedBy, of } = list
  if (usedBy === null && cursor) return failed(rpcError(RPC_CODES.invalidParams, '`cursor` is not one of ours'))
  const all = [...(await link.tools()).values()]
  const tools = all.filter((one) => (usedBy === null ? !isPseudo(one) : one.name === usedBy))
  const visible = await visibleTools(needs, { exchange, version, tools, now: needs.clock.now() })
  if (usedBy === null) return { kind: 'result', text: `{"tools":[${visible.map(({ text }) => text).join(',')}]}` }
  // Of what the server can not do it says so itself.
  return tools.length > 0 && visible.length === 0 ? { kind: 'result', text: `{"${of}":[]}` } : undefined
}

const alongOf = ({ client, notify }: Exchange): Pick<Along, 'client' | 'notify'> => ({ client, notify })

type Way = { readonly forward: (link: Link, along: Along, message: McpMessage) => Promise<Turn>; readonly continues?: Continues | undefined }
const FROM_THE_START: Way = { forward: (link, along, message) => link.upstream.request(message, along) }
type AskedCall = Extract<Asking, { kind: 'call' }>

/** INVARIANT: nothing goes to the server before its decision, and the attempt with it, are in the record; and what goes is what was decided on. */
async function call(needs: PipelineNeeds, exchange: Exchange, asking: AskedCall, { forward, continues }: Way = FROM_THE_START): Promise<Turn> {
  const open = needs.links.find(linkKeyOf(exchange))
  const link = open ?? (await look(needs, exchange)).link
  const tool = (await link.tools()).get(asking.tool)
  checkMirrored(exchange, asking, tool)
  // To open the way it was decided already, and what works once was used up with that.
  const asked = open === undefined ? { ...exchange, uses: [] } : exchange
  const decided = await decide(needs, asked, { kind: 'call', tool: asking.tool, arguments: asking.arguments, listed: tool?.hash ?? null, continues })
  if (decided.answer === 'deny') return askPerson(needs, exchange, decided, await denialOf(needs, exchange, decided, permitOf(exchange, asking)))
  exchange.onForward?.()
  const began = needs.clock.now()
  const finish = async (outcome: Exclude<CallOutcome, 'unknown'>, text: string | null): Promise<void> => {
    const result = text === null ? null : { bytes: Buffer.byteLength(text), sha256: hash('sha256', text, 'hex') }
    const durationMs = Math.max(0, needs.clock.now() - began)
    needs.calls.finish({ decision: decided.id, outcome, result, durationMs, labels: await labelsBrought(needs, exchange, asking, decided) })
  }
  try {
    const turn = await link.run({ lease: exchange.caller.lease, signal: exchange.signal }, (signal) => forward(link, { ...alongOf(exchange), signal }, approvedOf(asking, decided)))
    void finish(outcomeOf(turn), turn.kind === 'result' ? turn.text : null)
    return turn.kind === 'input_required' ? { ...turn, state: stateOf({ state: turn.state, continues: continuesAfter(decided, exchange.caller.lease, continues) }) } : turn
  } catch (cause) {
    void finish(cause instanceof UpstreamFault ? 'unreachable' : cause instanceof Ended || exchange.signal.aborted ? 'cancelled' : 'unreachable', null)
    throw cause
  }
}

/** What a person approved runs as it was kept, whatever came this time. */
function approvedOf({ forward }: AskedCall, { approval }: Decided): McpMessage {
  if ((approval?.kind !== 'ran' && approval?.kind !== 'goes_on') || forward.method !== 'tools/call') return forward
  const kept = parseExactJson(approval.arguments)
  if (!kept.ok) throw new Error(`what was kept of ${approval.id} can not be read: ${kept.refusal.kind}`)
  return { method: forward.method, params: { ...forward.params, ...(forward.params['arguments'] === undefined ? {} : { arguments: kept.value }) } }
}

const permitOf = ({ server }: Exchange, { tool, arguments: args }: AskedCall): Permit => ({ type: 'mcp', resource: server, action: tool, limits: limitsIn(args) })

function checkMirrored({ mirrored }: Exchange, { forward }: AskedCall, tool: ToolDefinition | undefined): void {
  if (mirrored === undefined || tool === undefined || forward.method !== 'tools/call') return
  const fault = mirrorFault(tool.value['inputSchema'], forward.params['arguments'], mirrored)
  if (fault !== undefined) throw new Refused(400, rpcError(RPC_CODES.headerMismatch, fault))
}

async function labelsBrought({ engines, store }: PipelineNeeds, { server }: Exchange, { tool }: AskedCall, { policyVersion: version }: Decided) {
  const engine = await engines.engineOf(version, () => store.read((db) => findPolicyFiles(db, version)))
  return labelsOf(engine, { type: TOOL, id: `${server}/${tool}` })
}

function outcomeOf(turn: Turn): Exclude<CallOutcome, 'unknown'> {
  if (turn.kind === 'error') return 'failed'
  if (turn.kind === 'input_required') return 'input_required'
  return isToolError(turn.text) ? 'tool_error' : 'succeeded'
}

function isToolError(text: string): boolean {
  if (!text.includes('"isError"')) return false
  const members = membersOf(text, { depth: 128 })
  const found = members.ok ? members.value.find(({ name }) => name === 'isError') : undefined
  return found !== undefined && text.slice(found.value, found.to) === 'true'
}
