import { DatabaseError } from 'pg'
import { BackendFault } from '../connector.ts'

/** SQLSTATEs (PostgreSQL Appendix A) that the connector acts upon. */
export const SQLSTATE = {
  invalidAuthorization: '28000',
  invalidPassword: '28P01',
  invalidParameter: '22023',
  noSuchDatabase: '3D000',
  insufficientPrivilege: '42501',
  duplicateObject: '42710',
  dependentObjects: '2BP01',
  privilegeNotGranted: '01007',
  serializationFailure: '40001',
  deadlockDetected: '40P01',
  internalError: 'XX000',
} as const

/** Another transaction came in between and nothing was changed. Of two that change the same grants one gets an internal error. */
export function isConflict(error: unknown): boolean {
  const conflicts: readonly string[] = [SQLSTATE.serializationFailure, SQLSTATE.deadlockDetected, SQLSTATE.internalError]
  return conflicts.includes(codeOf(error))
}

/** The back end's SQLSTATE, else Node's code, else `no_code`: the driver gives none to a timeout. */
export function codeOf(error: unknown): string {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' && code !== '' ? code : 'no_code'
}

/** One line without control characters: what the back end said may quote names that a lease's holder chose. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error)
  return text.replaceAll(/\p{C}+/gu, ' ').slice(0, 500)
}

/** A fault that says what we were doing; never a secret, and never a statement. */
export function faultOf(error: unknown, doing: string): BackendFault {
  if (error instanceof BackendFault) return error
  const left = error instanceof DatabaseError && error.code === SQLSTATE.dependentObjects && error.detail ? `: ${error.detail}` : ''
  return new BackendFault(`${doing}: ${messageOf(error)}${left.replaceAll(/\p{C}+/gu, ' ').slice(0, 500)}`, codeOf(error), { cause: error })
}
