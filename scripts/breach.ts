import { globSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** One place where the house's own rules are not kept. */
export type Breach = {
  readonly file: string
  readonly line: number
  /** What is wrong there. */
  readonly what: string
  /** What to do instead. */
  readonly wayOut: string
}

export type SourceFile = { readonly path: string; readonly text: string }

export const PROJECT_ROOT = resolve(import.meta.dirname, '..')

/** The files below `root` that match, in order, with `/` in their paths; never those of dependencies. */
export function readFiles(root: string, ...patterns: readonly string[]): readonly SourceFile[] {
  return globSync(patterns, { cwd: root, exclude: (path) => /(^|[\\/])(node_modules|dist|\.git)([\\/]|$)/.test(path) })
    .map((path) => path.replaceAll('\\', '/'))
    .toSorted()
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
}

/** Prints each breach as an editor can follow it; the exit code. */
export function report(rule: string, breaches: readonly Breach[]): 0 | 1 {
  for (const { file, line, what, wayOut } of breaches) console.error(`${file}:${line}: ${what}\n    way out: ${wayOut}`)
  if (breaches.length === 0) return 0
  console.error(`${rule}: ${breaches.length} ${breaches.length === 1 ? 'breach' : 'breaches'}`)
  return 1
}
