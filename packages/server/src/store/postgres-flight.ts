import type { Connection, Submittable } from 'pg'

/** `isKept`: one plan serves all its values, see `postgres-plans.ts`; undefined of what is not planned. */
export type Statement = { readonly text: string; readonly parameters: readonly unknown[]; readonly isKept?: boolean }

export type Answer = { readonly rows: Record<string, unknown>[]; readonly numAffectedRows: bigint; readonly command: string }

type Parse = (text: string) => unknown
export type ParserOf = (oid: number) => Parse

/** The statements of one connection that PostgreSQL has parsed already. */
type Prepared = { readonly name: string; fields: readonly Field[] | undefined }
type Field = { readonly name: string; readonly parse: Parse }
type Known = { epoch: number; readonly byText: Map<string, Prepared>; readonly closing: string[]; count: number }

/** What all connections of one pool share: when `epoch` moves, each of them has its statements parsed anew. */
export type Plans = { epoch: number }

/** A text that grows with its list of values comes once and not again. */
const LONGEST_KEPT = 4000
/** More than Writ's own statements; lists of values of many lengths push the oldest out. */
const MOST_KEPT = 300

/** `pg` tells these things to whatever it was given as a query (it has a name for it, and pg-cursor is made so, but no types). */
type Wire = Connection & {
  parse(message: { readonly name: string; readonly text: string; readonly types: readonly number[] }): void
  bind(message: { readonly statement: string; readonly portal: string; readonly values: readonly unknown[] }): void
  describe(message: { readonly type: 'P'; readonly name: string }): void
  execute(message: { readonly portal: string; readonly rows: number }): void
  close(message: { readonly type: 'S'; readonly name: string }): void
}

const knownOf = new WeakMap<Connection, Known>()

/**
 * Several statements in one round trip: sent in one write, with one `Sync` behind the last. After an error PostgreSQL leaves out the rest
 * (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING); `at` then is the index of the one that failed.
 */
export class Flight implements Submittable {
  readonly answered: Promise<readonly Answer[]>
  at = 0
  readonly #statements: readonly Statement[]
  readonly #plans: Plans
  readonly #parserOf: ParserOf
  readonly #prepared: Prepared[] = []
  readonly #answers: Answer[] = []
  readonly #resolve: (answers: readonly Answer[]) => void
  readonly #reject: (cause: unknown) => void
  #known: Known | undefined
  #rows: Record<string, unknown>[] = []
  #unreadable: unknown

  constructor(statements: readonly Statement[], plans: Plans, parserOf: ParserOf) {
    const { promise, resolve, reject } = Promise.withResolvers<readonly Answer[]>()
    this.answered = promise
    this.#resolve = resolve
    this.#reject = reject
    this.#statements = statements
    this.#plans = plans
    this.#parserOf = parserOf
  }

  submit(connection: Connection): void {
    const wire = connection as Wire
    const known = this.#known = currentOf(connection, this.#plans.epoch)
    wire.stream.cork()
    for (const name of known.closing.splice(0)) wire.close({ type: 'S', name })
    for (const { text, parameters } of this.#statements) {
      const prepared = this.#prepare(wire, known, text)
      wire.bind({ statement: prepared.name, portal: '', values: parameters.map(toWire) })
      if (prepared.fields === undefined) wire.describe({ type: 'P', name: '' })
      wire.execute({ portal: '', rows: 0 })
      this.#prepared.push(prepared)
    }
    wire.sync()
    wire.stream.uncork()
  }

  #prepare(wire: Wire, known: Known, text: string): Prepared {
    const kept = known.byText.get(text)
    if (kept !== undefined) {
      known.byText.delete(text)
      known.byText.set(text, kept)
      return kept
    }
    const isKept = text.length <= LONGEST_KEPT
    const prepared: Prepared = { name: isKept ? `writ_${++known.count}` : '', fields: undefined }
    wire.parse({ name: prepared.name, text, types: [] })
    if (!isKept) return prepared
    known.byText.set(text, prepared)
    if (known.byText.size > MOST_KEPT) {
      const [oldest, { name }] = known.byText.entries().next().value!
      known.byText.delete(oldest)
      known.closing.push(name)
    }
    return prepared
  }

  handleRowDescription(message: { readonly fields: readonly { readonly name: string; readonly dataTypeID: number }[] }): void {
    this.#prepared[this.at]!.fields = message.fields.map((field) => ({ name: field.name, parse: this.#parserOf(field.dataTypeID) }))
  }

  handleDataRow(message: { readonly fields: readonly (string | null)[] }): void {
    const fields = this.#prepared[this.at]!.fields!
    const row: Record<string, unknown> = {}
    try {
      message.fields.forEach((text, i) => { row[fields[i]!.name] = text === null ? null : fields[i]!.parse(text) })
    } catch (cause) {
      this.#unreadable ??= cause
    }
    this.#rows.push(row)
  }

  /** `INSERT 0 3`, `SELECT 3`, `COMMIT`: the last word is the number of rows, where there is one. */
  handleCommandComplete(message: { readonly text: string }): void {
    const words = message.text.split(' ')
    this.#prepared[this.at]!.fields ??= []
    this.#answers.push({ rows: this.#rows, numAffectedRows: BigInt(/^\d+$/.test(words.at(-1)!) ? words.at(-1)! : 0), command: words[0]! })
    this.#rows = []
    this.at++
  }

  handleEmptyQuery(): void {
    this.handleCommandComplete({ text: '' })
  }

  handleError(cause: unknown): void {
    this.#forgetUnanswered()
    this.#reject(cause)
  }

  handleReadyForQuery(): void {
    if (this.#unreadable === undefined) this.#resolve(this.#answers)
    else this.#reject(this.#unreadable)
  }

  /** Whether PostgreSQL has parsed what comes after an error is not known: it is parsed anew, under another name. */
  #forgetUnanswered(): void {
    for (let i = this.at; i < this.#prepared.length; i++) {
      const { name, fields } = this.#prepared[i]!
      const text = this.#statements[i]!.text
      if (fields !== undefined || this.#known?.byText.get(text)?.name !== name) continue
      this.#known.byText.delete(text)
      this.#known.closing.push(name)
    }
  }
}

function currentOf(connection: Connection, epoch: number): Known {
  let known = knownOf.get(connection)
  if (known === undefined) knownOf.set(connection, known = { epoch, byText: new Map(), closing: [], count: 0 })
  if (known.epoch !== epoch) {
    known.closing.push(...[...known.byText.values()].map((one) => one.name))
    known.byText.clear()
    known.epoch = epoch
  }
  return known
}

/** Only what `checkedParameters` lets through comes here; a `Buffer` travels as bytes, all else as text. */
function toWire(value: unknown): string | Buffer | null {
  if (value === null) return null
  return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : String(value as string | number | bigint)
}
