import type { ExactRecord, ExactValue } from '@writ/domain/exact'

/** The two generations of MCP that are spoken, each by the date of its revision: with sessions, and without. */
export const GENERATIONS = ['2025-11-25', '2026-07-28'] as const
export type Generation = (typeof GENERATIONS)[number]

/** A request or a notification without what belongs to its way (`jsonrpc`, `id`, the `_meta` keys of one generation). */
export type McpMessage = { readonly method: string; readonly params: ExactRecord }

export type McpError = { readonly code: number; readonly message: string; readonly data?: ExactValue }

/** `text`: the JSON of the result as the other side wrote it, every digit kept, without `resultType`. */
export type McpAnswer = { readonly kind: 'result'; readonly text: string } | { readonly kind: 'error'; readonly error: McpError }

/** What the upstream wants of the client before it goes on, by a name of the upstream's: elicitation, sampling, roots. */
export type Inputs = Readonly<Record<string, McpMessage>>
export type InputAnswers = Readonly<Record<string, McpAnswer>>

/** How far a request came: to its answer, or to a question back. `state` is for `resume` alone, and for no eyes but the upstream's side. */
export type Turn = McpAnswer | { readonly kind: 'input_required'; readonly inputs: Inputs; readonly state: string }

export type McpClient = { readonly name: string; readonly version: string; readonly capabilities: ExactRecord }

/** What goes with a request on its way. */
export type Along = {
  readonly client: McpClient
  /** Once it is aborted, the upstream is told so and nothing more comes. It counts too while a question of the upstream's awaits its answer. */
  readonly signal: AbortSignal
  /** Progress and log messages that belong to this request. */
  readonly notify: (message: McpMessage) => void
}

/** What a server says of itself: the result of `initialize` or of `server/discover`. */
export type UpstreamDescription = {
  readonly generation: Generation
  readonly capabilities: ExactRecord
  readonly info: ExactRecord
  readonly instructions: string | null
}

/**
 * Why an upstream can not be asked. `code` is a word of ours (`ended`, `idle`, `too_large`, `bad_answer`, `closed`, `restarting`, `status_502`), of
 * the rules for calling out (`address_not_allowed`) or the system's (`ECONNREFUSED`), never what the other side wrote.
 */
export class UpstreamFault extends Error {
  readonly server: string
  readonly code: string

  constructor(server: string, code: string, more: { readonly cause?: unknown } = {}) {
    super(`the MCP server \`${server}\` can not be asked: ${code}`, more)
    this.server = server
    this.code = code
  }
}

/**
 * Whoever can be asked while no request is on its way. Undefined where nobody is there at this moment; never rejects. `withdrawn` is aborted once the
 * server wants no answer any more.
 */
export type AskClient = (question: McpMessage, withdrawn: AbortSignal) => Promise<McpAnswer> | undefined

/** One task's own way to one MCP server, in that server's own generation. Every function throws `UpstreamFault`, and the signal's reason once aborted. */
export type Upstream = {
  readonly description: UpstreamDescription
  request(message: McpMessage, along: Along): Promise<Turn>
  /** Goes on where `input_required` stopped. A state that is not known any more is an `UpstreamFault` with `unknown_state`. */
  resume(message: McpMessage, state: string, answers: InputAnswers, along: Along): Promise<Turn>
  /** A client's notification that is not bound to a request: `notifications/roots/list_changed`. */
  tell(message: McpMessage): Promise<void>
  /**
   * What the server says on its own: lists that changed, resources that were updated. Answers how to stop. `ask`: for what a server of the older
   * generation asks while no request is on its way; without it, or where it answers nobody, the question waits for the next request.
   */
  listen(hear: (message: McpMessage) => void, ask?: AskClient): () => void
  /** Ends calls in flight and what was started; nothing is left over. */
  close(): Promise<void>
}
