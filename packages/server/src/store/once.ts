import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { sql, type Kysely } from 'kysely'
import { failpoint } from '../platform/failpoint.ts'
import type { Change, TxOf } from './change.ts'
import type { Done, KeyReused, Once } from './store.ts'

/** Table `idempotency`, in the migrations: primary key (caller, key). */
type Stored = { readonly request_hash: string; readonly change: string; readonly result: string }

/**
 * Runs the change, or answers what it answered before. The key is taken first: on PostgreSQL a second request of the same key waits
 * at the insert until the first has committed, and then sees its answer.
 */
export async function runOnce<DB, Context, Input, Value, Refusal>(
  tx: TxOf<DB, Context>, change: Change<TxOf<DB, Context>, Input, Value, Refusal>, input: Input, once: Once,
): Promise<Outcome<Done<Value>, Refusal | KeyReused>> {
  const { key } = once
  if (key === null) {
    const outcome = await change.run(tx, input)
    return outcome.ok ? ok({ value: outcome.value, repeated: false }) : outcome
  }
  return runWithKey(tx, change, input, { ...once, key })
}

type Keyed = Once & { readonly key: string }

async function runWithKey<DB, Context, Input, Value, Refusal>(
  tx: TxOf<DB, Context>, change: Change<TxOf<DB, Context>, Input, Value, Refusal>, input: Input, once: Keyed,
): Promise<Outcome<Done<Value>, Refusal | KeyReused>> {
  if (!await takeKey(tx.db, change.name, once)) {
    const stored = await readKey(tx.db, once)
    if (stored.request_hash !== once.requestHash || stored.change !== change.name) return refuse({ kind: 'key_reused' })
    return ok({ value: JSON.parse(stored.result) as Value, repeated: true })
  }
  const outcome = await change.run(tx, input)
  if (!outcome.ok) return outcome
  const result = JSON.stringify(outcome.value ?? null)
  await storeResult(tx.db, once, result)
  failpoint('once.kept.before_commit')
  // Read back from its text, so that the first answer and its repeat are the same.
  return ok({ value: JSON.parse(result) as Value, repeated: false })
}

async function takeKey<DB>(db: Kysely<DB>, change: string, once: Keyed): Promise<boolean> {
  const taken = await sql`
    insert into idempotency (caller, key, request_hash, change, result, created_at)
         values (${once.caller}, ${once.key}, ${once.requestHash}, ${change}, '', ${once.now})
    on conflict (caller, key) do nothing
      returning key`.execute(db)
  return taken.rows.length === 1
}

async function readKey<DB>(db: Kysely<DB>, once: Keyed): Promise<Stored> {
  const found = await sql<Stored>`
    select request_hash, change, result
      from idempotency
     where caller = ${once.caller}
       and key = ${once.key}`.execute(db)
  const [stored] = found.rows
  // Removed by the sweeper between our two statements: as old as that, its repeat is no longer promised.
  if (!stored) throw new Error('the idempotency key went away while it was read')
  return stored
}

async function storeResult<DB>(db: Kysely<DB>, once: Keyed, result: string): Promise<void> {
  await sql`
    update idempotency
       set result = ${result}
     where caller = ${once.caller}
       and key = ${once.key}`.execute(db)
}
