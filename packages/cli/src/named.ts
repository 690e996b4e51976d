import { listIdentities, type IdentityReply } from '@writ/contract/registry'
import { nearestOf } from '@writ/domain/nearest'
import { shortNameOf, type SpiffeId } from '@writ/domain/spiffe-id'
import { call, type Connection } from './client.ts'
import { CommandFailure, EXIT, usage } from './exit.ts'

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
