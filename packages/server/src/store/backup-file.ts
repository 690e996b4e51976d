import { createHash, createHmac, timingSafeEqual, type Hash, type Hmac, type KeyObject } from 'node:crypto'
import { constants, createGunzip, createGzip } from 'node:zlib'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { RowValues } from './snapshot.ts'

/**
 * A backup is text lines, compressed: a head, each table (one line that names it and its columns, then one line for each row), and an end
 * that counts the rows and vouches for every byte before it, by SHA-256 and by HMAC-SHA-256 under a key that is not in it.
 */
export const BACKUP_FORMAT = 'writ-backup/1'

export type BackupHead = {
  readonly format: typeof BACKUP_FORMAT
  readonly backup: string
  readonly release: number
  readonly version: string
  /** By name and in order: only a program with the very same reads the tables as they were. */
  readonly migrations: readonly string[]
  readonly installation: string
  /** The store's key check, by which the master key is known. */
  readonly key_check: string
  readonly created_at: number
  /** Where both logs stood. */
  readonly logs: readonly { readonly stream: string; readonly origin: string; readonly vkey: string; readonly size: number; readonly note: string }[]
}

export type TableHead = { readonly table: string; readonly columns: readonly string[]; readonly bytes: readonly string[] }

export type BackupEnd = { readonly end: true; readonly rows: Readonly<Record<string, number>>; readonly sha256: string; readonly hmac: string }

export type BackupFileRefusal =
  /** Not gzip, not our lines, or a line that does not belong there. */
  | { readonly kind: 'malformed'; readonly detail: string }
  /** Written by another version of the format. */
  | { readonly kind: 'unknown_format'; readonly format: string }
  /** The end is missing, or there is more after it. */
  | { readonly kind: 'cut' }
  /** The bytes are not those that were written, or another installation's key wrote them. */
  | { readonly kind: 'not_authentic' }

/** No line is longer: a leaf has at most 65,535 bytes and a manifest's texts are bounded. */
const LONGEST_LINE = 64 * 1024 * 1024
const NEWLINE = 0x0a

/** Counts every line into both digests. */
class Digests {
  readonly #sha256: Hash = createHash('sha256')
  readonly #hmac: Hmac

  constructor(key: KeyObject) {
    this.#hmac = createHmac('sha256', key)
  }

  take(bytes: Uint8Array): void {
    this.#sha256.update(bytes)
    this.#hmac.update(bytes)
  }

  end(): Pick<BackupEnd, 'sha256' | 'hmac'> {
    return { sha256: this.#sha256.digest('hex'), hmac: this.#hmac.digest('base64') }
  }
}

/** Prints a backup's lines in pieces. */
export class BackupPrinter {
  readonly #digests: Digests
  readonly #rows: Record<string, number> = {}
  #table = ''
  #bytes: readonly boolean[] = []

  constructor(key: KeyObject) {
    this.#digests = new Digests(key)
  }

  head(head: BackupHead): Uint8Array {
    return this.#take(`${JSON.stringify(head)}\n`)
  }

  table(head: TableHead): Uint8Array {
    this.#table = head.table
    this.#bytes = head.columns.map((column) => head.bytes.includes(column))
    this.#rows[head.table] = 0
    return this.#take(`${JSON.stringify(head)}\n`)
  }

  rows(rows: readonly RowValues[]): Uint8Array {
    this.#rows[this.#table]! += rows.length
    return this.#take(rows.map((row) => `${JSON.stringify(row.map((value, i) => (this.#bytes[i] && value !== null ? toBase64(value as Uint8Array) : value)))}\n`).join(''))
  }

