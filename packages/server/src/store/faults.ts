import { unreachable } from '@writ/domain/outcome'

/** Whether a change that was not answered may have been done all the same: the connection broke while it was being committed. */
export type Left = 'nothing' | 'unknown'

/** The database can't be asked, or can't write. Try again later; nothing is half done. */
export class StorageUnavailable extends Error {
  readonly code: string
  readonly left: Left
  constructor(code: string, left: Left, options?: ErrorOptions) {
    super(`storage is unavailable (${code})`, options)
    this.name = 'StorageUnavailable'
    this.code = code
    this.left = left
  }
}

/** More changes wait than the store holds; nothing was done. */
export class StorageBusy extends Error {
  constructor(waiting: number) {
    super(`storage is busy: ${waiting} changes wait`)
    this.name = 'StorageBusy'
  }
}

/**
 * A guard in the database refused. `rule` is the name of the check constraint or of the guard; for uniqueness, foreign keys and
 * absent values it is what the database tells, which is not the same in both.
 */
export class RuleBroken extends Error {
  readonly rule: string
  constructor(rule: string) {
    super(`the database refused: rule \`${rule}\``)
    this.name = 'RuleBroken'
    this.rule = rule
  }
}

/** The database did not understand a statement, or could not do it with these values. The message holds no value. */
export class StatementFault extends Error {
  readonly code: string
  constructor(message: string, code: string) {
    super(message)
    this.name = 'StatementFault'
    this.code = code
  }
}

/** A query given to `read` has tried to write. */
export const readDoesNotWrite = (): StatementFault => new StatementFault('reading does not write: make it a change', 'read_only')

/** A change threw: a bug in it. Nothing of it is left. */
export class ChangeFault extends Error {
  readonly change: string
  constructor(change: string, cause: unknown) {
    super(`change \`${change}\` failed: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
    this.name = 'ChangeFault'
    this.change = change
  }
}

/** sysexits.h EX_CONFIG: what the server exits with when it must not start like this. */
const EXIT_CONFIG = 78

/** The server must not start on this database or directory. The message says what was found and the way out. */
export class UnusableStore extends Error {
  readonly kind: 'unsafe_setting' | 'too_new' | 'too_old' | 'locked'
  readonly exitCode = EXIT_CONFIG
  constructor(kind: UnusableStore['kind'], message: string) {
    super(message)
    this.name = 'UnusableStore'
    this.kind = kind
  }
}

/** A fault as plain data, to cross from the writer's thread. */
export type PlainFault =
  | { readonly kind: 'unavailable'; readonly code: string; readonly left: Left }
  | { readonly kind: 'rule'; readonly rule: string }
  | { readonly kind: 'change'; readonly change: string; readonly message: string; readonly stack: string | undefined }

export function toPlainFault(change: string, error: unknown): PlainFault {
  if (error instanceof StorageUnavailable) return { kind: 'unavailable', code: error.code, left: error.left }
  if (error instanceof RuleBroken) return { kind: 'rule', rule: error.rule }
  return error instanceof Error
    ? { kind: 'change', change, message: error.message, stack: error.stack }
    : { kind: 'change', change, message: String(error), stack: undefined }
}

export function fromPlainFault(fault: PlainFault): Error {
  switch (fault.kind) {
    case 'unavailable': return new StorageUnavailable(fault.code, fault.left)
    case 'rule': return new RuleBroken(fault.rule)
    case 'change': {
      const cause = new Error(fault.message)
      if (fault.stack !== undefined) cause.stack = fault.stack
      return new ChangeFault(fault.change, cause)
    }
    default: return unreachable(fault)
  }
}
