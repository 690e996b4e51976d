import { globSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { importsOf } from './source-text.ts'

export type Selection = {
  /** Leaves out the slow ones. */
  readonly fast: boolean
  /** Only the tests of other people's vectors. */
  readonly vectors: boolean
  /** Parts of file names, one of which must occur; all files when empty. */
  readonly filters: readonly string[]
}

export type TestFile = {
  /** Relative to the project's root, with `/`. */
  readonly path: string
  /** Whether it needs a real PostgreSQL or a whole running Writ. */
  readonly slow: boolean
  /** Whether it measures time or memory, or puts a server under load, which says nothing on a machine that has much else to do. */
  readonly measures: boolean
}

/** The test files below `root` that were asked for, always in the same order. */
export function findTestFiles(root: string, selection: Selection): readonly TestFile[] {
  return globSync(['packages/**/*.test.ts', 'scripts/*.test.ts'], { cwd: root, exclude: (path) => path.split('/').includes('node_modules') })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => !selection.vectors || path.endsWith('.vectors.test.ts'))
    .filter((path) => selection.filters.length === 0 || selection.filters.some((part) => path.includes(part)))
    .toSorted()
    .map((path) => ({ path, slow: isSlow(root, path), measures: MEASURES.test(readIfThere(join(root, path))) }))
    .filter((file) => !selection.fast || !file.slow)
}

const MEASURES = /\bperformance\.now\(|\bunder load\b|\/(?:memory|offered-load|faster-time)\.ts'/

const BROWSER = 'packages/console/test/browser.ts'

/** Whether one of these tests looks at the console in a browser. */
export const needConsole = (root: string, files: readonly TestFile[]): boolean => files.some(({ path }) => path.startsWith('packages/') && leadsTo(root, path, BROWSER))

function leadsTo(root: string, path: string, target: string, seen: Set<string> = new Set()): boolean {
  if (path === target) return true
  if (seen.has(path) || !/\.test\.ts$|(^|\/)test\//.test(path)) return false
  seen.add(path)
  return importsOf(readIfThere(join(root, path))).filter(({ specifier }) => specifier.startsWith('.'))
    .some(({ specifier }) => leadsTo(root, posix.join(posix.dirname(path), specifier), target, seen))
}

/** What starts a PostgreSQL, and how a test names the server that it starts as a process of its own. */
const LAUNCHER = 'scripts/postgres-cluster.ts'
const SERVER = /@writ\/server\/main\b|\bserver\/src\/main\.ts|^packages\/server\/.*\bsrc\/main\.ts/s

/** Follows the imports of test files and of what stands in `test/` and `scripts/`; a source file starts nothing by itself. */
function isSlow(root: string, path: string, seen: Set<string> = new Set()): boolean {
  if (path === LAUNCHER) return true
  if (seen.has(path) || !/\.test\.ts$|(^|\/)test\/|^scripts\//.test(path)) return false
  seen.add(path)
  const text = readIfThere(join(root, path))
  if (path.startsWith('packages/') && SERVER.test(`${path}\n${text}`)) return true
  return importsOf(text).filter(({ specifier }) => specifier.startsWith('.'))
    .some(({ specifier }) => isSlow(root, posix.join(posix.dirname(path), specifier), seen))
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return '' // an import of a file that is not written yet: the test itself will say so
    throw cause
  }
}
