import type { EventId, PasskeyId, PersonId } from '@writ/domain/id'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { Kysely } from 'kysely'
import type { TxOf } from './change.ts'
import type { PasskeyRow } from './people-tables.ts'
import { forUpdate } from './row-locks.ts'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

export type Passkey = {
  readonly id: PasskeyId
  readonly person: PersonId
  /** As the authenticator calls it, in base64url. */
  readonly credentialId: string
  /** As a COSE key (RFC 9052 §7). */
  readonly publicKey: Uint8Array
  /** How often it has signed, as it says; zero for ever of one that does not count. */
  readonly counter: number
  readonly name: string
  /** The event `passkey.enrolled`: its leaf holds the credential's id and the SHA-256 of the public key. */
  readonly enrolledEvent: EventId
  readonly enrolledAt: EpochMs
  readonly usedAt: EpochMs | null
  readonly removedAt: EpochMs | null
}

const instant = (at: number | null): EpochMs | null => (at === null ? null : epochMs(at))

const parsePasskeyRow = (row: PasskeyRow): Passkey => ({
  id: row.id as PasskeyId, person: row.person_id as PersonId, credentialId: row.credential_id, publicKey: new Uint8Array(row.public_key), counter: row.counter, name: row.name,
  enrolledEvent: row.enrolled_event as EventId, enrolledAt: epochMs(row.enrolled_at), usedAt: instant(row.used_at), removedAt: instant(row.removed_at),
})

/** False when the credential is enrolled already, by whomever. */
export async function insertPasskey(db: Db, key: Omit<Passkey, 'usedAt' | 'removedAt'>): Promise<boolean> {
  const inserted = await db.insertInto('passkey').values({
    id: key.id, person_id: key.person, credential_id: key.credentialId, public_key: key.publicKey, counter: key.counter, name: key.name,
    enrolled_event: key.enrolledEvent, enrolled_at: key.enrolledAt, used_at: null, removed_at: null,
  }).onConflict((conflict) => conflict.doNothing()).executeTakeFirst()
  return inserted.numInsertedOrUpdatedRows === 1n
}

/** Of those that are not removed. */
export async function findPasskeyByCredential(db: Db, credentialId: string): Promise<Passkey | undefined> {
  const row = await db.selectFrom('passkey').selectAll().where('credential_id', '=', credentialId).where('removed_at', 'is', null).executeTakeFirst()
  return row && parsePasskeyRow(row)
}

/** Also one that is removed. */
export async function findPasskey(db: Db, id: string): Promise<Passkey | undefined> {
  const row = await db.selectFrom('passkey').selectAll().where('id', '=', id).executeTakeFirst()
  return row && parsePasskeyRow(row)
}

export async function lockPasskey<Context>(tx: TxOf<Tables, Context>, id: string): Promise<Passkey | undefined> {
  const row = await forUpdate(tx, tx.db.selectFrom('passkey').selectAll().where('id', '=', id)).executeTakeFirst()
  return row && parsePasskeyRow(row)
}

/** Those that are not removed, by the order of their enrolment. */
export async function listPasskeys(db: Db, person: PersonId): Promise<readonly Passkey[]> {
  return (await db.selectFrom('passkey').selectAll().where('person_id', '=', person).where('removed_at', 'is', null).orderBy('id').execute()).map(parsePasskeyRow)
}

/** How many each of them has that are not removed. */
export async function countPasskeys(db: Db, people: readonly PersonId[]): Promise<ReadonlyMap<PersonId, number>> {
  if (people.length === 0) return new Map()
  const rows = await db.selectFrom('passkey').select(['person_id', (eb) => eb.fn.countAll<number>().as('count')]).where('person_id', 'in', people).where('removed_at', 'is', null)
    .groupBy('person_id').execute()
  return new Map(rows.map((row) => [row.person_id as PersonId, Number(row.count)]))
}

/** It has signed. */
export async function markPasskeyUsed(db: Db, id: PasskeyId, { counter, now }: { readonly counter: number; readonly now: EpochMs }): Promise<void> {
  await db.updateTable('passkey').set({ counter, used_at: now }).where('id', '=', id).execute()
}

export async function markPasskeyRemoved(db: Db, id: PasskeyId, now: EpochMs): Promise<void> {
  await db.updateTable('passkey').set({ removed_at: now }).where('id', '=', id).where('removed_at', 'is', null).execute()
}
