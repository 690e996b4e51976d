import { ok, refuse } from '@writ/domain/outcome'
import type { Logger } from 'pino'
import type { Authentication, DoorRefusal } from '../authenticate/authenticate.ts'
import type { SparingAuthentication } from '../authenticate/refused-often.ts'
import type { ServeNeeds } from './serve.ts'

/** `refusal`: of a door, or of what takes a passkey. */
export type TellRefused = (refusal: DoorRefusal | { readonly kind: string }, traceId: string) => void

/** Outside there is one kind of no; why it was one is in the log, by the number that the caller was given. */
export const refusalTeller = (log: Logger, onRefused: (kind: string) => void): TellRefused => (refused, traceId) => {
  const { nonce: _, ...refusal } = { nonce: undefined, ...refused }
  onRefused(refusal.kind)
  log.info({ trace_id: traceId, refusal }, 'evidence was refused')
}

/** Who comes in, with what works once used up or still to be used up. */
export const atDoorOf = (known: Pick<SparingAuthentication, 'atDoor' | 'atDoorUnused'>, tell: TellRefused): ServeNeeds['authenticate'] => async (presented, { traceId, uses }) => {
  const found = uses === 'left' ? await known.atDoorUnused(presented) : withoutUses(await known.atDoor(presented))
  if (found.ok) return found
  tell(found.refusal, traceId)
  return refuse({ nonce: 'nonce' in found.refusal ? found.refusal.nonce : undefined })
}

const withoutUses = (found: Awaited<ReturnType<Authentication['atDoor']>>): Awaited<ReturnType<Authentication['atDoorUnused']>> =>
  (found.ok ? ok({ caller: found.value, uses: [] }) : found)
