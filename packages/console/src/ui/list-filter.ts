import { filter, parse, type LiqeQuery } from 'liqe'

/** What a list is filtered by: fields of plain values, by the names that a filter calls them. */
export type Fields = Readonly<Record<string, string | number | null>>

export type Filtered<Row> = { readonly rows: readonly Row[]; /** Why the filter can not be read; then nothing is filtered. */ readonly fault: string | null }

/** A path such as `.a` would have the library build a function from text, which our Content-Security-Policy forbids. */
const PATH = /(?:^|[\s(-])\.\w/

/** `kind:agent owner:none -tidy (used:>80 OR used:0)`: the rows that it holds for, in their order. */
export function filterRows<Row>(rows: readonly Row[], query: string, fieldsOf: (row: Row) => Fields): Filtered<Row> {
  if (query.trim() === '') return { rows, fault: null }
  const read = readQuery(query)
  if (typeof read === 'string') return { rows, fault: read }
  const fields = rows.map(fieldsOf)
  try {
    // With `OR` the library answers in another order than it was given.
    const held = new Set<Fields>(filter(read, fields))
    return { rows: rows.filter((_, i) => held.has(fields[i]!)), fault: null }
  } catch (fault) {
    return { rows, fault: fault instanceof TypeError ? 'after `>` and `<` comes a number' : 'this filter can not be carried out' }
  }
}

function readQuery(query: string): LiqeQuery | string {
  if (PATH.test(query)) return 'the name of a field begins with a letter'
  try {
    return parse(query)
  } catch (fault) {
    const { column } = fault as { readonly column?: unknown }
    return typeof column === 'number' ? `can not be read from character ${column} on` : 'can not be read: is a quote or a bracket open?'
  }
}
