import { fails, holds, type Checked } from './checked.ts'
import { readFacts } from './facts.ts'
import type { Gathered } from './gather.ts'
import { inert } from './inert.ts'

/** One widening of a task's grant. `reason` is the caller's word; null where it was not disclosed. */
export type WideningClosure = { readonly at: number; readonly added: readonly string[]; readonly reason: string | null }

/**
 * The widenings of a task: as many as its end says, in their order, and each with nothing in it that was neither there before nor said to
 * come new. Null where the end says nothing of them, and then there may be none.
 */
export function closuresOfWidenings(
  { widenings, ended }: Pick<Gathered, 'widenings' | 'ended'>, opened: readonly string[],
): Checked<readonly WideningClosure[] | null> {
  const said = readFacts(ended.leaf, (facts) => (facts.has('widened') ? facts.count('widened') : null))
  if (!said.ok) return said
  if (widenings.length < (said.value ?? 0)) return fails('incomplete', `the task was widened ${said.value} times, and there are receipts of ${widenings.length}`)
  if (widenings.length > (said.value ?? 0)) return fails('contradiction', `there are ${widenings.length} widenings, and the task's end says ${said.value ?? 0}`)
  const closures: WideningClosure[] = []
  let before = new Set(opened)
  for (const [i, { leaf, said: words }] of widenings.entries()) {
    const read = readFacts(leaf, (facts) => ({ added: facts.texts('added'), authority: facts.texts('authority'), nth: facts.count('nth') }))
    if (!read.ok) return read
    const { added, authority, nth } = read.value
    if (nth !== i + 1) return fails('out_of_order', `widening ${i + 1} of the task calls itself number ${nth}`)
    if (added.length === 0 || added.some((permit) => before.has(permit) || !authority.includes(permit))) {
      return fails('contradiction', `widening ${nth} of the task does not add what it says`)
    }
    const silent = authority.find((permit) => !before.has(permit) && !added.includes(permit))
    if (silent !== undefined) return fails('contradiction', `widening ${nth} of the task adds \`${inert(silent)}\` and does not say so`)
    closures.push({ at: leaf.at, added, reason: words.get('reason') ?? null })
    before = new Set(authority)
  }
  return holds(said.value === null ? null : closures)
}
