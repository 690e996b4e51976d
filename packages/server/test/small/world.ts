import { ok, refuse } from '@writ/domain/outcome'
import { sql, type Generated } from 'kysely'
import { change, type TxOf } from '../../src/store/change.ts'
import type { Migrations } from '../../src/store/migrate.ts'
import { claimDue, forUpdate } from '../../src/store/row-locks.ts'
import type { World } from '../both-stores.ts'

/** A tiny program on the store's engine: jars of marbles. */
export type SmallTables = {
  jar: { id: string; marbles: number; state: string; sealed_at: number | null; label: Uint8Array | null; due_at: number }
  mark: { seq: Generated<number>; text: string }
  idempotency: { caller: string; key: string; request_hash: string; change: string; result: string; created_at: number }
}
export type SmallContext = { readonly stamp: string }
export type SmallTx = TxOf<SmallTables, SmallContext>

export const makeSmallContext = (given: unknown): SmallContext => ({ stamp: `stamped ${String(given)}` })

export const smallMigrations: Migrations = {
  release: 1,
  list: [
    {
      release: 1,
      name: 'jars',
      up: (d) => [
        `create table jar (
           id text primary key,
           marbles ${d.types.bigint} not null constraint jar_is_not_in_debt check (marbles >= 0),
           state text not null,
           sealed_at ${d.types.bigint},
           label ${d.types.bytes},
           due_at ${d.types.bigint} not null default 0
         )${d.strict}`,
        ...d.comment('jar', 'jars with marbles, it\'s a test'),
        ...d.freeze('jar', ['label'], 'jar_label_is_frozen'),
        ...d.setOnce('jar', ['sealed_at'], 'jar_is_sealed_once'),
        ...d.onlyTransitions('jar', 'state', [['open', 'shut'], ['shut', 'broken']], 'jar_state_moves_forward'),
        ...d.neverDelete('jar', 'jar_is_kept'),
      ],
    },
    {
      release: 1,
      name: 'marks',
      up: (d) => [
        `create table mark (seq ${d.types.serial}, text text not null)${d.strict}`,
        ...d.appendOnly('mark', 'mark_is_append_only'),
        `create table idempotency (
           caller text not null, key text not null, request_hash text not null, change text not null, result text not null,
           created_at ${d.types.bigint} not null, primary key (caller, key)
         )${d.strict}`,
      ],
    },
  ],
}

const empty = { state: 'open', sealed_at: null, label: null, due_at: 0 }

export const addJar = change('add_jar', async (tx: SmallTx, input: { id: string; marbles: number; label?: Uint8Array; dueAt?: number }) => {
  const jar = { ...empty, id: input.id, marbles: input.marbles, label: input.label ?? null, due_at: input.dueAt ?? 0 }
  await tx.db.insertInto('jar').values(jar).execute()
  return ok({ id: input.id, stamp: tx.context.stamp })
})

/** Writes first and refuses afterwards, so that a test sees the write undone. */
export const takeMarbles = change('take_marbles', async (tx: SmallTx, input: { id: string; count: number }) => {
  const jar = await forUpdate(tx, tx.db.selectFrom('jar').selectAll().where('id', '=', input.id)).executeTakeFirst()
  await tx.db.insertInto('mark').values({ text: `asked ${input.id}` }).execute()
  if (!jar) return refuse({ kind: 'no_such_jar' } as const)
  if (jar.marbles < input.count) return refuse({ kind: 'too_few', left: jar.marbles } as const)
  await tx.db.updateTable('jar').set({ marbles: jar.marbles - input.count }).where('id', '=', input.id).execute()
  return ok({ left: jar.marbles - input.count })
})

/** Moves marbles in the order given: two of them crosswise are a deadlock. */
export const moveMarbles = change('move_marbles', async (tx: SmallTx, input: { from: string; to: string; count: number; pause?: number }) => {
  await tx.db.updateTable('jar').set((jar) => ({ marbles: jar('marbles', '-', input.count) })).where('id', '=', input.from).execute()
  if (input.pause !== undefined) await sql`select pg_sleep(${input.pause})`.execute(tx.db)
  await tx.db.updateTable('jar').set((jar) => ({ marbles: jar('marbles', '+', input.count) })).where('id', '=', input.to).execute()
  return ok(null)
})

export const setJar = change('set_jar', async (tx: SmallTx, input: { id: string; set: Partial<SmallTables['jar']> }) => {
  const done = await tx.db.updateTable('jar').set(input.set).where('id', '=', input.id).executeTakeFirst()
  return ok(Number(done.numUpdatedRows))
})

export const runText = change('run_text', async (tx: SmallTx, input: { text: string }) => {
  const { rows } = await sql.raw(input.text).execute(tx.db)
  return ok(rows)
})

export const claimJars = change('claim_jars', async (tx: SmallTx, input: { now: number; until: number; limit: number }) => {
  const jars = await claimDue(tx, {
    table: 'jar', key: 'id', dueAt: 'due_at', claimedUntil: 'due_at', now: input.now as never, until: input.until as never, limit: input.limit,
    where: sql`state = 'open'`,
  })
  return ok(jars.map((jar) => jar.id))
})

export const throwAfterWriting = change('throw_after_writing', async (tx: SmallTx, input: { id: string }) => {
  await tx.db.insertInto('mark').values({ text: input.id }).execute()
  throw new Error('no reason')
})

/** A bug: the statement is not awaited, and would land in the next change. */
export const forgetToAwait = change('forget_to_await', async (tx: SmallTx, input: { id: string }) => {
  setImmediate(() => { tx.db.insertInto('mark').values({ text: input.id }).execute().catch(() => {}) })
  return ok(null)
})

export const addOnce = change('add_once', async (tx: SmallTx, input: { id: string }) => {
  await tx.db.insertInto('mark').values({ text: input.id }).execute()
  const inserted = await tx.db.insertInto('jar').values({ ...empty, id: input.id, marbles: 0 }).onConflict((conflict) => conflict.doNothing()).executeTakeFirst()
  return inserted.numInsertedOrUpdatedRows === 1n ? ok(null) : refuse({ kind: 'exists' } as const)
})

/** Ends SQLite's writing thread, as a crash in native code would. */
export const endThread = change('end_thread', async (_tx: SmallTx, _input: null) => {
  process.exit(3)
  return ok(null)
})

/** A bug: goes on after a failed statement. */
export const swallowError = change('swallow_error', async (tx: SmallTx, input: { id: string }) => {
  await tx.db.insertInto('mark').values({ text: input.id }).execute()
  await sql`select no_such_column from jar`.execute(tx.db).catch(() => undefined)
  return ok(null)
})

export const smallChanges = [
  addJar, takeMarbles, moveMarbles, setJar, runText, claimJars, throwAfterWriting, forgetToAwait, swallowError, addOnce, endThread,
]

export const smallWorld: World<SmallContext> = {
  migrations: smallMigrations, writer: new URL('writer.ts', import.meta.url), given: 'once', makeContext: makeSmallContext,
}
