import type { Outcome } from '@writ/domain/outcome'
import { failpoint } from '../platform/failpoint.ts'
import { bind, type Execute } from './bound.ts'
import type { TxOf } from './change.ts'
import { postgresDialect } from './dialect-postgres.ts'
import { StatementFault, StorageUnavailable, type Left } from './faults.ts'
import type { AskAll } from './postgres-connection.ts'
import type { Answer, Statement } from './postgres-flight.ts'
import { planSwitch } from './postgres-plans.ts'

const plain = (text: string): Statement => ({ text, parameters: [] })
export const [BEGIN, COMMIT, ROLLBACK] = [plain('begin isolation level read committed'), plain('commit'), plain('rollback')]

/** A change to be run, by its name. */
export type Run<DB, Context, Value, Refusal> = { readonly name: string; readonly run: (tx: TxOf<DB, Context>) => Promise<Outcome<Value, Refusal>> }

/** Runs a change in one transaction on one connection. */
export async function inTransaction<DB, Context, Value, Refusal>(
  ask: AskAll, context: Context, { name, run }: Run<DB, Context, Value, Refusal>,
): Promise<Outcome<Value, Refusal>> {
  const line = inLine(ask)
  const bound = bind<DB>('postgres', line.execute)
  try {
    const outcome = await run({ db: bound.db, dialect: postgresDialect, context })
    bound.end()
    await line.empty()
    if (outcome.ok) await commit(line, name)
    else await line.rollback()
    return outcome
  } catch (error) {
    bound.end()
    await line.empty()
    // A connection that broke, or may have, is not used again; the server rolls back by itself.
    if (!(error instanceof StorageUnavailable)) await line.rollback()
    throw error
  }
}

async function commit(line: Line, name: string): Promise<void> {
  failpoint('store.before_commit', name)
  const { command } = await line.commit()
  // PostgreSQL answers so when a statement had failed and the change went on regardless.
  if (command !== 'COMMIT') throw new StatementFault('a statement failed and the change went on: it was rolled back', command)
  failpoint('store.after_commit', name)
}

type Line = {
  readonly execute: Execute
  /** Resolves when every statement that was sent has its answer. */
  empty(): Promise<void>
  commit(): Promise<Answer>
  rollback(): Promise<void>
}

/** Without `answer` nobody waits for it. */
type Asked = { readonly statement: Statement; readonly answer?: PromiseWithResolvers<Answer> }

/**
 * One transaction in as few round trips as its answers allow: it begins together with its first statement; what a change asks at once goes
 * together; and what only writes travels with the next that is asked, or with the commit. Its error comes with that one: nothing is lost by
 * it, for PostgreSQL does nothing more in a transaction in which a statement has failed.
 */
function inLine(ask: AskAll): Line {
  let waiting: readonly Asked[] = [{ statement: BEGIN }]
  let flying: Promise<void> | undefined
  let begun = false
  const switched = planSwitch()

  const send = async (left?: Left): Promise<void> => {
    const going = waiting.flatMap((one): readonly Asked[] => {
      const before = switched(one.statement)
      return before === undefined ? [one] : [{ statement: before }, one]
    })
    waiting = []
    begun = true
    try {
      const answers = await ask(going.map((one) => one.statement), left)
      going.forEach((one, i) => { one.answer?.resolve(answers[i]!) })
    } catch (cause) {
      for (const one of going) one.answer?.reject(cause)
    }
  }
  const sendAll = async (): Promise<void> => {
    // Whatever else the change asks before it waits comes along.
    await new Promise<void>((resolve) => { process.nextTick(resolve) })
    while (waiting.some((one) => one.answer !== undefined)) await send()
    flying = undefined
  }
  const wait = (statement: Statement): Promise<Answer> => {
    const answer = Promise.withResolvers<Answer>()
    waiting = [...waiting, { statement, answer }]
    return answer.promise
  }
  return {
    execute: async (text, parameters, rows, isKept = false) => {
      const statement = { text, parameters, isKept }
      if (rows === undefined) {
        const answer = wait(statement)
        flying ??= sendAll()
        return answer
      }
      waiting = [...waiting, { statement }]
      return { rows: [], numAffectedRows: BigInt(rows) }
    },
    empty: async () => { await flying },
    commit: async () => {
      const committed = wait(COMMIT)
      await send('unknown')
      return committed
    },
    rollback: async () => { if (begun) await ask([ROLLBACK]) },
  }
}
