import { acceptMcpTools, listMcpTools, listToolCalls, type McpToolReply, type McpToolsReply, type ToolTerms } from '@writ/contract/mcp-servers'
import { nearestOf } from '@writ/domain/nearest'
import { confirm } from '../ask.ts'
import { call, type Connection } from '../client.ts'
import { operatorConnection, type Start } from '../connections.ts'
import { CommandFailure, EXIT, usage } from '../exit.ts'
import { definitionLines, differenceLines } from '../mcp/definition-lines.ts'
import { checkSaid, isSaidOf, termsOf, type SaidFlags } from '../mcp/overrides.ts'
import { painterOf, printList, printThing, say, tableOf, warn, whenOf, type Column } from '../output.ts'
import { serverNamed } from './mcp-servers.ts'
import { inert } from '@writ/ledger/inert'

export type PinFlags = SaidFlags & { readonly all?: true; readonly reason?: string }
export type AcceptFlags = { readonly hash?: string; readonly reason?: string }

/** A tool with what would be said of it. */
type Row = McpToolReply & { readonly shown: ToolTerms | null }

const COLUMNS: readonly Column<Row>[] = [
  { head: 'tool', of: (row) => row.name },
  { head: 'effect', of: (row) => row.shown?.effect ?? null },
  { head: 'reversible', of: (row) => (row.shown === null ? null : row.shown.reversible ? 'yes' : 'no') },
  { head: 'labels', of: (row) => row.shown?.labels.join(', ') || null },
  { head: 'trust', of: (row) => row.shown?.trust ?? null },
  { head: 'public', of: (row) => row.shown?.public.join(', ') || null },
  { head: 'state', of: (row) => row.state },
  { head: 'flags', of: flagsOf },
]

function flagsOf({ flags, unshown }: McpToolReply): string | null {
  const said = [
    ...(flags.length === 0 ? [] : [`invisible text: ${[...new Set(flags.flatMap((one) => one.characters))].join(' ')}`]),
    ...(unshown.length === 0 ? [] : [`no policy sees ${unshown.join(', ')}`]),
  ]
  return said.length === 0 ? null : said.join('; ')
}

export async function listTools(start: Start, name: string, isFresh: boolean): Promise<void> {
  const connection = operatorConnection(start)
  await serverNamed(connection, name)
  const reply = await look(connection, name, isFresh)
  await printList(start.settings, reply.tools.map((tool) => ({ ...tool, shown: tool.terms ?? tool.proposal })), COLUMNS)
  sayLeftOut(start, reply)
  const [waiting, blocked] = [reply.tools.filter((one) => one.state === 'new'), reply.tools.filter((one) => one.state === 'changed')]
  if (waiting.length > 0) say(start.settings, `${waiting.length} new, as proposed by the server's hints: writ mcp pin ${name} TOOL, or --all`)
  for (const tool of blocked) say(start.settings, `blocked, for its definition changed: writ mcp accept ${name} ${inert(tool.name)}`)
}

const look = (connection: Connection, name: string, isFresh: boolean): Promise<McpToolsReply> =>
  call(connection, listMcpTools, { parameters: { name }, query: { fresh: isFresh ? 'true' : 'false' } })

function sayLeftOut({ settings }: Start, { left_out: leftOut }: McpToolsReply): void {
  for (const { because, count } of leftOut) say(settings, `${count} of its list left out: ${because.replaceAll('_', ' ')}`)
}

export async function pinTools(start: Start, name: string, chosen: readonly string[], flags: PinFlags): Promise<void> {
  const { settings } = start
  if ((chosen.length === 0) === (flags.all === undefined)) throw usage('name the tools to pin, or give --all')
  const { idempotencyKey: _, ...asking } = operatorConnection(start)
  await serverNamed(asking, name)
  const reply = await look(asking, name, true)
  const tools = flags.all === true ? newOnes(reply, name) : chosen.map((tool) => toolNamed(reply, name, tool))
  checkSaid(flags, tools.map((one) => one.name))
  const rows = tools.filter((one) => isWanted(one, name, flags)).map((tool) => ({ ...tool, shown: termsOf(tool, flags) }))
  sayLeftOut(start, reply)
  if (rows.length === 0) return say(settings, 'nothing to do: there is nothing new')
  // What is asked about is seen wherever the answer goes.
  if (settings.format === 'human') warn(await tableOf(settings, COLUMNS.map((one) => one.head), rows.map((row) => COLUMNS.map((one) => inert(String(one.of(row) ?? '-'))))))
  for (const row of rows) for (const { at, in: where, characters } of row.flags) warn(`warning: ${inert(row.name)}: invisible text in the ${where} at ${inert(at)}: ${characters.join(' ')}`)
  await confirm(settings, `pin ${rows.length === 1 ? 'this tool' : `these ${rows.length} tools`} of ${name}, on every server of ${start.server}?`)
  await accept(start, name, rows, flags.reason ?? `pinned ${name}: ${rows.map((one) => one.name).join(', ')}`)
}

