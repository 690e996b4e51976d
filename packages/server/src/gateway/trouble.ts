import type { ExactRecord } from '@writ/domain/exact'
import { StorageBusy, StorageUnavailable } from '../store/faults.ts'
import { UpstreamFault, type McpError } from '../upstreams/upstream.ts'
import { NotLent } from './lend.ts'
import { Ended, Refused, RPC_CODES, rpcError, type EndWord } from './refused.ts'

/** A state or an answer that nobody waits for any more: the client's mistake, or its lateness. */
const UNKNOWN_STATE = 'unknown_state'

/** What a client is told of whatever was thrown. Undefined of what nobody has foreseen. */
export function foreseen(cause: unknown): McpError | undefined {
  if (cause instanceof Refused) return cause.error
  if (cause instanceof Ended) return endedError(cause)
  if (cause instanceof UpstreamFault) return faultError(cause)
  if (cause instanceof NotLent) return notLentError(cause)
  // Law 4: what can't be recorded does not happen.
  if (cause instanceof StorageUnavailable || cause instanceof StorageBusy) return rpcError(RPC_CODES.internal, 'the store can not be written; nothing was done', { code: 'storage_unavailable', retryable: true })
  return undefined
}

const SAY: Readonly<Record<EndWord, string>> = {
  client_gone: 'the request was cancelled', task_ended: 'the task is over', token_ended: 'the access token was revoked',
  server_changed: 'the MCP server was changed or retired meanwhile', stopping: 'this server is stopping',
}

const endedError = ({ word, endReason }: Ended): McpError => {
  const data: ExactRecord = { code: word, ...(endReason === null ? {} : { end_reason: endReason }), retryable: word === 'stopping' || word === 'server_changed' }
  return rpcError(word === 'task_ended' || word === 'token_ended' ? RPC_CODES.denied : RPC_CODES.internal, endReason === null ? SAY[word] : `${SAY[word]}: ${endReason}`, data)
}

/** Names the server, and nothing that it wrote. */
function faultError({ server, code }: UpstreamFault): McpError {
  if (code === UNKNOWN_STATE) return rpcError(RPC_CODES.invalidParams, '`requestState` is not known any more: begin again', { code })
  return rpcError(RPC_CODES.internal, `the MCP server \`${server}\` can not be asked: ${code}`, { code, upstream: server, retryable: true })
}

/** Names the server and the back end, and what became of it in our own words or the system's. */
function notLentError({ server, permit, refusal }: NotLent): McpError {
  if (refusal.kind === 'task_not_open') return endedError(new Ended('task_ended', refusal.reason))
  const why = refusal.kind === 'mint_failed' ? refusal.code : refusal.kind
  const data = { code: 'lease_not_minted', why, upstream: server, backend: permit.resource, retryable: refusal.kind === 'mint_failed' || refusal.kind === 'stopped_meanwhile' }
  return rpcError(RPC_CODES.internal, `the MCP server \`${server}\` can not be asked: it needs a lease of \`${permit.resource}\`, and there was none: ${why}`, data)
}

export const NOT_FORESEEN: McpError = rpcError(RPC_CODES.internal, 'Writ failed; the record has the details', { code: 'internal' })
