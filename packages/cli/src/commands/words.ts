/** The command that stands after `--`; null where there is no `--`. */
export function programIn(words: readonly string[]): readonly string[] | null {
  const at = words.indexOf('--')
  return at === -1 ? null : words.slice(at + 1)
}
