import { parseExactJson } from '@writ/contract/strict-json'
import { shownInput } from '@writ/policy/pin-tools'
import type { Tool } from '@writ/policy/tools'
import type { Db, Engines } from '../record/tx.ts'
import { listSeenTools, type McpServer, type SeenTool } from '../store/mcp-servers.ts'
import { isRecord } from './definition.ts'
import { proposalOf, type ToolTerms } from './proposal.ts'
import { toolsInForce } from './tool-findings.ts'

/** `new`: listed and never accepted. `changed`: accepted, and listed otherwise now: blocked. `gone`: in the policies, and not listed. */
export type ToolState = 'pinned' | 'new' | 'changed' | 'gone'

/** A tool of a server: as it was seen last, and as the policies in force have it. */
export type ToolStanding = {
  readonly name: string
  readonly state: ToolState
  readonly listed: SeenTool | null
  /** `definition`: null where it was never seen, or long ago. */
  readonly pinned: { readonly hash: string; readonly definition: string | null } | null
  /** What a person said of it. */
  readonly terms: ToolTerms | null
  /** What the server's hints come to; null where it does not list it. */
  readonly proposal: ToolTerms | null
  /** Arguments that no policy can be shown. */
  readonly unshown: readonly string[]
}

/** By name. */
export async function standingOf(db: Db, engines: Engines, server: Pick<McpServer, 'id' | 'name'>): Promise<readonly ToolStanding[]> {
  const seen = await listSeenTools(db, server.id)
  const listed = new Map(seen.filter((one) => one.goneAt === null).map((one) => [one.name, one]))
  const inForce = await toolsInForce(db, engines, server.name)
  return [...new Set([...listed.keys(), ...inForce.keys()])].toSorted().map((name) => standing(name, listed.get(name) ?? null, inForce.get(name) ?? null, seen))
}

function standing(name: string, listed: SeenTool | null, tool: Tool | null, seen: readonly SeenTool[]): ToolStanding {
  const pin = tool?.pin ?? null
  const value = listed === null ? null : definitionIn(listed)
  return {
    name, listed, state: listed === null ? 'gone' : pin === null ? 'new' : pin === listed.hash ? 'pinned' : 'changed',
    pinned: pin === null ? null : { hash: pin, definition: seen.find((one) => one.hash === pin)?.definition ?? null },
    terms: tool === null ? null : { effect: tool.effect, reversible: tool.reversible, labels: tool.labels, trust: tool.trust ?? null, public: tool.public },
    proposal: value === null ? null : proposalOf({ value }), unshown: value === null ? [] : shownInput(value['inputSchema']).unshown,
  }
}

/** Of a definition that was read when it was seen. */
export function definitionIn({ definition, name }: Pick<SeenTool, 'definition' | 'name'>) {
  const read = parseExactJson(definition)
  if (!read.ok || !isRecord(read.value)) throw new Error(`the definition of \`${name}\` can not be read any more`)
  return read.value
}
