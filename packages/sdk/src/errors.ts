import type { ExplanationReply } from '@writ/contract/decisions'

/** Why a decision came out as it did, in the form that it has everywhere. */
export type Explanation = ExplanationReply

/** What every failure of the SDK tells: a stable word, whether trying again can help, and where to look in the server's log. */
export type Told = {
  readonly code: string
  readonly retryable?: boolean
  readonly hint?: string | undefined
  /** Names the request in the server's log; absent when no server answered. */
  readonly traceId?: string | undefined
  readonly cause?: unknown
}

/** The beginning of every error that the SDK throws. */
export class WritError extends Error {
  readonly code: string
  readonly retryable: boolean
  readonly hint: string | undefined
  readonly traceId: string | undefined
  constructor(message: string, { code, retryable = false, hint, traceId, cause }: Told) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = new.target.name
    this.code = code
    this.retryable = retryable
    this.hint = hint
    this.traceId = traceId
  }

  /** The message with its way out, for a person. */
  explain(): string {
    return [this.message, ...(this.hint === undefined ? [] : [this.hint]), ...(this.traceId === undefined ? [] : [`trace ${this.traceId}`])].join('\n')
  }
}

/** The server answered no: to the identity, the grant, the task's state, or because of the policies. */
export class Denied extends WritError {
  /** The recorded denial where the policies said no: `writ explain` tells why, and what would allow it. */
  readonly decision: string | undefined
  /** Where the server has said it at once: the rule, the term that failed with its value, and what would allow it. */
  readonly explanation: Explanation | undefined
  constructor(message: string, told: Told & { readonly decision?: string | undefined; readonly explanation?: Explanation | undefined }) {
    super(message, told)
    this.decision = told.decision
    this.explanation = told.explanation
  }
}

/** `approval`: the request, where there is one; `url`: where a person answers. */
export type PersonTold = ConstructorParameters<typeof Denied>[1] & { readonly approval?: string | undefined; readonly url?: string | undefined }

/** A person has to answer first, or has answered. */
class ByPerson extends Denied {
  /** The request, once there is one. */
  readonly approval: string | undefined
  /** Where a person answers; it opens nothing for anybody else. */
  readonly url: string | undefined
  constructor(message: string, told: PersonTold) {
    super(message, told)
    this.approval = told.approval
    this.url = told.url
  }
}

/** Denied until a person has approved exactly this: wait with `waitForApproval`, or let go with `task.suspend()`. */
export class ApprovalRequired extends ByPerson {}

/** A person has said no. */
export class ApprovalDenied extends ByPerson {}

/** Nobody answered in time, or the request was taken back. */
export class ApprovalExpired extends ByPerson {}

/** The MCP server itself answered with an error: it was asked, and may have done something. */
export class ToolError extends WritError {
  /** As JSON-RPC numbers errors. */
  readonly rpcCode: number
  /** What the MCP server said about it, unread. */
  readonly data: unknown
  constructor(message: string, told: Told & { readonly rpcCode: number; readonly data?: unknown }) {
    super(message, told)
    this.rpcCode = told.rpcCode
    this.data = told.data
  }
}

/** The task's time, its budget or the silence it may keep is over. */
export class TaskExpired extends WritError {}

/** Somebody, or something above it, has ended the task before its time. */
export class Killed extends WritError {}

/** Nobody could be asked. Nothing was done that may be relied on: the SDK fails closed. */
export class Unreachable extends WritError {}

/** The SDK does not know where the server is, or as whom it should speak. */
export class Misconfigured extends WritError {}

/** `end_reason` of a task -> the error that says so. */
export function overError(reason: string, traceId?: string): TaskExpired | Killed {
  const told = { code: `task_${reason}`, hint: 'stop, and open a new task if there is more to do', traceId }
  const expired = ['deadline', 'silence', 'idle', 'budget_exhausted', 'completed'].includes(reason)
  return expired ? new TaskExpired(`the task is over: ${reason}`, told) : new Killed(`the task was ended: ${reason}`, told)
}
