import { ok, refuse } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { append } from './append.ts'
import { change, type Tx } from './tx.ts'
import { dropClaims } from '../store/leases.ts'
import { findInstallation, insertInstallation, setKeyCheck } from '../store/installation.ts'

/** `seen`: the key check that this server's keys were held against; null when there was none. Left out where nobody else can be starting. */
type InstallInput = { readonly id: string; readonly keyCheck: string; readonly seen?: string | null; readonly version: string; readonly now: EpochMs }

/**
 * The first start gives the store its id and binds it to its master key; every start is an event. Of several servers that start together
 * on an empty store one is the first; what the others had looked at is no longer so, and they look again.
 */
export const install = change('server.start', async (tx: Tx, input: InstallInput) => {
  const installation = await findInstallation(tx.db)
  const isOther = input.seen !== undefined && input.seen !== (installation?.keyCheck ?? null)
  if (isOther) return refuse({ kind: 'looked_too_early' } as const)
  if (installation === undefined) {
    if (!(await insertInstallation(tx.db, { id: input.id, keyCheck: input.keyCheck }, input.now))) return refuse({ kind: 'looked_too_early' } as const)
  } else if (installation.keyCheck !== input.keyCheck) await setKeyCheck(tx.db, input.keyCheck)
  // SQLite has one server: what the one before it had taken in hand, it no longer has.
  if (tx.dialect.name === 'sqlite') await dropClaims(tx.db, input.now)
  await append(tx, input.now, { type: 'server.started', actor: { kind: 'writ', id: 'writ' }, facts: { version: input.version } })
  return ok(installation?.id ?? input.id)
})
