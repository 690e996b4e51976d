import type { ExactRecord } from '@writ/domain/exact'
import { elementsOf, membersOf } from './members.ts'
import { exchange, brokenAs, isEventStream, letGo, newCursor, readOne, readUntil, type HttpNeeds } from './http-exchange.ts'
import { isRecord, memberString, recordOf, requestText, type Incoming, type RawAnswer, type RawResult } from './message.ts'
import { describedBy, metaOf, newerUpstream, NEWER, type NewerWire } from './newer-calls.ts'
import { headerValue, mirrored, nameOf, paramHeadersOf, type ParamHeader } from '@writ/contract/param-headers'
import { UpstreamFault, type McpClient, type McpMessage, type Upstream } from './upstream.ts'

const HEADER_MISMATCH = -32020
const MOST_PAGES = 100

/** What `server/discover` found: a server of this generation, or an answer of something else. */
export type HttpDiscovery = { readonly kind: 'newer'; readonly upstream: Upstream } | { readonly kind: 'not_newer' } | { readonly kind: 'other_version' }

/** Asks the server whether it speaks this generation. */
export async function discoverOverHttp(needs: HttpNeeds, client: McpClient, signal: AbortSignal): Promise<HttpDiscovery> {
  let lastId = 0
  const ids = (): number => ++lastId
  const answer = await post({ needs, id: ids(), message: { method: 'server/discover', params: { _meta: metaOf(client) } }, more: {}, signal, withinMs: needs.bounds.handshakeMs })
  if (answer.kind === 'status') {
    // A server that lets nobody in, or does not work, has said nothing of its generation.
    if (answer.status === 401 || answer.status === 403 || answer.status >= 500) throw new UpstreamFault(needs.server, `status_${answer.status}`)
    return { kind: 'not_newer' }
  }
  if (answer.kind === 'error') return isOtherVersion(answer) ? { kind: 'other_version' } : { kind: 'not_newer' }
  const description = describedBy(answer)
  if (description === undefined) return { kind: 'not_newer' }
  return { kind: 'newer', upstream: newerUpstream({ server: needs.server, wire: httpWire(needs, client, ids), description, client, ids }) }
}

/** A server that names versions, none of which has sessions: it is of this generation, and of no revision that we speak. */
export function isOtherVersion(answer: RawAnswer): boolean {
  if (answer.kind !== 'error' || answer.error.code !== -32022 || !isRecord(answer.error.data)) return false
  const supported = answer.error.data['supported']
  return Array.isArray(supported) && supported.length > 0 && supported.every((one) => typeof one === 'string' && one > NEWER)
}

type Post = {
  readonly needs: HttpNeeds
  readonly id: number
  readonly message: McpMessage
  readonly more: Readonly<Record<string, string>>
  readonly signal: AbortSignal
  readonly withinMs: number
  readonly hear?: (message: McpMessage) => void
}

type Posted = RawAnswer | { readonly kind: 'status'; readonly status: number }

async function post({ needs, id, message, more, signal, withinMs, hear }: Post): Promise<Posted> {
  const name = nameOf(message.method, message.params)
  const headers = {
    ...more, 'content-type': 'application/json', accept: 'application/json, text/event-stream', 'mcp-protocol-version': NEWER,
    'mcp-method': headerValue(message.method), ...(name === undefined ? {} : { 'mcp-name': headerValue(name) }),
  }
  const opened = await exchange(needs, { method: 'POST', headers, body: requestText(id, message), signal, withinMs })
  const isOurs = (incoming: Incoming): incoming is Extract<Incoming, { kind: 'answer' }> =>
    incoming.kind === 'answer' && (incoming.id === String(id) || (incoming.id === null && incoming.answer.kind === 'error'))
  try {
    if (opened.status === 200 && isEventStream(opened)) {
      let answer: RawAnswer | undefined
      await readUntil(needs, opened, newCursor(), (incoming) => {
        if (incoming.kind === 'notification') hear?.(incoming.message)
        if (isOurs(incoming)) ({ answer } = incoming)
        return answer !== undefined
      })
      signal.throwIfAborted()
      if (answer === undefined) throw new UpstreamFault(needs.server, 'ended')
      return answer
    }
    const incoming = await readOne(needs, opened)
    if (incoming !== undefined && isOurs(incoming)) return incoming.answer
    if (opened.status === 200) throw new UpstreamFault(needs.server, 'bad_answer')
    return { kind: 'status', status: opened.status }
  } catch (cause) {
    signal.throwIfAborted()
    throw brokenAs(needs.server, cause)
  } finally {
    if (opened.status === 202 || opened.status === 204) letGo(opened)
  }
}

