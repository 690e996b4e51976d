import type { ExactValue } from '@writ/domain/exact'
import { isRecord, memberRecord, memberString, notificationText, requestText, type Incoming } from './message.ts'
import { UpstreamFault, type AskClient, type McpAnswer, type McpClient, type McpMessage, type UpstreamDescription } from './upstream.ts'

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

/** From the least severe on. */
export const LOG_LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'] as const
export const severityOf = (level: ExactValue | undefined): number => (LOG_LEVELS as readonly (ExactValue | undefined)[]).indexOf(level)

/** How a client of the newer generation says with each request what it wants to hear of the server's log. */
export const LEVEL_KEY = 'io.modelcontextprotocol/logLevel'

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

  /**
   * What the server has to be told before this request, for its client to hear as much of the log as it wants: a server of this generation keeps one
   * level for all. Whoever wants less is not shown more.
   */
  levelFor({ params: { _meta: meta } }: McpMessage): McpMessage | undefined {
    const wanted = isRecord(meta) ? severityOf(meta[LEVEL_KEY]) : -1
    if (wanted === -1 || (this.#level !== undefined && severityOf(this.#level.params['level']) <= wanted)) return undefined
    this.#level = { method: 'logging/setLevel', params: { level: LOG_LEVELS[wanted]! } }
    return this.#level
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

/** Who hears what a server says on its own, and can be asked what it asks then. */
export class Hearers {
  readonly #all = new Set<{ readonly hear: (message: McpMessage) => void; readonly ask: AskClient | undefined }>()

  add(hear: (message: McpMessage) => void, ask: AskClient | undefined): () => void {
    const own = { hear, ask }
    this.#all.add(own)
    return () => { this.#all.delete(own) }
  }

  hear(message: McpMessage): void {
    for (const { hear } of this.#all) hear(message)
  }

  /** The first who is there. */
  ask(question: McpMessage, withdrawn: AbortSignal): Promise<McpAnswer> | undefined {
    for (const { ask } of this.#all) {
      const asking = ask?.(question, withdrawn)
      if (asking !== undefined) return asking
    }
    return undefined
  }

  clear(): void {
    this.#all.clear()
  }
}
