import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { backUp } from '../../packages/server/test/backups.ts'
import { postgres } from '../../packages/server/test/postgres.ts'
import { startWrit, type RunningWrit } from '../../packages/server/test/running-writ.ts'
import type { Cluster } from '../postgres-cluster.ts'
import { figure, type Figure, type Measure, type Order } from './figure.ts'
import { largeStore } from './large-store.ts'
import { cpuOf, cpuOfPostgres, largestOf, perOp } from './machine.ts'

const RESTORE_MAIN = fileURLToPath(new URL('../../packages/server/src/restore-main.ts', import.meta.url))
const [MEGABYTES, QUICK_MEGABYTES] = [100, 20]
/** R71: 5 GB in 10 minutes. */
const BAR = 5000 / 600

/** What is measured is megabytes of the store on SQLite: PostgreSQL needs more room for the same rows. */
type Size = { readonly megabytes: number; readonly backup: string; readonly folder: string; readonly keys: string; readonly operatorKey: string }

/** A store is backed up by its server and restored into an empty place by a process of its own, on both databases. */
export function restore(cluster: Cluster): Measure {
  return async (order) => {
    const wanted = order.megabytes ?? (order.isQuick ? QUICK_MEGABYTES : MEGABYTES)
    const folder = mkdtempSync(join(tmpdir(), 'writ-bench-'))
    const writ = await largeStore(wanted * 1e6, order.tell)
    try {
      const keys = join(folder, 'keys')
      cpSync(join(writ.folder, 'data-keys'), keys, { recursive: true })
      const size: Size = {
        megabytes: statSync(join(writ.folder, 'data', 'writ.db')).size / 1e6, folder, keys, operatorKey: writ.operatorKey, backup: join(folder, 'sqlite.backup'),
      }
      await writ.restart()
      const figures = [await backingUp(writ, size, 'sqlite', cluster, order)]
      await writ.kill('SIGTERM')
      figures.push(await restoring(size, { name: 'sqlite', env: { WRIT_DATA: join(folder, 'restored') } }, cluster, order))
      rmSync(join(folder, 'restored'), { recursive: true, force: true })
      figures.push(...await onPostgres(size, cluster, order))
      return figures
    } finally {
      await writ.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

async function onPostgres(size: Size, cluster: Cluster, order: Order): Promise<readonly Figure[]> {
  const database = await (await postgres(18)).createDatabase()
  const env = { WRIT_DATA: join(size.folder, 'beside'), WRIT_DATABASE_URL: database.url, WRIT_KEYS: size.keys }
  try {
    const restored = await restoring(size, { name: 'postgres', env }, cluster, order)
    const writ = await startWrit({ env, operatorKey: size.operatorKey })
    try {
      return [await backingUp(writ, { ...size, backup: join(size.folder, 'postgres.backup') }, 'postgres', cluster, order), restored]
    } finally {
      await writ.stop()
    }
  } finally {
    await database.drop()
  }
}

type Used = { readonly seconds: number; readonly cpuMs: number | null; readonly databaseCpuMs: number | null; readonly largestMb: number | undefined }

function figureOf(what: string, on: string, { megabytes }: Size, { seconds, cpuMs, databaseCpuMs, largestMb }: Used): Figure {
  const perSecond = megabytes / seconds
  return figure(`${what} of ${Math.round(megabytes)} MB (${on})${largestMb === undefined ? '' : `, at most ${Math.round(largestMb)} MB of memory`}`, Math.round(megabytes), {
    perSecond, cpuPerOp: cpuMs === null ? null : cpuMs / megabytes, databaseCpuPerOp: databaseCpuMs === null ? null : databaseCpuMs / megabytes,
    ...(what === 'restore' ? { bar: '>= 8.3 MB/s: 5 GB in 10 minutes', isReached: perSecond >= BAR } : {}),
  })
}

async function backingUp(writ: RunningWrit, size: Size, on: string, cluster: Cluster, { tell }: Order): Promise<Figure> {
  tell(`a backup of ${Math.round(size.megabytes)} MB on ${on}`)
  const before = { own: cpuOf(writ.pid()), database: cpuOfPostgres(cluster), at: performance.now() }
  await backUp(writ, size.backup)
  return figureOf('backup', on, size, {
    seconds: (performance.now() - before.at) / 1000, cpuMs: perOp(before.own, cpuOf(writ.pid()), 1), largestMb: largestOf(writ.pid()),
    databaseCpuMs: on === 'postgres' ? perOp(before.database, cpuOfPostgres(cluster), 1) : null,
  })
}

/** How often a process that is about to end is asked what it has used. */
const LOOK_MS = 50

async function restoring(size: Size, { name, env }: { readonly name: string; readonly env: NodeJS.ProcessEnv }, cluster: Cluster, { tell }: Order): Promise<Figure> {
  tell(`a restore of ${Math.round(size.megabytes)} MB on ${name}`)
  const before = { database: cpuOfPostgres(cluster), at: performance.now() }
  const child = spawn(process.execPath, [RESTORE_MAIN, join(size.folder, 'sqlite.backup')], {
    env: { PATH: process.env.PATH, WRIT_KEYS: size.keys, ...env }, stdio: ['ignore', 'ignore', 'pipe'],
  })
  let [cpuMs, largestMb]: [number | undefined, number | undefined] = [undefined, undefined]
  const looking = setInterval(() => {
    cpuMs = cpuOf(child.pid!) ?? cpuMs
    largestMb = largestOf(child.pid!) ?? largestMb
  }, LOOK_MS)
  const said = text(child.stderr)
  const [code] = await once(child, 'close') as [number | null]
  clearInterval(looking)
  const seconds = (performance.now() - before.at) / 1000
  if (code !== 0) throw new Error(`not restored: ${await said}`)
  return figureOf('restore', name, size, { seconds, cpuMs: cpuMs ?? null, largestMb, databaseCpuMs: name === 'postgres' ? perOp(before.database, cpuOfPostgres(cluster), 1) : null })
}
