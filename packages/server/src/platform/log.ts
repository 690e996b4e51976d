import { createHash } from 'node:crypto'
import { pino, stdSerializers, stdTimeFunctions, type Logger } from 'pino'

/** Takes one line after the other, each with its end. */
export type LogSink = { write(line: string): void }

const LONGEST_TEXT = 1000
const KEPT_TEXT = 200
const MOST_MEMBERS = 50
const DEEPEST = 5

/**
 * Structured logs: one line of JSON for each event, whatever a caller has put into it (R59). Long texts are cut and told apart by their
 * hash; whatever a terminal or a log viewer would take for a line's end or a command is escaped.
 */
export function makeLog(level: string, sink: LogSink): Logger {
  return pino({
    level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    // Errors are read below, with everything else: pino's own reading would come after it.
    serializers: { err: (error: unknown) => error },
    formatters: { level: (label) => ({ level: label }), log: (fields) => bounded(fields, DEEPEST) as Record<string, unknown> },
  }, { write: (line: string) => { sink.write(inert(line)) } })
}

/** Controls, marks without width, changes of direction, line separators: pino escapes only some of them. */
const NOT_INERT = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** In JSON such a character stands in a text only, where it may be said by its number. */
const inert = (line: string): string => `${line.trimEnd().replaceAll(NOT_INERT, numbered)}\n`
const numbered = (character: string): string =>
  Array.from({ length: character.length }, (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')

function bounded(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return cut(value)
  if (typeof value === 'bigint' || typeof value === 'symbol' || typeof value === 'function') return typeof value
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Error) return bounded(stdSerializers.err(value), depth)
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`
  if (depth === 0) return '...'
  if (Array.isArray(value)) return value.slice(0, MOST_MEMBERS).map((one) => bounded(one, depth - 1))
  return Object.fromEntries(Object.entries(value).slice(0, MOST_MEMBERS).map(([name, one]) => [cut(name), bounded(one, depth - 1)]))
}

function cut(text: string): string {
  if (text.length <= LONGEST_TEXT) return text
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 16)
  return `${text.slice(0, KEPT_TEXT)}... (${text.length} characters, SHA-256 ${hash})`
}
