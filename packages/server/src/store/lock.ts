import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { UnusableStore } from './faults.ts'

export type DirectoryLock = { readonly release: () => void }

/**
 * Locks the data directory for this process, through an exclusive lock that SQLite takes on a file of its own: the operating system
 * frees it when the process ends, however it ends. The process id beside it is for the message only and decides nothing.
 */
export function lockDirectory(directory: string): DirectoryLock {
  const holderFile = join(directory, 'writ.pid')
  const lockFile = join(directory, 'writ.lock')
  makeFile(lockFile)
  const lock = new DatabaseSync(lockFile, { timeout: 0 })
  try {
    lock.exec('begin exclusive')
  } catch (cause) {
    lock.close()
    if (!isBusy(cause)) throw cause
    throw new UnusableStore('locked',
      `data directory \`${directory}\` is in use by process ${holderOf(holderFile)}: stop it, or give this server a directory of its own`)
  }
  writeFileSync(holderFile, `${process.pid}\n`, { mode: 0o600 })
  return { release: () => { lock.close() } }
}

/**
 * Makes an empty file for its owner alone, where there is none; SQLite gives its logs the rights of the file. A file that is there is
 * not opened: to close it again would free the locks that this process holds on it (POSIX fcntl).
 */
export function makeFile(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600))
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'EEXIST')) throw cause
  }
}

/** https://sqlite.org/rescode.html#busy */
const BUSY = 5

const isBusy = (cause: unknown): boolean => cause instanceof Error && 'errcode' in cause && cause.errcode === BUSY

function holderOf(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return 'unknown'
  }
}
