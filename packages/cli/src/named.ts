import { listIdentities, type IdentityReply } from '@writ/contract/registry'
import { shortNameOf, type SpiffeId } from '@writ/domain/spiffe-id'
import { call, type Connection } from './client.ts'
import { CommandFailure, EXIT, usage } from './exit.ts'

/** At most one letter of three may be wrong for a word to have been meant. */
const LETTERS_PER_SLIP = 3
const PAGE = 1000

/** The one identity whose SPIFFE ID ends in this name, as people say it; a name that none has is answered with those that are like it. */
export async function identityNamed(connection: Connection, name: string): Promise<IdentityReply> {
  const found: IdentityReply[] = []
  const names = new Set<string>()
  for (let cursor: string | null | undefined; cursor !== null;) {
    const page: { readonly identities: readonly IdentityReply[]; readonly next: string | null } = await call(connection, listIdentities, { query: { limit: PAGE, cursor } })
    for (const one of page.identities) {
      const short = shortNameOf(one.spiffe_id as SpiffeId)
      names.add(short)
      if (short === name) found.push(one)
    }
    cursor = page.next
  }
  if (found.length > 1) throw usage(`\`${name}\` could be ${found.map((one) => one.spiffe_id).join(' or ')}`, 'give the whole SPIFFE ID')
  return found[0] ?? fail(name, names)
}

function fail(name: string, names: Iterable<string>): never {
  const near = nearestOf(name, names)
  throw new CommandFailure(EXIT.not_found, `there is no identity \`${name}\``, { hints: [near === undefined ? '`writ identity list` names them' : `did you mean \`${near}\`?`] })
}

/** The word that was probably meant. */
export function nearestOf(word: string, words: Iterable<string>): string | undefined {
  const most = Math.max(1, Math.floor(word.length / LETTERS_PER_SLIP))
  const near = [...words].map((one) => ({ one, slips: slipsBetween(word, one) })).filter(({ slips }) => slips <= most)
  return near.toSorted((a, b) => a.slips - b.slips || (a.one < b.one ? -1 : 1))[0]?.one
}

/** Levenshtein's distance, a swap of two neighbours being one slip. */
function slipsBetween(a: string, b: string): number {
  let [older, old] = [[] as readonly number[], Array.from({ length: b.length + 1 }, (_, j) => j) as readonly number[]]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1]
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? older[j - 2]! + 1 : Number.POSITIVE_INFINITY
      row.push(Math.min(old[j]! + 1, row[j - 1]! + 1, old[j - 1]! + (same ? 0 : 1), swapped))
    }
    ;[older, old] = [old, row]
  }
  return old[b.length]!
}
