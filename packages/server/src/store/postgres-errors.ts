import { DatabaseError } from 'pg'
import { RuleBroken, StatementFault, StorageUnavailable, type Left } from './faults.ts'

/** Lost to a deadlock or to a serialisation conflict: the same change may pass when it is tried again. */
export class Conflict extends StatementFault {}

/**
 * Another server has migrated meanwhile, and what a connection had parsed before gives other columns now (0A000); or the statement is
 * gone (26000). Parsed anew, the same change passes.
 */
export class StalePlan extends Conflict {}

/** SQLSTATE classes and codes (PostgreSQL, Appendix A) that say: not now. 42501: the right to write was taken away. */
const NOT_NOW = [/^08/, /^28/, /^53/, /^57/, /^58/, /^XX/, /^3D000$/, /^55P03$/, /^25006$/, /^42501$/]
const RULE = /^23/
const VALUE = /^22/
const CONFLICT = ['40001', '40P01']

/** An error of the driver in our words. `left` says what is left of a change whose connection broke at this moment. */
export function toFault(cause: unknown, left: Left): Error {
  // The server's own answers are `DatabaseError`s, and our type parsers throw `RangeError`; anything else is a connection that broke.
  if (cause instanceof RangeError) return cause
  if (!(cause instanceof DatabaseError)) return new StorageUnavailable(codeOf(cause), left, { cause })
  const code = cause.code ?? 'XX000'
  // An error in answer to a commit means that it was not done, unless the server ended the connection (57P0x).
  const leftNow = code.startsWith('57P') ? left : 'nothing'
  if (NOT_NOW.some((one) => one.test(code))) return new StorageUnavailable(code, leftNow, { cause: withoutRows(cause, code) })
  if (RULE.test(code)) return new RuleBroken(cause.constraint ?? cause.column ?? code)
  if (CONFLICT.includes(code)) return new Conflict('the database ended a conflict between two changes', code)
  if (isStale(cause)) return new StalePlan('a statement was parsed before the schema changed', code)
  return withoutRows(cause, code)
}

/** Of the many things that are not supported, the one that is about a plan; its message may be in any language. */
const isStale = ({ code, routine }: DatabaseError): boolean => code === '26000' || (code === '0A000' && routine === 'RevalidateCachedQuery')

/** `detail` and `where` of an error quote rows, and the message of class 22 the value that could not be read. */
function withoutRows(cause: DatabaseError, code: string): StatementFault {
  return new StatementFault(VALUE.test(code) ? `the database could not read a value (${code})` : cause.message, code)
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : 'connection failed'
}
