import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Api, Got } from './running-writ.ts'

const LONGEST_MS = 20_000
const FIRST_PAUSE_MS = 20
const LONGEST_PAUSE_MS = 400

/**
 * What a patient client does: a request that got no answer, or 503, is sent again with the same `Idempotency-Key`, to the next server. `told`
 * hears of every repeat.
 */
export function retrying(servers: readonly Api[], told: () => void = () => {}): Api {
  let turn = 0
  return async (of, ask) => {
    const headers = of.method === 'GET' ? {} : { 'idempotency-key': randomUUID() }
    const until = Date.now() + LONGEST_MS
    for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(wait * 2, LONGEST_PAUSE_MS)) {
      const got = await answeredBy(() => servers[turn++ % servers.length]!(of, { ...ask, headers: { ...headers, ...ask?.headers } }))
      if (got !== undefined && got.status !== 503) return got
      if (Date.now() > until) throw new Error(`${of.method} ${of.path} got no answer in ${LONGEST_MS} ms`)
      told()
      await pause(wait * (0.5 + Math.random() / 2))
    }
  }
}

/** Sends a request that got 503, with which nothing was done, again to the same server with the same `Idempotency-Key`; that no answer comes is for its caller to tell. */
export function patient(api: Api): Api {
  return async (of, ask) => {
    const headers = of.method === 'GET' ? {} : { 'idempotency-key': randomUUID() }
    const until = Date.now() + LONGEST_MS
    for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(wait * 2, LONGEST_PAUSE_MS)) {
      const got = await api(of, { ...ask, headers: { ...headers, ...ask?.headers } })
      if (got.status !== 503 || Date.now() > until) return got
      await pause(wait)
    }
  }
}

async function answeredBy<Reply>(asking: () => Promise<Got<Reply>>): Promise<Got<Reply> | undefined> {
  try {
    return await asking()
  } catch (error) {
    if (error instanceof TypeError) return undefined // what fetch throws when the connection ends
    throw error
  }
}
