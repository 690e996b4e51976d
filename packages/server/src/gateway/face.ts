import type { ServerInstanceId } from '@writ/domain/id'
import type { OneTimeUse } from '../authenticate/authenticator.ts'
import type { GatewayCaller } from './exchange.ts'
import type { RpcMessage } from './json-rpc.ts'

/** What came to the address of an MCP server, from somebody who may come in there. */
export type FaceCall = {
  readonly method: 'POST' | 'GET' | 'DELETE'
  /** The name in the address. */
  readonly server: string
  /** By lower-case name. Each stands there once, or the door had refused them. */
  readonly headers: Readonly<Record<string, string>>
  /** Null of what has no body: GET and DELETE. */
  readonly message: RpcMessage | null
  readonly caller: GatewayCaller
  /** To be handed to the pipeline, once. */
  readonly uses: readonly OneTimeUse[]
  /** Hands the request over, as it came, to the server of this installation that keeps what it goes on with. */
  readonly sendTo: (home: ServerInstanceId) => Promise<FaceAnswer>
  /** For what does not go to the pipeline: uses them up, and throws `Refused` for a repeat. */
  readonly useUp: () => Promise<void>
  readonly traceId: string
  /** Aborted with an `Ended` when the client goes away. */
  readonly signal: AbortSignal
}

/** `body`: one text, texts as they come, or none. */
export type FaceAnswer = { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body: string | AsyncIterable<string> | null }

/** One generation of the protocol towards clients. What it throws as `Refused` the door answers. */
export type Face = (call: FaceCall) => Promise<FaceAnswer>
