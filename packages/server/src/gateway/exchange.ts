import type { Caller } from '../authenticate/authenticator.ts'
import type { OneTimeUse } from '../authenticate/authenticator.ts'
import type { Along, AskClient, InputAnswers, McpMessage, Turn, UpstreamDescription } from '../upstreams/upstream.ts'

/** A workload that came with an access token for this very server. */
export type GatewayCaller = Caller & { readonly task: NonNullable<Caller['task']>; readonly lease: NonNullable<Caller['lease']> }

/** A request of a client on its way to one MCP server, in the words of neither generation. */
export type Exchange = Along & {
  readonly caller: GatewayCaller
  /** The name under which the MCP server is registered. */
  readonly server: string
  readonly message: McpMessage
  /** Evidence that works once, to be used up by the decision. */
  readonly uses: readonly OneTimeUse[]
  readonly traceId: string
  /** What the client's generation has put into headers too, of the arguments of a tool: by lower-case name. Checked against what is decided on. */
  readonly mirrored?: Readonly<Record<string, string>>
  /** Whether its client comes back with the same request once its user has seen a page: the newer generation's. */
  readonly canReturn?: true
  /** Told once it is about to go to the server, when nothing can be refused any more. */
  readonly onForward?: () => void
}

/** Who hears what a server says on its own. */
export type Hearer = {
  readonly hear: (message: McpMessage) => void
  /** Told why nothing more comes. */
  readonly onEnd: (because: Error) => void
  /** Where the client's generation lets it be asked outside of its requests. */
  readonly ask?: AskClient
}

/** What the pipeline offers the two faces. Refusals are `error` turns already, or thrown as `Refused` where HTTP has to say more. */
export type Pipeline = {
  /** Decides, records, forwards. */
  carry(exchange: Exchange): Promise<Turn>
  resume(exchange: Exchange, state: string, answers: InputAnswers): Promise<Turn>
  /** What the server says of itself, its name and abilities, once a decision let the task look at it. */
  describe(exchange: Exchange): Promise<UpstreamDescription>
  /** What the server tells of its own accord, for as long as the way to it is open. Answers how to stop. */
  listen(exchange: Exchange, hearer: Hearer): Promise<() => void>
  tell(exchange: Exchange): Promise<void>
}
