import { escapeIdentifier } from 'pg'

/** A name as it stands in a statement. */
export const quoted = (name: string): string => escapeIdentifier(name)

/** PostgreSQL cuts a longer one off in silence, and two leases would share it. */
export const LONGEST_NAME = 63

export function isName(name: string): boolean {
  return name !== '' && Buffer.byteLength(name) <= LONGEST_NAME && !/\p{C}/u.test(name)
}

export type Qualified = { readonly schema: string; readonly name: string; readonly parameters: string }

/** Reads `schema.name` or, for a function, `schema.name(integer, text)`; a name with a dot or a parenthesis in it cannot be told. */
export function parseQualified(text: string, of: 'relation' | 'function'): Qualified | undefined {
  const found = /^([^.()]+)\.([^.()]+)(?:\(([\w .,[\]]*)\))?$/u.exec(text)
  if (!found) return undefined
  const [, schema = '', name = '', parameters] = found
  if ((parameters !== undefined) !== (of === 'function') || !isName(schema) || !isName(name)) return undefined
  return { schema, name, parameters: parameters ?? '' }
}

export const quotedQualified = (of: Qualified): string => `${quoted(of.schema)}.${quoted(of.name)}`