/** What has something to hide is pinned by its name alone. */
function newOnes({ tools }: McpToolsReply, server: string): readonly McpToolReply[] {
  const found = tools.filter((one) => one.state === 'new')
  for (const { name } of found.filter((one) => one.flags.length > 0)) warn(`warning: \`${inert(name)}\` holds invisible text and is left out: writ mcp accept ${server} ${inert(name)}`)
  return found.filter((one) => one.flags.length === 0)
}

function isWanted(tool: McpToolReply, server: string, flags: PinFlags): boolean {
  if (tool.state === 'changed') throw new CommandFailure(EXIT.conflict, `the definition of \`${tool.name}\` changed since it was pinned`, { hints: [`see how: writ mcp accept ${server} ${tool.name}`] })
  return tool.state === 'new' || isSaidOf(tool.name, flags)
}

export async function acceptTool(start: Start, of: { readonly server: string; readonly tool: string }, flags: AcceptFlags): Promise<void> {
  const { settings } = start
  const { idempotencyKey: _, ...asking } = operatorConnection(start)
  await serverNamed(asking, of.server)
  const tool = toolNamed(await look(asking, of.server, true), of.server, of.tool)
  if (tool.state === 'pinned') return say(settings, `nothing to do: \`${inert(tool.name)}\` is as it was accepted`)
  if (flags.hash !== undefined && flags.hash !== tool.hash) {
    throw new CommandFailure(EXIT.conflict, `\`${tool.name}\` is listed with another definition: ${tool.hash}`, { hints: [`see what it is: writ mcp accept ${of.server} ${tool.name}`] })
  }
  const row = { ...tool, shown: termsOf(tool, {}) }
  await showDefinition(start, row)
  if (flags.hash === undefined) await confirm(settings, `accept ${tool.name} of ${of.server} as it is now, on every server of ${start.server}?`)
  await accept(start, of.server, [row], flags.reason ?? `accepted ${of.server}: ${tool.name}`)
}

/** On standard error, so that what is asked about is seen wherever the rest goes. */
async function showDefinition({ settings }: Start, tool: Row): Promise<void> {
  const paint = await painterOf(settings)
  const { pinned_definition: before, definition, hash, pin, flags, proposal, shown } = tool
  if (before !== null) for (const line of differenceLines(before, definition!, paint)) warn(line)
  else for (const line of definitionLines(definition!)) warn(`  ${line}`)
  if (before === null && pin !== null) warn('what was accepted before is not kept any more; this is the whole definition')
  for (const { at, in: where, characters } of flags) warn(paint.red(`invisible text in the ${where} at ${inert(at)}: ${characters.join(' ')}`))
  if (JSON.stringify(proposal) !== JSON.stringify(shown)) warn(`its hints come to ${proposal!.effect}${proposal!.reversible ? ', reversible' : ''}${proposal!.trust === null ? '' : `, ${inert(proposal!.trust)}`}; what a person said before stays: ${shown!.effect}`)
  warn(`${pin === null ? '' : `${pin} -> `}${hash}`)
}

async function accept(start: Start, name: string, rows: readonly Row[], reason: string): Promise<void> {
  const tools = rows.map((row) => ({ name: row.name, hash: row.hash!, ...row.shown! }))
  const accepted = await call(operatorConnection(start), acceptMcpTools, { parameters: { name }, body: { tools, reason: reason.slice(0, 500) } })
  const pinned = accepted.tools.filter((tool) => tools.some((one) => one.name === tool.name))
  await printThing(start.settings, { policy_version: accepted.policy_version, tools: pinned }, pinned.map((tool) => [tool.state, `${tool.name}  ${tool.pin}`] as const))
  say(start.settings, `version ${accepted.policy_version} of the policies is in force on every server; \`writ policy show --out DIR\` brings it to a directory`)
}

function toolNamed({ tools }: McpToolsReply, server: string, name: string): McpToolReply {
  const found = tools.find((one) => one.name === name)
  if (found !== undefined && found.definition !== null) return found
  if (found !== undefined) throw new CommandFailure(EXIT.conflict, `\`${server}\` does not list \`${name}\` any more`)
  const near = nearestOf(name, tools.map((one) => one.name))
  throw new CommandFailure(EXIT.not_found, `\`${server}\` lists no tool \`${name}\``, { hints: [near === undefined ? `\`writ mcp tools ${server}\` names them` : `did you mean \`${near}\`?`] })
}

export async function listCalls(start: Start, page: { readonly task?: string; readonly limit: number; readonly cursor?: string }): Promise<void> {
  const { settings } = start
  const { calls, next } = await call(operatorConnection(start), listToolCalls, { query: { limit: page.limit, cursor: page.cursor, task: page.task } })
  await printList(settings, calls, [
    { head: 'decision', of: (row) => row.decision },
    { head: 'tool', of: (row) => `${row.server}/${row.tool}` },
    { head: 'status', of: (row) => row.status },
    { head: 'started', of: (row) => whenOf(settings, row.started_at) },
    { head: 'took', of: (row) => (row.duration_ms === null ? null : `${row.duration_ms} ms`) },
    { head: 'bytes', of: (row) => row.bytes },
    { head: 'task', of: (row) => row.task },
  ])
  if (next !== null) say(settings, `more: --cursor ${next}`)
}
