import type { Authority } from '@writ/domain/authority'
import type { IdentityId, IncidentId, LeaseId, TaskId } from '@writ/domain/id'
import type { Identity } from '@writ/domain/identity'
import type { IdentityClass } from '@writ/domain/profile'
import type { SpiffeId } from '@writ/domain/spiffe-id'
import type { Task } from '@writ/domain/task'
import { epochMs, type EpochMs } from '@writ/domain/time'
import { sql, type Kysely } from 'kysely'
import type { TxOf } from './change.ts'
import { fromJsonText, toJsonText } from './json.ts'
import { BY_KEY, insertRows, prepared } from './prepared.ts'
import { forUpdate, forUpdateOfFree } from './row-locks.ts'
import type { AccessTokenRow, Tables } from './tables.ts'

type Db = Kysely<Tables>

/** live: good until it expires. stopped: refused from the commit on. ended: its end is in the record. */
export type TokenState = 'live' | 'stopped' | 'ended'
export type TokenOutcome = 'proved' | 'not_evaluated'

/** An access token as a lease: all that its claims are made of, and never the token itself. */
export type Token = {
  /** Its `jti`. */
  readonly id: LeaseId
  readonly task: TaskId
  readonly identity: IdentityId
  /** The key that was active when it was issued. */
  readonly kid: string
  readonly audience: string
  /** RFC 7638 thumbprint of the key that its holder has to prove; null where whoever bears it holds it. */
  readonly jkt: string | null
  readonly authority: Authority
  /** RFC 8693 §4.1: for whom, and through whom, the one that acts first; nobody where the subject acts itself. */
  readonly subject: string
  readonly subjectIssuer: string | null
  readonly actors: readonly SpiffeId[]
  readonly issuedAt: EpochMs
  /** A whole second, as its `exp` says it. */
  readonly expiresAt: EpochMs
}

export type StoredToken = Token & {
  readonly state: TokenState
  readonly outcome: TokenOutcome | null
  readonly stopAt: EpochMs | null
  readonly dueAt: EpochMs | null
  /** The incident that was opened because it would still have been let in when it was over. */
  readonly incident: IncidentId | null
  readonly endLeaf: Uint8Array | null
}

const instant = (value: number | null): EpochMs | null => (value === null ? null : epochMs(value))

export function parseTokenRow(row: AccessTokenRow): StoredToken {
  return {
    id: row.id as LeaseId,
    task: row.task_id as TaskId,
    identity: row.identity_id as IdentityId,
    kid: row.kid,
    audience: row.audience,
    jkt: row.jkt,
    authority: fromJsonText<Authority>(row.authority),
    subject: row.subject,
    subjectIssuer: row.subject_issuer,
    actors: fromJsonText<readonly SpiffeId[]>(row.actors),
    issuedAt: epochMs(row.issued_at),
    expiresAt: epochMs(row.expires_at),
    state: row.state as TokenState,
    outcome: row.outcome as TokenOutcome | null,
    stopAt: instant(row.stop_at),
    dueAt: instant(row.due_at),
    incident: row.incident_id as IncidentId | null,
    endLeaf: row.end_leaf,
  }
}

export async function insertToken(db: Db, token: Token): Promise<void> {
  await insertRows(db, 'access_token', [{
    id: token.id,
    task_id: token.task,
    identity_id: token.identity,
    kid: token.kid,
    audience: token.audience,
    jkt: token.jkt,
    authority: toJsonText(token.authority),
    subject: token.subject,
    subject_issuer: token.subjectIssuer,
    actors: toJsonText(token.actors),
    issued_at: token.issuedAt,
    expires_at: token.expiresAt,
    state: 'live',
    outcome: null,
    stop_at: null,
    due_at: token.expiresAt,
    incident_id: null,
    end_leaf: null,
  }])
}

export async function findToken(db: Db, id: string): Promise<StoredToken | undefined> {
  const [row] = (await tokenRow(db, { id })).rows
  return row && parseTokenRow(row)
}

const tokenRow = prepared((db, of: { readonly id: string }) => db.selectFrom('access_token').selectAll().where('id', '=', of.id), BY_KEY)

/** What a token may; nothing, once it has been stopped. */
export async function liveAuthority(db: Db, id: LeaseId): Promise<Authority> {
  const token = await findToken(db, id)
  return token?.state === 'live' ? token.authority : []
}

/** The token, locked until the end of the change. Lock its task before it, never after. */
export async function lockToken<Context>(tx: TxOf<Tables, Context>, id: string): Promise<StoredToken | undefined> {
  const row = await forUpdate(tx, tx.db.selectFrom('access_token').selectAll().where('id', '=', id)).executeTakeFirst()
  return row && parseTokenRow(row)
}

