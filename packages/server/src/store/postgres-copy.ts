import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Connection, Submittable } from 'pg'
import type { RowValues } from './snapshot.ts'

/** `pg` tells these things to whatever it was given as a query (pg-copy-streams is made so), but has no types for them. */
type Wire = Connection & { readonly stream: Socket; query(text: string): void; sendCopyFromChunk(chunk: Uint8Array): void; endCopyFrom(): void }

/**
 * Rows that flow into one table without an answer to each: https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-COPY.
 * Whatever is wrong with one of them is told at the next piece or at the end.
 */
export class CopyIn implements Submittable {
  readonly #text: string
  readonly #begun = Promise.withResolvers<Wire>()
  readonly #over = Promise.withResolvers<void>()
  readonly #failed = new AbortController()

  constructor(table: string, columns: readonly string[]) {
    this.#text = `copy ${table} (${columns.join(', ')}) from stdin`
    // Whoever goes on is told; nobody may.
    this.#begun.promise.catch(() => {})
    this.#over.promise.catch(() => {})
  }

  /** Answers as soon as there is room for more. */
  async take(rows: readonly RowValues[]): Promise<void> {
    const wire = await this.#begun.promise
    if (!this.#failed.signal.aborted) {
      wire.sendCopyFromChunk(Buffer.from(rows.map(lineOf).join(''), 'utf8'))
      if (!wire.stream.writableNeedDrain) return
      await once(wire.stream, 'drain', { signal: this.#failed.signal }).catch(() => undefined)
    }
    if (this.#failed.signal.aborted) await this.#over.promise
  }

  /** Answers when all rows are in their table. */
  async end(): Promise<void> {
    const wire = await this.#begun.promise
    if (!this.#failed.signal.aborted) wire.endCopyFrom()
    await this.#over.promise
  }

  submit(connection: Connection): void {
    (connection as Wire).query(this.#text)
  }

  handleCopyInResponse(connection: Connection): void {
    this.#begun.resolve(connection as Wire)
  }

  handleCommandComplete(): void { /* what counts is that the server is ready again */ }

  handleReadyForQuery(): void {
    this.#over.resolve()
  }

  handleError(cause: unknown): void {
    this.#over.reject(cause)
    this.#begun.reject(cause)
    this.#failed.abort()
  }
}

/** https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2: the text format. */
const lineOf = (row: RowValues): string => `${row.map(fieldOf).join('\t')}\n`

function fieldOf(value: RowValues[number]): string {
  if (value === null) return '\\N'
  if (typeof value === 'string') return SPECIAL.test(value) ? value.replace(ALL_SPECIAL, (one) => ESCAPED[one]!) : value
  return typeof value === 'number' ? String(value) : `\\\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')}`
}

const SPECIAL = /[\\\n\r\t]/
const ALL_SPECIAL = new RegExp(SPECIAL, 'g')
const ESCAPED: Readonly<Record<string, string>> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' }
