import { anyTransition, checkedName, oneUp, quoted, type Dialect } from './dialect.ts'

/** Carries the rule's name in the error's `constraint` field, as a check constraint does (SQLSTATE 23514). */
const REFUSE_FUNCTION = `
create or replace function writ_refuse() returns trigger language plpgsql set search_path = '' as $body$
begin
  raise exception using errcode = 'check_violation', constraint = tg_argv[0], table = tg_table_name, message = 'rule ' || tg_argv[0];
end
$body$`

const refuseWhen = (rule: string, moment: string, table: string, condition: string | null): string => [
  `create trigger ${checkedName(rule)} ${moment} on ${checkedName(table)} for each row`,
  ...(condition === null ? [] : [`when (${condition})`]),
  `execute function writ_refuse(${quoted(rule)})`,
].join(' ')

const refuseTruncate = (rule: string, table: string): string =>
  `create trigger ${checkedName(`${rule}_truncate`)} before truncate on ${checkedName(table)} for each statement `
  + `execute function writ_refuse(${quoted(rule)})`

/** A trigger's own condition may hold no query: it stands in a function of the rule's own, with the schema of its day. */
const refuseFound = (rule: string, on: string, table: string, found: string): readonly string[] => [
  `create function ${checkedName(`${rule}_found`)}() returns trigger language plpgsql set search_path from current as $body$
begin
  if ${found} then
    raise exception using errcode = 'check_violation', constraint = ${quoted(rule)}, table = tg_table_name, message = ${quoted(`rule ${rule}`)};
  end if;
  return new;
end
$body$`,
  `create trigger ${checkedName(rule)} before ${on} on ${checkedName(table)} for each row execute function ${rule}_found()`,
]

const beforeUpdate = 'before update'
/** Only of a statement that sets one of them: without it, PostgreSQL reads the whole condition anew for every statement that changes a row. */
const beforeUpdateOf = (...columns: readonly string[]): string => `${beforeUpdate} of ${columns.map(checkedName).join(', ')}`

export const postgresDialect: Dialect = {
  name: 'postgres',
  types: { bytes: 'bytea', bigint: 'bigint', serial: 'bigint generated always as identity primary key' },
  strict: '',
  // Keys never change. The stronger `for update` also holds up foreign-key checks, which a second update of a new row makes again: a deadlock.
  forUpdate: 'for no key update',
  skipLocked: 'for no key update skip locked',
  foundation: [REFUSE_FUNCTION],
  comment: (table, text) => [`comment on table ${checkedName(table)} is ${quoted(text)}`],
  freeze: (table, columns, rule) => [
    refuseWhen(rule, beforeUpdateOf(...columns), table,
      columns.map((column) => `new.${checkedName(column)} is distinct from old.${column}`).join(' or ')),
  ],
  setOnce: (table, columns, rule) => [
    refuseWhen(rule, beforeUpdateOf(...columns), table,
      columns.map((column) => `(old.${checkedName(column)} is not null and new.${column} is distinct from old.${column})`).join(' or ')),
  ],
  appendOnly: (table, rule) => [
    refuseWhen(`${rule}_update`, beforeUpdate, table, null),
    refuseWhen(`${rule}_delete`, 'before delete', table, null),
    refuseTruncate(rule, table),
  ],
  neverDelete: (table, rule) => [refuseWhen(rule, 'before delete', table, null), refuseTruncate(rule, table)],
  bornNull: (table, columns, rule) => [
    refuseWhen(rule, 'before insert', table, columns.map((column) => `new.${checkedName(column)} is not null`).join(' or ')),
  ],
  onlyTransitions: (table, column, transitions, rule) => [
    refuseWhen(rule, beforeUpdateOf(column), table,
      `new.${checkedName(column)} is distinct from old.${column} and not (${anyTransition(column, transitions)})`),
  ],
  onlyWith: (table, { column, state, move }, rule) => [
    refuseWhen(rule, beforeUpdateOf(column), table, `new.${checkedName(column)} is distinct from old.${column} and not (${anyTransition(state, [move])})`),
  ],
  onlyCounted: (table, counted, rule) => {
    const [column, counter] = [checkedName(counted.column), checkedName(counted.counter)]
    const changes = `new.${column} is distinct from old.${column}`
    return [refuseWhen(rule, beforeUpdateOf(column, counter), table, `(${changes} or new.${counter} <> old.${counter}) and not (${changes} and ${oneUp(counted)})`)]
  },
  onlyErased: (table, columns, rule) => [
    refuseWhen(rule, beforeUpdateOf(...columns), table,
      columns.map((column) => `(new.${checkedName(column)} is not null and new.${column} is distinct from old.${column})`).join(' or ')),
  ],
  onlyGrows: (table, column, rule) => [refuseWhen(rule, beforeUpdateOf(column), table, `new.${checkedName(column)} < old.${column}`)],
  refuseFound: (table, { on, found }, rule) => refuseFound(rule, on, table, found),
  dropGuard: (table, rule) => [`drop trigger ${checkedName(rule)} on ${checkedName(table)}`],
}
