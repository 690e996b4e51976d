import { Client, DatabaseError, type ClientBase } from 'pg'

/** A statement that takes longer than this makes us ask whether the server is there at all, and has it. */
const SLOW_MS = 400
/** The rest of the second within which a caller has its answer (R12). */
const PROBE_MS = 450
/** So often in a row our session has to be seen idle: once may be the moment in which its answer is on its way. */
const MOST_IDLE = 2

/**
 * Tells a slow statement from one that will never be answered. A slow one makes a probe log in beside it. When that gets no answer (a server
 * that stands still, a network that drops packets), or finds our session idle while we wait for it (a connection that only we believe to be
 * there), the statement's connection is given up.
 */
export type Pulse = { watch<T>(client: ClientBase, answer: Promise<T>): Promise<T> }

/** What our sessions do, by process id, as the server says; undefined when it does not answer. */
type Seen = ReadonlyMap<number, string> | undefined

/** `mostMs`: longer than the server itself lets any statement take; not even a server that is there is waited for beyond. */
export function pulseOf(url: string, mostMs: number): Pulse {
  let probing: Promise<Seen> | undefined
  const look = (): Promise<Seen> => probing ??= probe(url).finally(() => { probing = undefined })

  return {
    watch: async (client, answer) => {
      let isDone = false
      let idle = 0
      let looks = 0
      let timer: NodeJS.Timeout
      const check = async (): Promise<void> => {
        const seen = await look()
        if (isDone) return
        idle = isIdle(seen?.get(processOf(client))) ? idle + 1 : 0
        // `end` with a statement under way cuts the connection, and the statement is rejected.
        if (seen === undefined || idle === MOST_IDLE || ++looks * SLOW_MS > mostMs) void (client as Client).end()
        else timer = setTimeout(() => { void check() }, SLOW_MS)
      }
      timer = setTimeout(() => { void check() }, SLOW_MS)
      try {
        return await answer
      } finally {
        isDone = true
        clearTimeout(timer)
      }
    },
  }
}

/** The server's process for the connection; `pg` knows it, and its types do not say so. */
const processOf = (client: ClientBase): number => (client as ClientBase & { readonly processID: number }).processID

/** A session that is not known there says nothing: behind a balancer the probe may have come to another server. */
const isIdle = (state: string | undefined): boolean => state?.startsWith('idle') === true

async function probe(url: string): Promise<Seen> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: PROBE_MS, query_timeout: PROBE_MS, application_name: 'writ' })
  client.on('error', () => {})
  try {
    await client.connect()
    const { rows } = await client.query<{ pid: number; state: string | null }>('select pid, state from pg_stat_activity where usename = current_user')
    void client.end().catch(() => {})
    return new Map(rows.map((row) => [row.pid, row.state ?? '']))
  } catch (cause) {
    void client.end().catch(() => {})
    // A server that refuses us (too many connections) is there.
    return cause instanceof DatabaseError ? new Map() : undefined
  }
}
