import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { complete, open, opened } from '../governed-writ.ts'
import type { Api, TestIdentity } from '../running-writ.ts'
import { startSeveral, type SeveralWrits } from '../several-writs.ts'

/** R19. */
const BAR = { p99: 1000, most: 2000 }
const TIMES = 25

const percentile = (of: readonly number[], rank: number): number => of.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(of.length * rank) - 1)]!

describe('what is stopped on one server', () => {
  let several: SeveralWrits
  let load: { stop(): Promise<void> }
  before(async () => {
    several = await startSeveral({ env: { WRIT_LOG: 'warn' } })
    const busy = await Promise.all(Array.from({ length: 4 }, (_, i) => several.writs[0].register(`busy-${i}`)))
    let isOver = false
    const running = busy.map(async (worker, i) => {
      const by = several.through(several.writs[i % 2]!, worker)
      while (!isOver) await complete(by, await opened(by))
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
  async function refusedAfter(stop: () => Promise<{ readonly status: number }>, call: () => ReturnType<Api>): Promise<number> {
    const asked = performance.now()
    let refusedAt: number | undefined
    let stopped: number | undefined
    const stopping = stop().then(({ status }) => {
      assert.equal(status, 200)
      stopped = performance.now()
    })
    while (refusedAt === undefined) {
      const sent = performance.now()
      const { status } = await call()
      if (status >= 400) refusedAt = performance.now()
      else assert.ok(stopped === undefined || sent < stopped, 'no call that began after the answer is let through')
    }
    await stopping
    return refusedAt - asked
  }

  /** No server tells another: each asks the store at every request, so there is no notification that could be lost. */
  const kinds: Readonly<Record<string, (worker: TestIdentity) => Promise<readonly [() => Promise<{ readonly status: number }>, () => ReturnType<Api>]>>> = {
    'an identity that is suspended': async (worker) => [
      () => several.writs[0].operator(registry.suspendIdentity, { parameters: { id: worker.id }, body: { reason: 'it misbehaves' } }),
      () => several.through(several.writs[1], worker).api(registry.whoAmI) as never,
    ],
    'a task that is ended': async (worker) => {
      const id = await opened(several.through(several.writs[1], worker))
      return [
        () => several.writs[0].operator(tasks.endTask, { parameters: { id }, body: { reason: 'it misbehaves' } }),
        async () => {
          const got = await several.through(several.writs[1], worker).api(tasks.heartbeat, { parameters: { id }, body: { calls: 0 } })
          return (got.status === 200 && got.reply.state !== 'open' ? { ...got, status: 409 } : got) as never
        },
      ]
    },
    'an identity that is retired': async (worker) => [
      () => several.writs[0].operator(registry.retireIdentity, { parameters: { id: worker.id }, body: { reason: 'its work is done' } }),
      () => open(several.through(several.writs[1], worker)) as never,
    ],
  }

  for (const [what, prepare] of Object.entries(kinds)) {
    test(`${what} is refused by the other from the answer on, under load: p99 of ${TIMES} within ${BAR.p99} ms`, async (t) => {
      const took: number[] = []
      for (let i = 0; i < TIMES; i++) {
        const worker = await several.writs[0].register(`${what.replaceAll(/\W+/g, '-')}-${i}`)
        took.push(await refusedAfter(...await prepare(worker)))
      }
      const [p99, most] = [percentile(took, 0.99), Math.max(...took)]
      t.diagnostic(`p50 ${Math.round(percentile(took, 0.5))} ms, p99 ${Math.round(p99)} ms, at most ${Math.round(most)} ms`)
      assert.ok(p99 <= BAR.p99 && most <= BAR.most, `${p99}, ${most}`)
    })
  }
})
