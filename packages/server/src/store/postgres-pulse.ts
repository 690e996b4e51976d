import { Client, DatabaseError, type ClientBase } from 'pg'

/** A statement that takes longer than this makes us ask whether the server is there at all. */
const SLOW_MS = 400
/** The rest of the second within which a caller has its answer (R12). */
const PROBE_MS = 450

/**
 * Tells a slow statement from a server that no longer answers (stopped, or behind a network that drops packets): a slow one makes a
 * probe log in beside it, and only when that gets no answer is the statement's connection given up.
 */
export type Pulse = { watch<T>(client: ClientBase, answer: Promise<T>): Promise<T> }

export function pulseOf(url: string): Pulse {
  let probing: Promise<boolean> | undefined
  const isThere = (): Promise<boolean> => probing ??= probe(url).finally(() => { probing = undefined })

  return {
    watch: async (client, answer) => {
      let timer: NodeJS.Timeout
      const look = async (): Promise<void> => {
        // `end` with a statement under way cuts the connection, and the statement is rejected.
        if (await isThere()) timer = setTimeout(() => { void look() }, SLOW_MS)
        else if (!done) void (client as Client).end()
        if (done) clearTimeout(timer)
      }
      let done = false
      timer = setTimeout(() => { void look() }, SLOW_MS)
      try {
        return await answer
      } finally {
        done = true
        clearTimeout(timer)
      }
    },
  }
}

async function probe(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: PROBE_MS, query_timeout: PROBE_MS, application_name: 'writ' })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.end()
    return true
  } catch (cause) {
    // A server that refuses us (too many connections) is there.
    return cause instanceof DatabaseError
  }
}