  /** Not counted: it is what vouches for the rest. */
  end(): { readonly bytes: Uint8Array; readonly end: BackupEnd } {
    const end: BackupEnd = { end: true, rows: this.#rows, ...this.#digests.end() }
    return { bytes: Buffer.from(`${JSON.stringify(end)}\n`), end }
  }

  #take(text: string): Uint8Array {
    const bytes = Buffer.from(text, 'utf8')
    this.#digests.take(bytes)
    return bytes
  }
}

const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')

/** Compresses on other threads; when whoever reads goes away, the source is ended too. */
export async function* compressed(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const gzip = createGzip({ level: constants.Z_BEST_SPEED, chunkSize: 256 * 1024 })
  const feeding = pipeline(Readable.from(pieces), gzip).catch(() => undefined)
  try {
    yield* gzip as AsyncIterable<Uint8Array>
  } finally {
    gzip.destroy()
    await feeding
  }
}

/** What a reading of a backup comes upon, in order: the head once, then tables and their rows. */
export type BackupVisitor = {
  head(head: BackupHead): Promise<void> | void
  table(head: TableHead): Promise<void> | void
  rows(rows: readonly RowValues[]): Promise<void> | void
}

/** `keyFor`: the key that vouches for a backup with this head; undefined when it is not here. Without a visitor the bytes are only checked. */
type ReadOrder = { readonly visitor?: BackupVisitor; readonly keyFor: (head: BackupHead) => KeyObject | undefined }

class Malformed extends Error {
  readonly refusal: BackupFileRefusal
  constructor(refusal: BackupFileRefusal) {
    super(refusal.kind)
    this.refusal = refusal
  }
}

const malformed = (detail: string): Malformed => new Malformed({ kind: 'malformed', detail })

/** No other line begins so. */
const END_BEGINS = Buffer.from('{"end":')
const END_IS_NEXT = Buffer.concat([Buffer.of(NEWLINE), END_BEGINS])

/** Rows that a visitor is handed at a time. */
const ROWS_IN_PIECE = 200

/** Reads a whole backup once, in the memory of a few rows. That it is authentic is known only when this answers. */
export async function readBackup(file: AsyncIterable<Uint8Array>, order: ReadOrder): Promise<Outcome<{ readonly head: BackupHead; readonly end: BackupEnd }, BackupFileRefusal>> {
  const gunzip = createGunzip({ chunkSize: 256 * 1024 })
  let failed: unknown
  const feeding = pipeline(Readable.from(file), gunzip).catch((cause: unknown) => { failed = cause })
  const reading = new Reading(order)
  try {
    for await (const lines of wholeLinesOf(gunzip as AsyncIterable<Buffer>)) await reading.take(lines)
    return ok(await reading.done())
  } catch (cause) {
    if (cause instanceof Malformed) return refuse(cause.refusal)
    await feeding
    const code = String((failed as { code?: string } | undefined)?.code ?? (cause as { code?: string }).code ?? '')
    if (code === 'Z_BUF_ERROR') return refuse({ kind: 'cut' })
    if (code.startsWith('Z_')) return refuse({ kind: 'malformed', detail: 'it is not compressed as a backup is' })
    throw cause
  } finally {
    gunzip.destroy()
    await feeding
  }
}

class Reading {
  readonly #order: ReadOrder
  #head: BackupHead | undefined
  #key: KeyObject | undefined
  #digests: Digests | undefined
  #table: TableHead | undefined
  #bytes: readonly boolean[] = []
  #piece: RowValues[] = []
  readonly #rows: Record<string, number> = {}
  #end: BackupEnd | undefined

  constructor(order: ReadOrder) {
    this.#order = order
  }

