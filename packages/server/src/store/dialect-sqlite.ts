import { anyTransition, checkedName, oneUp, quoted, type Dialect } from './dialect.ts'

/** `is not` is SQLite's null-safe inequality; `raise(abort)` undoes the statement and leaves the transaction open. */
const refuseWhen = (rule: string, moment: string, table: string, condition: string | null): string => [
  `create trigger ${checkedName(rule)} ${moment} on ${checkedName(table)} for each row`,
  ...(condition === null ? [] : [`when ${condition}`]),
  `begin select raise(abort, ${quoted(`rule ${rule}`)}); end`,
].join(' ')

const beforeUpdateOf = (columns: readonly string[]): string => `before update of ${columns.map(checkedName).join(', ')}`

export const sqliteDialect: Dialect = {
  name: 'sqlite',
  types: { bytes: 'blob', bigint: 'integer', serial: 'integer primary key autoincrement' },
  strict: ' strict',
  forUpdate: '',
  skipLocked: '',
  foundation: [],
  comment: () => [],
  freeze: (table, columns, rule) => [
    refuseWhen(rule, beforeUpdateOf(columns), table, columns.map((column) => `new.${column} is not old.${column}`).join(' or ')),
  ],
  setOnce: (table, columns, rule) => [
    refuseWhen(rule, beforeUpdateOf(columns), table,
      columns.map((column) => `(old.${column} is not null and new.${column} is not old.${column})`).join(' or ')),
  ],
  appendOnly: (table, rule) => [
    refuseWhen(`${rule}_update`, 'before update', table, null),
    refuseWhen(`${rule}_delete`, 'before delete', table, null),
  ],
  neverDelete: (table, rule) => [refuseWhen(rule, 'before delete', table, null)],
  bornNull: (table, columns, rule) => [
    refuseWhen(rule, 'before insert', table, columns.map((column) => `new.${checkedName(column)} is not null`).join(' or ')),
  ],
  onlyTransitions: (table, column, transitions, rule) => [
    refuseWhen(rule, beforeUpdateOf([column]), table, `new.${column} is not old.${column} and not (${anyTransition(column, transitions)})`),
  ],
  onlyWith: (table, { column, state, move }, rule) => [
    refuseWhen(rule, beforeUpdateOf([column]), table, `new.${column} is not old.${column} and not (${anyTransition(state, [move])})`),
  ],
  onlyCounted: (table, counted, rule) => {
    const { column, counter } = counted
    const changes = `new.${column} is not old.${column}`
    return [refuseWhen(rule, beforeUpdateOf([column, counter]), table, `(${changes} or new.${counter} <> old.${counter}) and not (${changes} and ${oneUp(counted)})`)]
  },
  onlyErased: (table, columns, rule) => [
    refuseWhen(rule, beforeUpdateOf(columns), table,
      columns.map((column) => `(new.${column} is not null and new.${column} is not old.${column})`).join(' or ')),
  ],
  onlyGrows: (table, column, rule) => [refuseWhen(rule, beforeUpdateOf([column]), table, `new.${column} < old.${column}`)],
  refuseFound: (table, { on, found }, rule) => [
    `create trigger ${checkedName(rule)} before ${on} on ${checkedName(table)} for each row begin select raise(abort, ${quoted(`rule ${rule}`)}) where ${found}; end`,
  ],
  dropGuard: (_table, rule) => [`drop trigger ${checkedName(rule)}`],
}
