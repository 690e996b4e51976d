export type ExportColumn<Row> = { readonly id: string; readonly header: string; readonly value: (row: Row) => string | number | null }

/** Nobody sees it, and a program that reads the file may act on it. */
const ACTIVE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu
/** What a spreadsheet takes for a formula (OWASP: CSV injection). */
const FORMULA = /^[=+\-@|%\t\r]/

/** RFC 4180, with one line for each row; text that a spreadsheet would calculate begins with an apostrophe. */
export function csvOf<Row>(columns: readonly ExportColumn<Row>[], rows: readonly Row[]): string {
  const lines = [columns.map((column) => field(column.header)), ...rows.map((row) => columns.map((column) => field(column.value(row))))]
  return lines.map((line) => `${line.join(',')}\r\n`).join('')
}

function field(value: string | number | null): string {
  if (value === null) return ''
  if (typeof value === 'number') return String(value)
  const inert = value.replaceAll(ACTIVE, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`)
  const safe = FORMULA.test(value) || FORMULA.test(inert) ? `'${inert}` : inert
  return /[",]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

/** One JSON object in each line; what is not seen stands as an escape (RFC 8259 §7), which says the same. */
export function jsonLinesOf<Row>(columns: readonly ExportColumn<Row>[], rows: readonly Row[]): string {
  return rows.map((row) => `${JSON.stringify(Object.fromEntries(columns.map((column) => [column.id, column.value(row)]))).replaceAll(ACTIVE, escaped)}\n`).join('')
}

const escaped = (character: string): string => character.split('').map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')

/** Hands the text to the browser as a file. */
export function saveAs(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }))
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
