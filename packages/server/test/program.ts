import { join } from 'node:path'
import type { ChildProcess } from 'node:child_process'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** Where this run of the tests has packed the server's programs (`scripts/pack-server.ts`). */
const packed = process.env['WRIT_TEST_SERVER']

/** A program or a thread of the server: as this run of the tests has packed it, else its source. */
const program = (name: string): string =>
  packed === undefined ? fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url)) : join(packed, `${name}.mjs`)

/** `src/main.ts`. */
export const MAIN = program('main')

/** What Node is given to run it: one that lives for some seconds does not compile Cedar a second time to make it faster, which takes a fifth of its CPU. */
export const runOf = (path: string): readonly string[] => (packed === undefined ? [path] : ['--liftoff-only', path])

/** `src/restore-main.ts`. */
export const RESTORE_MAIN = program('restore-main')
/** `src/writer.ts`. */
export const WRITER = pathToFileURL(program('writer'))

/** What is not up in time is killed: it would keep its test file waiting for ever. */
export async function orKilled<T>(child: ChildProcess, starting: Promise<T>): Promise<T> {
  try {
    return await starting
  } catch (cause) {
    child.kill('SIGKILL')
    throw cause
  }
}
