import { inert } from '@writ/ledger/inert'
import { EXIT, problemOfFailure, type CommandFailure } from './exit.ts'
import { inertJson } from './inert.ts'
import type { Settings } from './settings.ts'

/** A column of a list: its head, and what stands in it. */
export type Column<Row> = { readonly head: string; readonly of: (row: Row) => string | number | null }

const WIDEST_CELL = 60

/** Data goes to stdout and nothing else does. */
export const printLine = (line: string): void => void process.stdout.write(`${line}\n`)

/** What is said about the work goes to stderr. */
export function say(settings: Settings, line: string): void {
  if (!settings.quiet) process.stderr.write(`${line}\n`)
}

export const warn = (line: string): void => void process.stderr.write(`${line}\n`)

/** A list as a table, as tab-separated lines, as one JSON array or as one JSON object per line. */
export async function printList<Row>(settings: Settings, rows: readonly Row[], columns: readonly Column<Row>[]): Promise<void> {
  if (settings.format === 'json') return printLine(inertJson(rows, 2))
  if (settings.format === 'jsonl') return rows.forEach((row) => printLine(inertJson(row)))
  const cells = rows.map((row) => columns.map((column) => inert(String(column.of(row) ?? '-'))))
  if (settings.format === 'plain') return cells.forEach((row) => printLine(row.join('\t')))
  if (rows.length === 0) return say(settings, 'nothing to show')
  printLine(await tableOf(settings, columns.map((column) => column.head), cells))
}

/** A table without borders. Cells are inert already. */
export async function tableOf(settings: Settings, heads: readonly string[], cells: readonly (readonly string[])[]): Promise<string> {
  const { default: Table } = await import('cli-table3')
  const none = { top: '', 'top-mid': '', 'top-left': '', 'top-right': '', bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '', left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '', middle: '  ' }
  const paint = await painterOf(settings)
  const table = new Table({ chars: none, style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] } })
  table.push(heads.map((head) => paint.dim(head.toUpperCase())), ...cells.map((row) => row.map(shortened)))
  return table.toString().split('\n').map((line) => line.trimEnd()).join('\n')
}

const shortened = (cell: string): string => (cell.length > WIDEST_CELL ? `${cell.slice(0, WIDEST_CELL - 1)}…` : cell)

/** One thing: as JSON, or as the lines that a person reads. A line is `[name, value]`; a value is made inert here. */
export async function printThing(settings: Settings, thing: unknown, lines: readonly (readonly [string, string | number | null])[]): Promise<void> {
  if (settings.format === 'json') return printLine(inertJson(thing, 2))
  if (settings.format === 'jsonl') return printLine(inertJson(thing))
  if (settings.format === 'plain') return lines.forEach(([name, value]) => printLine(`${name}\t${inert(String(value ?? '-'))}`))
  const paint = await painterOf(settings)
  const widest = Math.max(...lines.map(([name]) => name.length))
  for (const [name, value] of lines) printLine(`${paint.dim(name.padEnd(widest))}  ${inert(String(value ?? '-'))}`)
}

export type Painter = { readonly dim: (text: string) => string; readonly red: (text: string) => string; readonly green: (text: string) => string; readonly yellow: (text: string) => string }

export async function painterOf(settings: Settings): Promise<Painter> {
  if (!settings.colour) return { dim: same, red: same, green: same, yellow: same }
  const { createColors } = (await import('picocolors')).default
  return createColors(true)
}

const same = (text: string): string => text

/** `error:`, each field at fault, `hint:`; or the RFC 9457 problem as one JSON line. */
export function printFailure(failure: CommandFailure, asJson: boolean): void {
  if (asJson) return warn(inertJson(problemOfFailure(failure)))
  warn(`error: ${inert(failure.message)}`)
  for (const { field, message } of failure.fields) warn(`  ${inert(field)}: ${inert(message)}`)
  // A hint may bring statements to paste, each on a line of its own.
  for (const hint of failure.hints) warn(`hint: ${hint.split('\n').map(inert).join('\n  ')}`)
  if (failure.problem !== undefined && failure.exit === EXIT.unexpected) warn(`trace: ${inert(failure.problem.trace_id)}`)
}

/** `3 s ago`, `in 2 d`: for people; exact instants stand in --json and --plain. */
export function whenOf(settings: Settings, instant: string | null, now = Date.now()): string {
  if (instant === null) return 'never'
  const at = Date.parse(instant)
  if (settings.format !== 'human' || Number.isNaN(at)) return instant
  const length = lengthOf(Math.abs(at - now))
  return at > now ? `in ${length}` : `${length} ago`
}

/** A length of time in its largest unit, rounded down. */
export function lengthOf(ms: number): string {
  if (ms < 1000) return `${Math.floor(ms)} ms`
  if (ms < 120_000) return `${Math.floor(ms / 1000)} s`
  if (ms < 7_200_000) return `${Math.floor(ms / 60_000)} min`
  if (ms < 172_800_000) return `${Math.floor(ms / 3_600_000)} h`
  return `${Math.floor(ms / 86_400_000)} d`
}
