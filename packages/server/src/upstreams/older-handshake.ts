import { isRecord, memberRecord, memberString, notificationText, requestText, type Incoming } from './message.ts'
import { UpstreamFault, type McpClient, type McpMessage, type UpstreamDescription } from './upstream.ts'

export const OLDER = '2025-11-25'
/** What a server may choose instead; it then speaks the same, without what came later. */
const ACCEPTED: ReadonlySet<string> = new Set([OLDER, '2025-06-18', '2025-03-26', '2024-11-05'])

export type Handshake = { readonly version: string; readonly description: UpstreamDescription }

export const initializeText = (id: number, { name, version, capabilities }: McpClient): string =>
  requestText(id, { method: 'initialize', params: { protocolVersion: OLDER, capabilities, clientInfo: { name, version } } })

export const initializedText = (): string => notificationText({ method: 'notifications/initialized', params: {} })

/** What the server agreed to. */
export function handshake(server: string, { answer }: Extract<Incoming, { kind: 'answer' }>): Handshake {
  if (answer.kind === 'error') throw new UpstreamFault(server, 'handshake_refused')
  const version = memberString(answer, 'protocolVersion')
  const capabilities = memberRecord(answer, 'capabilities')
  if (version === undefined || capabilities === undefined) throw new UpstreamFault(server, 'bad_answer')
  if (!ACCEPTED.has(version)) throw new UpstreamFault(server, 'unsupported_version')
  const info = memberRecord(answer, 'serverInfo')
  return { version, description: { generation: OLDER, capabilities, info: info ?? {}, instructions: memberString(answer, 'instructions') ?? null } }
}

/** Remembers what a server has to be told again when it has forgotten us. */
export class Resubscriber {
  readonly #resources = new Map<string, McpMessage>()
  #level: McpMessage | undefined

  note(message: McpMessage): void {
    const { uri } = message.params
    if (message.method === 'logging/setLevel') this.#level = message
    if (typeof uri !== 'string') return
    if (message.method === 'resources/subscribe') this.#resources.set(uri, message)
    if (message.method === 'resources/unsubscribe') this.#resources.delete(uri)
  }

  texts(ids: () => number): readonly string[] {
    return [...this.#resources.values(), ...(this.#level === undefined ? [] : [this.#level])]
      .map(({ method, params }) => requestText(ids(), { method, params: withoutMeta(params) }))
  }
}

function withoutMeta(params: McpMessage['params']): McpMessage['params'] {
  const { _meta: meta, ...rest } = params
  return isRecord(meta) ? rest : params
}
