import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { describe, test } from 'node:test'
import * as contract from '@writ/contract/events'
import * as registry from '@writ/contract/registry'
import { ask } from '../../../../scripts/postgres-cluster.ts'
import { eventually } from '../eventually.ts'
import { complete, opened } from '../governed-writ.ts'
import { assertLogsHold } from '../proofs.ts'
import type { RunningWrit, TestIdentity } from '../running-writ.ts'
import { startSeveral, type SeveralWrits } from '../several-writs.ts'

/** proc(5): the state stands behind the name; `T` is stopped. */
const isStopped = (pid: number): boolean => /\) T /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))

const sizeOf = async (writ: RunningWrit): Promise<number> =>
  (await writ.stranger(contract.listLogs)).reply.logs.find((log) => log.stream === 'non-human')!.size

/** Opens and completes tasks through this server until told to stop; answers how many. */
function loadOn(several: SeveralWrits, writ: RunningWrit, workers: readonly TestIdentity[]): { stop(): Promise<number> } {
  let isOver = false
  let count = 0
  const running = workers.map(async (worker) => {
    const by = several.through(writ, worker)
    while (!isOver) {
      assert.equal((await complete(by, await opened(by))).status, 200)
      count++
      await pause(300)
    }
  })
  return {
    async stop() {
      isOver = true
      await Promise.all(running)
      return count
    },
  }
}

describe('a sealer that stands still', { skip: process.platform === 'linux' ? false : 'only Linux tells whether a process is stopped', concurrency: true }, () => {
  for (const { where, point, stillMs } of [
    { where: 'between reading and writing', point: 'log.seal.before_commit', stillMs: 30_000 },
    { where: 'with its transaction open and the head of the log locked', point: 'log.sealed.before_commit', stillMs: 12_000 },
  ]) {
    test(`${where} for ${stillMs / 1000} s and goes on leaves one log: the other server seals meanwhile, and the one that comes back writes nothing of what it had read`, async (t) => {
      const several = await startSeveral({ env: { WRIT_LOG: 'warn' } })
      t.after(() => several.stop())
      const [first, second] = several.writs
      const workers = await Promise.all(Array.from({ length: 4 }, (_, i) => first.register(`worker-${i}`)))
      await second.kill('SIGTERM')
      const load = loadOn(several, first, workers)
      await second.restart({ WRIT_FAILPOINT: `${point}#4!stop` })
      await eventually('the second server stands still', () => isStopped(second.pid()))
      const seen = await sizeOf(first)
      await pause(stillMs)
      await eventually('the first goes on sealing', async () => (await sizeOf(first)) > seen + 50)
      assert.ok(isStopped(second.pid()))
      process.kill(second.pid(), 'SIGCONT')
      await eventually('the second is there again', async () => (await second.stranger(registry.ready).catch(() => undefined))?.status === 200)
      const atReturn = await sizeOf(second)
      await eventually('both seal', async () => (await sizeOf(second)) > atReturn + 20)
      t.diagnostic(`${await load.stop()} tasks meanwhile`)
      assert.equal((await complete(several.through(second, workers[0]!), await opened(several.through(second, workers[0]!)))).status, 200)

      await assertLogsHold(first)
      await assertLogsHold(second)
      const [row] = await ask(first.databaseUrl!, `
        select (select count(*) - count(distinct (stream, leaf_index)) from event where leaf_index is not null) as twice,
               (select count(*) - count(distinct (stream, size)) from checkpoint) as forks,
               (select max(leaf_index) + 1 = count(*) from event where stream = 'non-human' and leaf_index is not null) as whole`)
      assert.deepEqual([Number(row!['twice']), Number(row!['forks']), row!['whole']], [0, 0, true])
      assert.ok(!/forged|rejected/.test(first.log() + second.log()))
    })
  }
})
