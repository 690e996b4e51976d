import type { PersonId, SignInId } from '@writ/domain/id'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { Kysely } from 'kysely'
import type { TxOf } from './change.ts'
import { parsePersonRow, type Person } from './people.ts'
import type { SignInRow } from './people-tables.ts'
import { prepared } from './prepared.ts'
import { forUpdate } from './row-locks.ts'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

/** `browser`: its secret is in a cookie, and counts nowhere else; `cli`: the other way round. */
export type SignInKind = 'browser' | 'cli'
/** How the person proved to be there; `device`: they said so in a browser where they had signed in. */
export type SignInHow = 'oidc' | 'passkey' | 'device'

export type SignIn = {
  readonly id: SignInId
  readonly person: PersonId
  readonly kind: SignInKind
  readonly how: SignInHow
  readonly madeAt: EpochMs
  /** When it ends unless it is used. */
  readonly idleUntil: EpochMs
  readonly endsAt: EpochMs
  readonly revokedAt: EpochMs | null
  /** When a passkey last confirmed that the person is there. */
  readonly steppedUpAt: EpochMs | null
}

const instant = (at: number | null): EpochMs | null => (at === null ? null : epochMs(at))

const parseSignInRow = (row: Omit<SignInRow, 'secret_hash'>): SignIn => ({
  id: row.id as SignInId, person: row.person_id as PersonId, kind: row.kind as SignInKind, how: row.how as SignInHow, madeAt: epochMs(row.made_at),
  idleUntil: epochMs(row.idle_until), endsAt: epochMs(row.ends_at), revokedAt: instant(row.revoked_at), steppedUpAt: instant(row.stepped_up_at),
})

export const isLive = ({ idleUntil, endsAt, revokedAt }: SignIn, now: EpochMs): boolean => revokedAt === null && now < idleUntil && now < endsAt

export async function insertSignIn(db: Db, signIn: SignIn, secretHash: Uint8Array): Promise<void> {
  await db.insertInto('sign_in').values({
    id: signIn.id, person_id: signIn.person, secret_hash: secretHash, kind: signIn.kind, how: signIn.how, made_at: signIn.madeAt, idle_until: signIn.idleUntil, ends_at: signIn.endsAt,
    revoked_at: signIn.revokedAt, stepped_up_at: signIn.steppedUpAt,
  }).execute()
}

/** What stands behind a secret, with whom, whether it is live or not. */
export async function findSignInBySecret(db: Db, secretHash: Uint8Array): Promise<{ readonly signIn: SignIn; readonly person: Person } | undefined> {
  const [row] = (await signInWith(db, { secretHash })).rows
  return row && {
    signIn: parseSignInRow({ ...row, id: row.sign_in_id }),
    person: parsePersonRow({ ...row, id: row.person_id }),
  }
}

const signInWith = prepared((db, of: { readonly secretHash: Uint8Array }) => db.selectFrom('sign_in').innerJoin('person', 'person.id', 'sign_in.person_id')
  .select(['sign_in.id as sign_in_id', 'person_id', 'kind', 'how', 'made_at', 'idle_until', 'ends_at', 'revoked_at', 'stepped_up_at',
    'issuer', 'subject', 'name', 'email', 'group_names', 'registered_at', 'signed_in_at', 'blocked_at'])
  .where('secret_hash', '=', of.secretHash))

export async function findSignIn(db: Db, id: string): Promise<SignIn | undefined> {
  const row = await db.selectFrom('sign_in').selectAll().where('id', '=', id).executeTakeFirst()
  return row && parseSignInRow(row)
}

export async function lockSignIn<Context>(tx: TxOf<Tables, Context>, id: string): Promise<SignIn | undefined> {
  const row = await forUpdate(tx, tx.db.selectFrom('sign_in').selectAll().where('id', '=', id)).executeTakeFirst()
  return row && parseSignInRow(row)
}

/** Those that are not over, locked until the end of the change. */
export async function lockLiveSignIns<Context>(tx: TxOf<Tables, Context>, person: PersonId, now: EpochMs): Promise<readonly SignIn[]> {
  const rows = await forUpdate(tx, tx.db.selectFrom('sign_in').selectAll().where('person_id', '=', person).where('revoked_at', 'is', null).where('ends_at', '>', now).orderBy('id')).execute()
  return rows.map(parseSignInRow).filter((one) => isLive(one, now))
}

/** Newest first. */
export async function listSignIns(db: Db, person: PersonId, most: number): Promise<readonly SignIn[]> {
  return (await db.selectFrom('sign_in').selectAll().where('person_id', '=', person).orderBy('id', 'desc').limit(most).execute()).map(parseSignInRow)
}

export async function markSignInRevoked(db: Db, id: SignInId, now: EpochMs): Promise<void> {
  await db.updateTable('sign_in').set({ revoked_at: now }).where('id', '=', id).where('revoked_at', 'is', null).execute()
}

/** It was used: it idles from here on. */
export async function keepSignIn(db: Db, id: SignInId, idleUntil: EpochMs): Promise<void> {
  await db.updateTable('sign_in').set({ idle_until: idleUntil }).where('id', '=', id).where('revoked_at', 'is', null).where('idle_until', '<', idleUntil).execute()
}

export async function markSteppedUp(db: Db, id: SignInId, now: EpochMs): Promise<void> {
  await db.updateTable('sign_in').set({ stepped_up_at: now }).where('id', '=', id).where((eb) => eb.or([eb('stepped_up_at', 'is', null), eb('stepped_up_at', '<', now)])).execute()
}
