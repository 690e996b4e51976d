import { accessSync, constants, statSync } from 'node:fs'

/** Why nothing can be kept in this directory; undefined where it can, or where it is still to be made. Writes nothing. */
export function directoryFault(directory: string): string | undefined {
  try {
    const found = statSync(directory, { throwIfNoEntry: false })
    if (found === undefined) return undefined
    if (!found.isDirectory()) return 'is no directory'
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK)
    return undefined
  } catch (error) {
    if (error instanceof Error && 'code' in error && 'syscall' in error) return `can not be used (${String(error.code)})`
    throw error
  }
}
