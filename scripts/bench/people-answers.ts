import { setTimeout as pause } from 'node:timers/promises'
import { liveStream } from '@writ/contract/live'
import { makeStop } from '@writ/contract/stops'
import { eventsIn } from '../../packages/sdk/src/event-stream.ts'
import { eventually } from '../../packages/server/test/eventually.ts'
import { accessTo, governServer, rawNewer } from '../../packages/server/test/mcp/estate.ts'
import { signInAs, type SignedInPerson } from '../../packages/server/test/people.ts'
import { startWrit, type RunningWrit } from '../../packages/server/test/running-writ.ts'
import { figure, percentile, type Figure, type Order } from './figure.ts'
import { ALLOWED, ARGUMENTS, NAME, startUpstream } from './mcp.ts'
import { applyAskFirst, approve, attempt, AUTHORITY, connections, holderOf, requestOf, waitFor } from './people-estate.ts'

const TIMES = 60
const BAR_MS = 1000
/** A request that waits is there by then. */
const SETTLED_MS = 100

/** How long people and agents wait for each other where nobody else does. */
export async function answers(store: 'sqlite' | 'postgres', { isQuick, tell }: Order): Promise<readonly Figure[]> {
  const times = isQuick ? 12 : TIMES
  const upstream = await startUpstream()
  const writ = await startWrit({ store, env: { WRIT_LOG: 'warn', WRIT_OUTBOUND_ALLOW: new URL(upstream.url).host } })
  try {
    await applyAskFirst(writ)
    await governServer(writ, { name: NAME, transport: 'http', url: upstream.url })
    const maya = await signInAs(writ, { roles: ['reviewer', 'responder'], email: 'maya@acme.example', passkey: false })
    tell(`${times} requests and their answers on ${store}`)
    const { toInbox, toResumed } = await asked(writ, maya, times)
    tell(`${times} stops on ${store}`)
    const toRefused = await stopped(writ, maya, times)
    return [figureOf(`request to inbox (${store})`, toInbox), figureOf(`yes to the call allowed (${store})`, toResumed), figureOf(`stop to the next call refused, at the gateway (${store})`, toRefused)]
  } finally {
    upstream.stop()
    await writ.stop()
  }
}

function figureOf(name: string, took: readonly number[]): Figure {
  const p99 = percentile(took, 0.99)
  return figure(name, took.length, { p50: percentile(took, 0.5), p99, bar: `p99 <= ${BAR_MS / 1000} s`, isReached: p99 <= BAR_MS })
}

async function asked(writ: RunningWrit, maya: SignedInPerson, times: number): Promise<{ readonly toInbox: readonly number[]; readonly toResumed: readonly number[] }> {
  const agent = connections()
  const [toInbox, toResumed]: [number[], number[]] = [[], []]
  const inbox = await inboxOf(writ, maya)
  const noter = await writ.register('noter', { authority: AUTHORITY })
  try {
    for (let i = 0; i < times; i++) {
      const holder = await holderOf(writ, noter)
      const denial = await attempt(agent, writ, holder)
      if (denial === true) throw new Error('it was allowed without a person')
      const began = performance.now()
      const id = await requestOf(agent, writ, holder, denial)
      toInbox.push(await eventually('it is in the inbox', () => inbox.told.get(id)) - began)
      const resumed = waitFor(agent, writ, holder, id).then(async () => {
        if (await attempt(agent, writ, holder) !== true) throw new Error('what was approved was not allowed')
        return performance.now()
      })
      await pause(SETTLED_MS)
      const sent = await approve(maya, id)
      toResumed.push(await resumed - sent)
    }
    return { toInbox, toResumed }
  } finally {
    inbox.close()
    agent.destroy()
  }
}

/** When each request was told on the live stream that the console listens to. */
async function inboxOf({ url }: RunningWrit, { cookie }: SignedInPerson): Promise<{ readonly told: ReadonlyMap<string, number>; close(): void }> {
  const cut = new AbortController()
  const answer = await fetch(url + liveStream.path, { headers: { cookie }, signal: cut.signal })
  if (answer.status !== 200) throw new Error(`the live stream answered ${answer.status}`)
  const told = new Map<string, number>()
  const reading = (async () => {
    for await (const data of eventsIn(answer.body as ReadableStream<Uint8Array<ArrayBuffer>>, Number.POSITIVE_INFINITY)) {
      const { id, state } = JSON.parse(data) as { readonly id?: string; readonly state?: string }
      if (id !== undefined && state === 'waiting') told.set(id, performance.now())
    }
  })()
  reading.catch((error: unknown) => { if (!cut.signal.aborted) throw error })
  return { told, close: () => { cut.abort() } }
}

/** Calls go one after the other; from the stop's request to the first answer that is a no. */
async function stopped(writ: RunningWrit, maya: SignedInPerson, times: number): Promise<readonly number[]> {
  const took: number[] = []
  for (let i = 0; i < times; i++) {
    const caller = await writ.register(`caller-${i}`, { authority: [`mcp:${NAME}:search`] })
    const access = await accessTo(writ, caller, { server: NAME, tools: ['search'] })
    const isAllowed = async (): Promise<boolean> => {
      const answer = await rawNewer(access, 'tools/call', { params: { name: 'search', arguments: ARGUMENTS } })
      return (await answer.text()).includes(ALLOWED)
    }
    if (!(await isAllowed())) throw new Error('the call was refused before it was stopped')
    const began = performance.now()
    const stopping = maya.api(makeStop, { body: { target: { kind: 'identity', id: caller.id }, reason: 'measures' } })
    while (await isAllowed());
    took.push(performance.now() - began)
    const made = await stopping
    if (made.status !== 200) throw new Error(`it was not stopped: ${made.text}`)
    if (await isAllowed()) throw new Error('a call was allowed after the stop')
  }
  return took
}