  /** Lines as they came together: what costs something for each of them would cost more than what is in it. */
  async take(lines: Buffer): Promise<void> {
    let counted = 0
    const count = (to: number): void => {
      if (to > counted) this.#digests!.take(lines.subarray(counted, to))
      counted = to
    }
    for (let from = 0; from < lines.length;) {
      if (this.#order.visitor === undefined && this.#head !== undefined && this.#end === undefined) from = endFrom(lines, from)
      if (from === lines.length) break
      if (this.#end !== undefined) throw malformed('it goes on after its end')
      const next = lines.indexOf(NEWLINE, from) + 1
      const value = parsed(lines.toString('utf8', from, next))
      if (this.#head === undefined) await this.#takeHead(value)
      else if (isEnd(value)) {
        count(from)
        counted = next
        this.#end = value
      } else if (Array.isArray(value)) {
        this.#takeRow(value)
        if (this.#piece.length >= ROWS_IN_PIECE) await this.#handOver()
      } else await this.#takeTable(value)
      from = next
    }
    count(lines.length)
  }

  async done(): Promise<{ readonly head: BackupHead; readonly end: BackupEnd }> {
    if (this.#head === undefined || this.#end === undefined) throw new Malformed({ kind: 'cut' })
    await this.#handOver()
    const { sha256, hmac } = this.#digests!.end()
    const isCounted = this.#order.visitor === undefined || JSON.stringify(this.#end.rows) === JSON.stringify(this.#rows)
    if (!isEqual(hmac, this.#end.hmac) || sha256 !== this.#end.sha256 || !isCounted) throw new Malformed({ kind: 'not_authentic' })
    return { head: this.#head, end: this.#end }
  }

  async #takeHead(value: unknown): Promise<void> {
    const format = (value as { format?: unknown } | null)?.format
    if (typeof format !== 'string' || !format.startsWith('writ-backup/')) throw malformed('it does not begin as a backup does')
    if (format !== BACKUP_FORMAT) throw new Malformed({ kind: 'unknown_format', format })
    if (!isHead(value)) throw malformed('its head lacks something')
    this.#key = this.#order.keyFor(value)
    if (this.#key === undefined) throw new Malformed({ kind: 'not_authentic' })
    this.#head = value
    this.#digests = new Digests(this.#key)
    await this.#order.visitor?.head(value)
  }

  async #takeTable(value: unknown): Promise<void> {
    if (!isTableHead(value) || Object.hasOwn(this.#rows, value.table)) throw malformed('a line is neither a table nor a row')
    await this.#handOver()
    this.#table = value
    this.#bytes = value.columns.map((column) => value.bytes.includes(column))
    this.#rows[value.table] = 0
    await this.#order.visitor?.table(value)
  }

  #takeRow(values: readonly unknown[]): void {
    const table = this.#table
    if (table === undefined || values.length !== table.columns.length) throw malformed('a row does not have the columns of its table')
    this.#piece.push(values.map((value, i) => {
      if (value === null || (typeof value === 'number' && Number.isSafeInteger(value) && !this.#bytes[i])) return value
      if (typeof value !== 'string') throw malformed('a value is neither text, whole number, bytes nor null')
      return this.#bytes[i] ? Buffer.from(value, 'base64') : value
    }))
    this.#rows[table.table]!++
  }

  async #handOver(): Promise<void> {
    if (this.#piece.length === 0) return
    const piece = this.#piece
    this.#piece = []
    await this.#order.visitor?.rows(piece)
  }
}

/** Where the end begins at or after `from`, or behind the last line: nothing else has a newline before these words. */
function endFrom(lines: Buffer, from: number): number {
  if (lines.subarray(from, from + END_BEGINS.length).equals(END_BEGINS)) return from
  const before = lines.indexOf(END_IS_NEXT, from)
  return before === -1 ? lines.length : before + 1
}

/** Lines with their newlines, as many as came; a last one without it is left out, and so the end is missed. */
async function* wholeLinesOf(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0)
  for await (const piece of pieces) {
    const held = rest.length === 0 ? piece : Buffer.concat([rest, piece])
    const whole = held.lastIndexOf(NEWLINE) + 1
    if (whole > 0) yield held.subarray(0, whole)
    rest = held.subarray(whole)
    if (rest.length > LONGEST_LINE) throw malformed('a line is too long')
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    throw malformed('a line is not JSON')
  }
}

const isTexts = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every((one) => typeof one === 'string')
const isThing = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

function isHead(value: unknown): value is BackupHead {
  return isThing(value) && ['backup', 'version', 'installation', 'key_check'].every((name) => typeof value[name] === 'string')
    && Number.isSafeInteger(value.release) && Number.isSafeInteger(value.created_at) && isTexts(value.migrations)
    && Array.isArray(value.logs) && value.logs.every((log) => isThing(log)
      && ['stream', 'origin', 'vkey', 'note'].every((name) => typeof log[name] === 'string') && Number.isSafeInteger(log.size))
}

const isTableHead = (value: unknown): value is TableHead => isThing(value) && typeof value.table === 'string' && isTexts(value.columns) && isTexts(value.bytes)

const isEnd = (value: unknown): value is BackupEnd =>
  isThing(value) && value.end === true && isThing(value.rows) && typeof value.sha256 === 'string' && typeof value.hmac === 'string'

function isEqual(ours: string, theirs: string): boolean {
  const [a, b] = [Buffer.from(ours, 'base64'), Buffer.from(theirs, 'base64')]
  return a.length === b.length && timingSafeEqual(a, b)
}
