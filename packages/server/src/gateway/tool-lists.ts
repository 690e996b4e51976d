import { parseExactJson } from '@writ/contract/strict-json'
import { exactText, type ExactRecord } from '@writ/domain/exact'
import { UpstreamFault, type McpClient, type Upstream } from '../upstreams/upstream.ts'
import { isRecord } from './json-rpc.ts'

/** A server that lists for ever is not listened to for ever (R46). */
const MOST_PAGES = 50
const MOST_DEFINITIONS = 2000
const MOST_CHARACTERS = 8_000_000
const WHOLE_PAGE = { depth: 128, keys: 1_000_000, elements: 1_000_000 } as const

type Listing = { readonly server: string; readonly client: McpClient; readonly signal: AbortSignal }

/** Everything that a server lists as its tools, each as it stands there; none of one that has no tools. */
export async function listDefinitions(upstream: Upstream, { server, client, signal }: Listing): Promise<readonly string[]> {
  if (!isRecord(upstream.description.capabilities['tools'])) return []
  const definitions: string[] = []
  let characters = 0
  let cursor: string | undefined
  for (let page = 0; page < MOST_PAGES; page++) {
    const params: ExactRecord = cursor === undefined ? {} : { cursor }
    const turn = await upstream.request({ method: 'tools/list', params }, { client, signal, notify: () => {} })
    const listed = turn.kind === 'result' ? pageIn(turn.text) : undefined
    if (listed === undefined) throw new UpstreamFault(server, 'bad_tool_list')
    definitions.push(...listed.definitions)
    characters += listed.definitions.reduce((sum, one) => sum + one.length, 0)
    if (definitions.length > MOST_DEFINITIONS || characters > MOST_CHARACTERS) throw new UpstreamFault(server, 'tool_list_too_long')
    if (listed.next === undefined) return definitions
    cursor = listed.next
  }
  throw new UpstreamFault(server, 'tool_list_too_long')
}

function pageIn(text: string): { readonly definitions: readonly string[]; readonly next: string | undefined } | undefined {
  const read = parseExactJson(text, WHOLE_PAGE)
  if (!read.ok || !isRecord(read.value)) return undefined
  const { tools, nextCursor } = read.value
  if (!Array.isArray(tools)) return undefined
  return { definitions: tools.map((one) => exactText(one)), next: typeof nextCursor === 'string' && nextCursor !== '' ? nextCursor : undefined }
}