/** Every request is an exchange of its own; to close it is to cancel it. */
function httpWire(needs: HttpNeeds, client: McpClient, ids: () => number): NewerWire {
  /** What each tool of the list wants in headers; null for one that may not be called. */
  const tools = new Map<string, readonly ParamHeader[] | null>()
  const ask = async (id: number, message: McpMessage, hear: (message: McpMessage) => void, signal: AbortSignal): Promise<RawAnswer> => {
    const more = message.method === 'tools/call' ? paramHeaders(tools, message.params) : {}
    if (more === null) return { kind: 'error', error: { code: -32602, message: 'the tool\'s definition is not valid' } }
    const answer = await post({ needs, id, message, more, signal, hear, withinMs: needs.bounds.idleMs })
    if (answer.kind === 'status') throw new UpstreamFault(needs.server, `status_${answer.status}`)
    return message.method === 'tools/list' && answer.kind === 'result' ? withoutUnsound(tools, answer) : answer
  }
  /** What the server wants in headers may have changed since its list was read. */
  const lookAgain = async (signal: AbortSignal): Promise<void> => {
    let cursor: string | undefined
    for (let page = 0; page < MOST_PAGES; page++) {
      const params = { ...(cursor === undefined ? {} : { cursor }), _meta: metaOf(client) }
      const answer = await ask(ids(), { method: 'tools/list', params }, () => undefined, signal)
      const next = answer.kind === 'result' ? memberString(answer, 'nextCursor') : undefined
      if (next === undefined) return
      cursor = next
    }
  }
  return {
    async ask(id, message, hear, signal) {
      const answer = await ask(id, message, hear, signal)
      if (message.method !== 'tools/call' || answer.kind !== 'error' || answer.error.code !== HEADER_MISMATCH) return answer
      await lookAgain(signal)
      return ask(ids(), message, hear, signal)
    },
    async close() { /* each exchange is closed by its own signal */ },
  }
}

function paramHeaders(tools: ReadonlyMap<string, readonly ParamHeader[] | null>, params: ExactRecord): Readonly<Record<string, string>> | null {
  const wanted = typeof params['name'] === 'string' ? tools.get(params['name']) : undefined
  return wanted === null ? null : mirrored(wanted ?? [], params['arguments'])
}

/** The list without the tools whose headers break the rules, and the note of what the others want. */
function withoutUnsound(noted: Map<string, readonly ParamHeader[] | null>, result: RawResult): RawResult {
  const at = result.members.find(({ name }) => name === 'tools')
  const tools = at && elementsOf(result.text, at)
  if (at === undefined || tools === undefined) return result
  const sound = tools.filter((one) => {
    const tool = recordOf(one)
    // What can not be read is left out by whoever reads the list.
    if (typeof tool?.['name'] !== 'string') return true
    const wanted = paramHeadersOf(tool['inputSchema'])
    noted.set(tool['name'], wanted ?? null)
    return wanted !== undefined
  })
  if (sound.length === tools.length) return result
  const text = `${result.text.slice(0, at.value)}[${sound.join(',')}]${result.text.slice(at.to)}`
  const members = membersOf(text, { depth: 128 })
  return members.ok ? { kind: 'result', text, members: members.value } : result
}
