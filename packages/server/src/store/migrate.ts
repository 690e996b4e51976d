import type { EpochMs } from '@writ/domain/time'
import { failpoint } from '../platform/failpoint.ts'
import type { Dialect } from './dialect.ts'
import { UnusableStore } from './faults.ts'

/** One step forward of the schema. `release` counts up from 1 and is the program's too; `name` is unique and never changes. */
export type Migration = {
  readonly release: number
  readonly name: string
  readonly up: (dialect: Dialect) => readonly string[]
}

export type Ask = (text: string, parameters?: readonly unknown[]) => Promise<readonly unknown[]>

/** A database whose schema can be changed: `work` runs in one transaction, and in no other server at the same time. */
export type MigrationTarget = {
  readonly dialect: Dialect
  exclusively<T>(work: (ask: Ask) => Promise<T>): Promise<T>
}

/** What this program brings. `release` is its own, and may be later than its last migration's. */
export type Migrations = { readonly release: number; readonly list: readonly Migration[] }

/** A row of table `migration`. `applied_by` is the release of the program that ran it. */
type Applied = { readonly release: number; readonly name: string; readonly applied_by: number }

/**
 * Brings the schema up to this program, each migration in a transaction of its own together with the row that says so: killed at any
 * moment, the next start goes on from there. Returns the names of those that it applied.
 */
export async function migrate(target: MigrationTarget, migrations: Migrations, now: EpochMs): Promise<readonly string[]> {
  checkOrder(migrations)
  const applied: string[] = []
  for (;;) {
    const name = await target.exclusively((ask) => applyNext(target.dialect, ask, migrations, now))
    if (name === undefined) return applied
    failpoint('migrate.after_commit', name)
    applied.push(name)
  }
}

async function applyNext(dialect: Dialect, ask: Ask, migrations: Migrations, now: EpochMs): Promise<string | undefined> {
  const { bigint } = dialect.types
  await ask(`
    create table if not exists migration (
      release ${bigint} not null,
      name text not null primary key,
      applied_by ${bigint} not null,
      applied_at ${bigint} not null
    )${dialect.strict}`)
  const applied = await ask('select release, name, applied_by from migration') as readonly Applied[]
  checkSupported(migrations, applied)
  const next = migrations.list[applied.length]
  if (!next) return undefined
  for (const statement of [...dialect.foundation, ...next.up(dialect)]) await ask(statement)
  const places = dialect.name === 'sqlite' ? '?, ?, ?, ?' : '$1, $2, $3, $4'
  await ask(`insert into migration (release, name, applied_by, applied_at) values (${places})`, [next.release, next.name, migrations.release, now])
  failpoint('migrate.before_commit', next.name)
  return next.name
}

/** A release reads and brings forward its own schema and that of the release before it. */
function checkSupported(migrations: Migrations, applied: readonly Applied[]): void {
  const supported = `this program is of release ${migrations.release} and supports ${Math.max(1, migrations.release - 1)} to ${migrations.release}`
  const known = new Set(migrations.list.map((one) => one.name))
  const unknown = applied.filter((one) => !known.has(one.name))
  if (unknown.length > 0) {
    const found = Math.max(...unknown.map((one) => one.release))
    throw new UnusableStore('too_new', `the database is of release ${found} (migration \`${unknown[0]!.name}\`), ${supported}: `
      + 'start the newer Writ, or restore the backup taken before it')
  }
  const expected = new Set(migrations.list.slice(0, applied.length).map((one) => one.name))
  const early = applied.find((one) => !expected.has(one.name))
  if (early) throw new UnusableStore('too_new', `the database has migration \`${early.name}\` without one that comes before it: restore a backup`)
  // A release without migrations leaves no row, so what counts is whether an older release's migration is missing. Where this very
  // program has begun to make the database and was killed, its own release stands in `applied_by`.
  const found = Math.max(0, ...applied.map((one) => one.applied_by))
  const skipped = migrations.list.slice(applied.length).some((one) => one.release < migrations.release)
  if (applied.length > 0 && found < migrations.release && skipped) {
    throw new UnusableStore('too_old', `the database is of release ${found}, ${supported}: `
      + `start each release from ${found + 1} to this one once, in turn`)
  }
}

function checkOrder({ release, list }: Migrations): void {
  const names = new Set(list.map((one) => one.name))
  const ordered = list.every((one, i) => one.release <= release && one.release >= (list[i - 1]?.release ?? 1))
  if (names.size === list.length && ordered) return
  throw new Error('migrations have unique names, stand in the order of their releases, and none is of a later release')
}
