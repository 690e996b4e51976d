import type { ExactRecord } from '@writ/domain/exact'
import { elementsOf, membersOf } from '../upstreams/members.ts'
import { UpstreamFault, type McpClient, type Upstream } from '../upstreams/upstream.ts'
import { isRecord } from './json-rpc.ts'

/** A server that lists for ever is not listened to for ever (R46). */
const MOST_PAGES = 50
const MOST_DEFINITIONS = 2000
const MOST_CHARACTERS = 8_000_000
const MOST_DEPTH = 128

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

/** Each definition is left as it stands: one that can not be read takes none of the others with it. */
function pageIn(text: string): { readonly definitions: readonly string[]; readonly next: string | undefined } | undefined {
  const found = membersOf(text, { depth: MOST_DEPTH })
  const member = (named: string) => (found.ok ? found.value.find(({ name }) => name === named) : undefined)
  const [tools, cursor] = [member('tools'), member('nextCursor')]
  const definitions = tools && elementsOf(text, tools)
  const next = cursor === undefined || text[cursor.value] !== '"' ? '' : JSON.parse(text.slice(cursor.value, cursor.to)) as string
  return definitions && { definitions, next: next === '' ? undefined : next }
}