/** Why a token is refused; `signing_key`: the key that signed it is unknown or revoked. */
export type TokenRefusal = 'unknown' | 'signing_key' | 'stopped' | 'task_over' | 'identity_not_active' | 'expired'

export type TokenHolder = { readonly id: IdentityId; readonly spiffeId: SpiffeId; readonly class: IdentityClass }

export type TokenStanding =
  | { readonly kind: 'live'; readonly token: StoredToken; readonly identity: TokenHolder }
  | { readonly kind: 'not_live'; readonly why: TokenRefusal; readonly token: StoredToken | null }

/** What is asked: `kid` is the key that the token names; null leaves it out of the question. */
export type AskedStanding = { readonly jti: string; readonly kid: string | null }

/**
 * Whether the token is good now: what every door asks, on every server, at every use. One read of everything that can end it, so that
 * it is refused from the commit on that ended it.
 */
export async function findTokenStanding(db: Db, of: AskedStanding, now: EpochMs): Promise<TokenStanding> {
  return standingIn((await standingRow(db, { jti: of.jti })).rows[0], of.kid, now)
}

/** The same of several at once, in the order in which they were asked for. */
export async function findTokenStandings(db: Db, asked: readonly AskedStanding[], now: EpochMs): Promise<readonly TokenStanding[]> {
  if (asked.length === 0) return []
  const found = await standings(db).where('access_token.id', 'in', asked.map((one) => one.jti)).execute()
  const rows = new Map(found.map((row) => [row.id, row]))
  return asked.map((one) => standingIn(rows.get(one.jti), one.kid, now))
}

const standings = (db: Db) => db.selectFrom('access_token')
  .innerJoin('task', 'task.id', 'access_token.task_id')
  .innerJoin('identity', 'identity.id', 'access_token.identity_id')
  .innerJoin('signing_key', 'signing_key.id', 'access_token.kid')
  .selectAll('access_token')
  .select([
    'task.state as task_state', 'task.deadline as task_deadline', 'identity.state as identity_state', 'identity.ends_at as identity_ends_at',
    'identity.spiffe_id', 'identity.class', 'signing_key.state as key_state',
  ])

const standingRow = prepared((db, of: { readonly jti: string }) => standings(db).where('access_token.id', '=', of.jti), BY_KEY)

type StandingRow = Awaited<ReturnType<typeof standingRow>>['rows'][number]

/** The same where the change has read the rest: `kid` is left out of the question. */
export function standingOf(token: StoredToken | undefined, { task, identity }: { readonly task: Task; readonly identity: Identity }, now: EpochMs): TokenStanding {
  const around = { task_state: task.state, task_deadline: task.deadline, identity_state: identity.state, identity_ends_at: identity.endsAt, spiffe_id: identity.spiffeId, class: identity.class }
  return standingWith(token, around, now)
}

function standingIn(row: StandingRow | undefined, kid: string | null, now: EpochMs): TokenStanding {
  const isKeyGood = row === undefined || kid === null || (kid === row.kid && (row.key_state === 'active' || row.key_state === 'retired'))
  const token = row && parseTokenRow(row)
  return token !== undefined && !isKeyGood ? { kind: 'not_live', why: 'signing_key', token } : standingWith(token, row, now)
}

type Around = Pick<StandingRow, 'task_state' | 'task_deadline' | 'identity_state' | 'identity_ends_at' | 'spiffe_id' | 'class'>

function standingWith(token: StoredToken | undefined, row: Around | undefined, now: EpochMs): TokenStanding {
  if (token === undefined || row === undefined) return { kind: 'not_live', why: 'unknown', token: null }
  const why = (): TokenRefusal | undefined => {
    if (token.state !== 'live') return token.stopAt === null ? 'expired' : 'stopped'
    if (row.task_state !== 'open' || now >= row.task_deadline) return 'task_over'
    if (row.identity_state !== 'active' || now >= row.identity_ends_at) return 'identity_not_active'
    return now >= token.expiresAt ? 'expired' : undefined
  }
  const refusal = why()
  if (refusal !== undefined) return { kind: 'not_live', why: refusal, token }
  return { kind: 'live', token, identity: { id: token.identity, spiffeId: row.spiffe_id as SpiffeId, class: row.class as IdentityClass } }
}

/** From now on the tokens of these tasks are refused. */
export async function stopTokensOf(db: Db, tasks: readonly TaskId[], now: EpochMs): Promise<void> {
  await db.updateTable('access_token').set({ state: 'stopped', stop_at: now, due_at: now }).where('task_id', 'in', tasks).where('state', '=', 'live').execute()
}

