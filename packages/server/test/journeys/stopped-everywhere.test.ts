import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { complete, opened } from '../governed-writ.ts'
import { inFull, LONG_TEST } from '../long.ts'
import { startSeveral, type SeveralWrits } from '../several-writs.ts'
import { STOPS, type Stop } from '../stops.ts'

/** R19. */
const BAR_MS = { p99: 1000, most: 2000 }
const TIMES = inFull ? 1000 : 3 * Object.keys(STOPS).length
/** So many at once, so that it is stopped among other stops. */
const LANES = 3
/** After so many stops the server that did one stands still from its answer on: it can tell nobody anything. */
const MUTE_EVERY = 10

const percentile = (of: readonly number[], rank: number): number => of.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(of.length * rank) - 1)]!

describe('what is stopped on one server', () => {
  let several: SeveralWrits
  let tasksOfLoad = 0
  let load: { stop(): Promise<void> }
  before(async () => {
    several = await startSeveral({ env: { WRIT_LOG: 'warn' } })
    const busy = await Promise.all(Array.from({ length: 4 }, (_, i) => several.writs[0].register(`busy-${i}`)))
    let isOver = false
    const running = busy.map(async (worker, i) => {
      const by = several.through(several.writs[i % 2]!, worker)
      for (; !isOver; tasksOfLoad++) await complete(by, await opened(by))
    })
    load = {
      async stop() {
        isOver = true
        await Promise.all(running)
      },
    }
  })
  after(async () => {
    await load.stop()
    await several.stop()
  })

  /** From the moment that the stop was asked for to the first refusal by the other server; nothing that it let through came after a refusal. */
  async function refusedAfter({ stop, isRefused }: Stop, onAnswer: () => void): Promise<number> {
    const asked = performance.now()
    let stoppedAt: number | undefined
    const stopping = stop().then(({ status }) => {
      assert.equal(status, 200)
      stoppedAt = performance.now()
      onAnswer()
    })
    // One that fails is told of below, after the other server has been asked.
    stopping.catch(() => {})
    for (;;) {
      const sent = performance.now()
      if (await isRefused()) break
      assert.ok(stoppedAt === undefined || sent < stoppedAt, 'no call that began after the answer is let through')
    }
    const refusedAt = performance.now()
    await stopping
    return refusedAt - asked
  }

  /**
   * No server tells another: each asks the store at every request, so there is no notification that could be lost. A server that stands still
   * the moment that it has answered shows it.
   */
  async function stopOne(number: number, [what, prepare]: (typeof KINDS)[number]): Promise<Took> {
    const [here, there] = number % 2 === 0 ? several.writs : [several.writs[1], several.writs[0]]
    const one = await prepare({ several, here: here!, there: there!, number })
    assert.equal(await one.isRefused(), false, what)
    const isMuted = number % MUTE_EVERY === 0
    let paused: { resume(): void } | undefined
    try {
      return { what, isMuted, ms: await refusedAfter(one, () => { if (isMuted) paused = here!.pause() }) }
    } finally {
      paused?.resume()
    }
  }

  test(`is refused by the other from the answer on, under load: p99 of ${TIMES} within ${BAR_MS.p99} ms, whatever it is`, LONG_TEST, async (t) => {
    const [began, tasksBefore] = [performance.now(), tasksOfLoad]
    const due = shuffled(Array.from({ length: TIMES }, (_, i) => KINDS[i % KINDS.length]!))
    const took: Took[] = []
    let next = 0
    await Promise.all(Array.from({ length: LANES }, async () => {
      for (let number = next++; number < due.length; number = next++) took.push(await stopOne(number, due[number]!))
    }))
    const seconds = (performance.now() - began) / 1000
    const [p99, most] = [percentile(took.map(({ ms }) => ms), 0.99), Math.max(...took.map(({ ms }) => ms))]
    const perSecond = Math.round((tasksOfLoad - tasksBefore) / seconds)
    t.diagnostic(`${took.length} stops in ${seconds.toFixed(1)} s, beside ${perSecond} tasks/s; after ${took.filter(({ isMuted }) => isMuted).length} the server fell silent`)
    for (const [what, of] of [...Map.groupBy(took, (one) => one.what), ['all of them', took] as const]) t.diagnostic(`${what}: ${figures(of)}`)
    assert.equal(took.length, TIMES)
    assert.ok(p99 <= BAR_MS.p99 && most <= BAR_MS.most, `${p99}, ${most}`)
  })
})

type Took = { readonly what: string; readonly ms: number; readonly isMuted: boolean }

const KINDS = Object.entries(STOPS)

function figures(of: readonly Took[]): string {
  const ms = of.map((one) => one.ms)
  return `${of.length}, p50 ${Math.round(percentile(ms, 0.5))} ms, p99 ${Math.round(percentile(ms, 0.99))} ms, at most ${Math.round(Math.max(...ms))} ms`
}

function shuffled<T>(of: readonly T[]): readonly T[] {
  return of.map((one) => [Math.random(), one] as const).toSorted(([a], [b]) => a - b).map(([, one]) => one)
}
