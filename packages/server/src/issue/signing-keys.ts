import type { EventActor } from '@writ/domain/event'
import { ok, refuse } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { newTokenKey, PUBLISHED_BEFORE_USE_MS, type KeptTokenKey, type NewTokenKey } from '../keys/token-keys.ts'
import type { Sealer } from '../keys/seal.ts'
import { append } from '../record/append.ts'
import { change, type Store, type Tx } from '../record/tx.ts'
import { activateKey, insertSigningKey, listSigningKeys, retireKey, revokeSigningKeys, type SigningKey, type StoredSigningKey } from '../store/signing-keys.ts'

const WRIT: EventActor = { kind: 'writ', id: 'writ' }

/** How long a key signs before the next takes its place. */
export const SIGNS_FOR_MS = 30 * 86_400_000

type MadeKey = { readonly key: NewTokenKey; readonly by: EventActor; readonly now: EpochMs }

function draftOf({ key, now }: MadeKey, state: 'next' | 'active'): StoredSigningKey {
  return { ...key, state, publishedAt: now, activatedAt: state === 'active' ? now : null, retiredAt: null, revokedAt: null }
}

async function recordKey(tx: Tx, { key, by, now }: MadeKey, state: 'next' | 'active'): Promise<void> {
  await append(tx, now, { type: 'signing_key.published', actor: by, facts: { kid: key.kid, alg: 'ES256' } })
  if (state === 'active') await append(tx, now, { type: 'signing_key.activated', actor: by, facts: { kid: key.kid } })
}

/**
 * The first key signs at once: nobody can have fetched a key set without it. So does the first after a restore, before which all are
 * revoked. Of several servers that start together, one makes it.
 */
export const makeFirstKey = change('signing_key.first', async (tx: Tx, input: MadeKey) => {
  if ((await listSigningKeys(tx.db)).some(({ state }) => state === 'active')) return ok(false)
  if (!await insertSigningKey(tx.db, draftOf(input, 'active'))) return ok(false)
  await recordKey(tx, input, 'active')
  return ok(true)
})

/** Shows a key to everybody before it signs. Answers the one that is shown already, where there is one. */
export const publishKey = change('signing_key.publish', async (tx: Tx, input: MadeKey) => {
  if (await insertSigningKey(tx.db, draftOf(input, 'next'))) await recordKey(tx, input, 'next')
  return ok(await shownKeys(tx))
})

type TurnInput = { readonly from: string; readonly to: string; readonly now: EpochMs }

/** The next key takes the place of the active one. Several servers try at once; one of them does it. */
export const turnKeys = change('signing_key.turn', async (tx: Tx, { from, to, now }: TurnInput) => {
  if (!await retireKey(tx.db, from, now) || !await activateKey(tx.db, to, now)) return refuse({ kind: 'turned_already' } as const)
  await append(tx, now, { type: 'signing_key.retired', actor: WRIT, facts: { kid: from } })
  await append(tx, now, { type: 'signing_key.activated', actor: WRIT, facts: { kid: to } })
  return ok(null)
})

/** The keys may have leaked: nothing that any of them signed is good from the commit on, and a new one signs at once. */
export const replaceKeys = change('signing_key.replace', async (tx: Tx, input: MadeKey & { readonly reason: string }) => {
  const revoked = await revokeSigningKeys(tx.db, input.now)
  if (!await insertSigningKey(tx.db, draftOf(input, 'active'))) return refuse({ kind: 'replaced_meanwhile' } as const)
  for (const kid of revoked) await append(tx, input.now, { type: 'signing_key.revoked', actor: input.by, facts: { kid }, said: { reason: input.reason } })
  await recordKey(tx, input, 'active')
  return ok(await shownKeys(tx))
})

async function shownKeys(tx: Tx): Promise<readonly SigningKey[]> {
  return (await listSigningKeys(tx.db)).map(({ sealedPrivate: _sealed, ...shown }) => shown)
}

export type RotateNeeds = { readonly store: Pick<Store, 'change'>; readonly secrets: Pick<Sealer, 'seal'> }

/** What the keys' ages ask for: the next one to be shown, or to take over. Answers whether anything was done. */
export async function rotateWhenDue({ store, secrets }: RotateNeeds, keys: readonly KeptTokenKey[], now: EpochMs): Promise<boolean> {
  const active = keys.find((key) => key.state === 'active')
  const next = keys.find((key) => key.state === 'next')
  if (active === undefined) return (await store.change(makeFirstKey, { key: newTokenKey(secrets), by: WRIT, now })).ok
  if (next !== undefined) {
    if (now < next.publishedAt + PUBLISHED_BEFORE_USE_MS) return false
    return (await store.change(turnKeys, { from: active.kid, to: next.kid, now })).ok
  }
  if (now < active.activatedAt! + SIGNS_FOR_MS) return false
  return (await store.change(publishKey, { key: newTokenKey(secrets), by: WRIT, now })).ok
}