/** False when it was not live. */
export async function stopToken(db: Db, id: LeaseId, now: EpochMs): Promise<boolean> {
  const stopped = await db.updateTable('access_token').set({ state: 'stopped', stop_at: now, due_at: now }).where('id', '=', id).where('state', '=', 'live').executeTakeFirst()
  return stopped.numUpdatedRows === 1n
}

/** What people are shown of a token. */
export type ShownToken = Pick<StoredToken, 'id' | 'task' | 'identity' | 'audience' | 'state' | 'outcome' | 'incident' | 'expiresAt'>

export async function listTokensOf(db: Db, tasks: readonly TaskId[]): Promise<readonly ShownToken[]> {
  if (tasks.length === 0) return []
  const rows = await db.selectFrom('access_token').select(['id', 'task_id', 'identity_id', 'audience', 'state', 'outcome', 'incident_id', 'expires_at'])
    .where('task_id', 'in', tasks).orderBy('id').execute()
  return rows.map((row) => ({
    id: row.id as LeaseId, task: row.task_id as TaskId, identity: row.identity_id as IdentityId, audience: row.audience, state: row.state as TokenState,
    outcome: row.outcome as TokenOutcome | null, incident: row.incident_id as IncidentId | null, expiresAt: epochMs(row.expires_at),
  }))
}

export async function hasDueToken(db: Db, now: EpochMs): Promise<boolean> {
  return (await db.selectFrom('access_token').select('id').where('due_at', '<=', now).limit(1).executeTakeFirst()) !== undefined
}

/** A token that has stopped or expired and whose end is not in the record yet, with where its task stands. */
export type DueToken = { readonly id: LeaseId; readonly task: TaskId; readonly root: TaskId; readonly state: TokenState; readonly isTaskOpen: boolean }

/** Tokens that are due, longest over first, for this change alone: others take other tokens, and nobody waits. */
export async function lockDueTokens<Context>(tx: TxOf<Tables, Context>, now: EpochMs, limit: number): Promise<readonly DueToken[]> {
  const oldest = tx.db.selectFrom('access_token').select(['id', 'task_id', 'state']).where('due_at', '<=', now).orderBy('due_at').limit(limit)
  const due = await forUpdateOfFree(tx, oldest).execute()
  if (due.length === 0) return []
  const tasks = await tx.db.selectFrom('task').select(['id', 'root_id', 'state']).where('id', 'in', [...new Set(due.map((row) => row.task_id))]).execute()
  const taskOf = new Map(tasks.map((row) => [row.id, row]))
  return due.map((row) => {
    const task = taskOf.get(row.task_id)!
    return { id: row.id as LeaseId, task: row.task_id as TaskId, root: task.root_id as TaskId, state: row.state as TokenState, isTaskOpen: task.state === 'open' }
  })
}

export type TokenEnd = { readonly id: LeaseId; readonly outcome: TokenOutcome; readonly leaf: Uint8Array }

/** A token with an incident keeps the leaf that its task's closing may have committed to. */
export async function markTokensEnded({ db, dialect }: Pick<TxOf<Tables, unknown>, 'db' | 'dialect'>, ends: readonly TokenEnd[]): Promise<void> {
  const bytes = sql.raw(dialect.types.bytes)
  const rows = ends.map(({ id, outcome, leaf }) => sql`(cast(${id} as text), cast(${outcome} as text), cast(${leaf} as ${bytes}))`)
  await sql`
      with ends (id, outcome, leaf) as (values ${sql.join(rows)})
    update access_token
       set state = 'ended', outcome = ends.outcome, due_at = null, end_leaf = coalesce(access_token.end_leaf, ends.leaf)
      from ends
     where access_token.id = ends.id`.execute(db)
}

type AcceptedToken = { readonly incident: IncidentId; readonly leaf: Uint8Array; readonly now: EpochMs }

/** It was due, and would still have been let in: from now on it is not, its end is asked for at once, and its task may close over the incident. */
export async function markTokenAccepted(db: Db, id: LeaseId, of: AcceptedToken): Promise<void> {
  await db.updateTable('access_token')
    .set((eb) => ({ state: 'stopped', stop_at: eb.fn.coalesce('stop_at', eb.val(of.now)), due_at: of.now, incident_id: of.incident, end_leaf: of.leaf }))
    .where('id', '=', id).execute()
}

/** Its end is asked for again at that instant, and not before. */
export async function putOffToken(db: Db, id: LeaseId, until: EpochMs): Promise<void> {
  await db.updateTable('access_token').set({ due_at: until }).where('id', '=', id).where('state', '<>', 'ended').execute()
}
