import { readFileSync, statSync } from 'node:fs'
import { SecretUnreadable } from './provider-refusal.ts'

const OPEN_TO_OTHERS = 0o077
const MOST_BYTES = 4096

/** What is wrong with the file of the client's secret; undefined when it can be used. */
export function clientSecretFault(file: string): string | undefined {
  try {
    const { mode, size } = statSync(file)
    if ((mode & OPEN_TO_OTHERS) !== 0) return `is open to other users (mode ${(mode & 0o777).toString(8).padStart(3, '0')}): run \`chmod 600 ${file}\``
    return size > MOST_BYTES || readIn(file) === '' ? 'does not hold a secret' : undefined
  } catch (error) {
    if (error instanceof Error && 'code' in error) return `can not be read (${String(error.code)})`
    throw error
  }
}

/** The secret as it stands there now. */
export function clientSecretIn(file: string): string {
  const fault = clientSecretFault(file)
  if (fault !== undefined) throw new SecretUnreadable(fault)
  return readIn(file)
}

/** One line end at its end is no part of it. */
const readIn = (file: string): string => readFileSync(file, 'utf8').replace(/\r?\n$/, '')
