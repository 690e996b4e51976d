import { ok } from '@writ/domain/outcome'
import { change, type Store, type Tx } from '../record/tx.ts'
import { findVersionInForce } from '../store/policies.ts'
import { policiesIn } from './decide.ts'

/** Reads and parses the policies in force in the thread that decides, so that nobody's decision has to wait for it. */
export const warmPolicies = change('policy.warm', async (tx: Tx) => {
  const { version } = await policiesIn(tx)
  return ok(version)
})

/**
 * Looks now and then which version is in force, whoever has applied it and on which server; each is warmed once, when it has stood from one
 * look to the next: what is parsed at a start would hold up the start.
 */
export function warmRound({ store }: { readonly store: Pick<Store, 'read' | 'change'> }): () => Promise<boolean> {
  let seen: number | undefined
  let warmed: number | undefined
  return async () => {
    const before = seen
    seen = await store.read(findVersionInForce)
    if (seen === warmed || seen !== before) return false
    const done = await store.change(warmPolicies, {})
    if (done.ok) warmed = done.value
    return false
  }
}
