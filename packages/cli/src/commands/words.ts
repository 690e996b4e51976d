import type { Command } from 'commander'

/** The whole command line, as it was given: commander keeps it and its types do not say so. */
export function wordsOf(command: Command): readonly string[] {
  let root = command
  while (root.parent !== null) root = root.parent
  return (root as unknown as { readonly rawArgs: readonly string[] }).rawArgs
}

/** The command that stands after `--`; null where there is no `--`. */
export function programIn(command: Command): readonly string[] | null {
  const words = wordsOf(command)
  const at = words.indexOf('--')
  return at === -1 ? null : words.slice(at + 1)
}
