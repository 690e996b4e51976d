import { hash } from 'node:crypto'
import { parseExactJson } from '@writ/contract/strict-json'
import { exactText, type ExactRecord } from '@writ/domain/exact'
import { parseId, type ServerInstanceId } from '@writ/domain/id'
import type { EpochMs } from '@writ/domain/time'
import { SealFault, type Sealer } from '../keys/seal.ts'
import type { McpMessage } from '../upstreams/upstream.ts'
import type { Exchange } from './exchange.ts'
import { isRecord } from './json-rpc.ts'
import { signatureOf } from './methods.ts'

/** What a client carries between two requests of one call. */
export type CarriedState = {
  /** For the upstream's side alone. */
  readonly state: string
  /** Who keeps what the state stands for; null where nobody has to keep anything. */
  readonly home: ServerInstanceId | null
  readonly until: EpochMs
  /** Questions of the server that this client can not be asked, each with why. */
  readonly unasked: ExactRecord
}

/** Whose it is: the task, the identity, the server and the very request, to the last argument. Anywhere else it does not open. */
type Of = Pick<Exchange, 'caller' | 'server'> & { readonly message: McpMessage }

const placeOf = ({ caller, server, message }: Of): string => `mcp_state:${caller.task}:${caller.identity}:${server}:${hash('sha256', signatureOf(message), 'base64url')}`

export const sealState = (states: Pick<Sealer, 'seal'>, of: Of, { state, home, until, unasked }: CarriedState): string =>
  states.seal(exactText({ state, home, until: BigInt(until), unasked }), placeOf(of))

/** Undefined for what was not sealed here, or for somebody or something else, or too long ago. */
export function openState(states: Pick<Sealer, 'unseal'>, of: Of, { sealed, now }: { readonly sealed: string; readonly now: EpochMs }): CarriedState | undefined {
  const text = unsealed(states, sealed, placeOf(of))
  const read = text === undefined ? undefined : parseExactJson(text, { depth: 64 })
  if (read?.ok !== true || !isRecord(read.value)) return undefined
  const { state, home, until, unasked } = read.value
  if (typeof state !== 'string' || typeof until !== 'bigint' || !isRecord(unasked) || now >= Number(until)) return undefined
  const keeper = typeof home === 'string' ? parseId('serverInstance', home) : null
  return keeper === undefined ? undefined : { state, home: keeper, until: Number(until) as EpochMs, unasked }
}

function unsealed(states: Pick<Sealer, 'unseal'>, sealed: string, place: string): string | undefined {
  try {
    return states.unseal(sealed, place)
  } catch (error) {
    if (error instanceof SealFault) return undefined
    throw error
  }
}
