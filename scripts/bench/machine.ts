import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'
import { join } from 'node:path'
import type { Cluster } from '../postgres-cluster.ts'

export type Machine = { readonly cpu: string; readonly cores: number; readonly memoryGb: number; readonly os: string; readonly node: string }

export const machine = (): Machine =>
  ({ cpu: cpus()[0]?.model ?? 'unknown', cores: cpus().length, memoryGb: Math.round(totalmem() / 2 ** 30), os: `${type()} ${release()}`, node: process.versions.node })

/** Milliseconds of CPU that the process has used; undefined where the kernel does not tell (it does on Linux). */
export function cpuOf(pid: number): number | undefined {
  return statOf(pid)?.ownMs
}

/** The most memory that the process has ever had, in MB; undefined where the kernel does not tell. */
export function largestOf(pid: number): number | undefined {
  const found = /^VmHWM:\s+(\d+) kB$/m.exec(readOr(`/proc/${pid}/status`))
  return found === null ? undefined : (Number(found[1]) * 1024) / 1e6
}

/** The same of a PostgreSQL: the postmaster, its children, and those that have ended. */
export function cpuOfPostgres(cluster: Pick<Cluster, 'dataDir'>): number | undefined {
  const postmaster = Number(readOr(join(cluster.dataDir, 'postmaster.pid')).split('\n', 1)[0])
  const own = statOf(postmaster)
  if (own === undefined) return undefined
  const children = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map((name) => statOf(Number(name))).filter((one) => one?.parent === postmaster)
  return children.reduce((sum, child) => sum + child!.ownMs, own.ownMs + own.endedChildrenMs)
}

/** What was used between two looks, for each operation; null when nobody could look. */
export const perOp = (before: number | undefined, after: number | undefined, ops: number): number | null =>
  before === undefined || after === undefined ? null : (after - before) / ops

let ticks: number | undefined

/** proc(5): after the name in parentheses come state, parent, ... and as fields 14 to 17 utime, stime, cutime, cstime in clock ticks. */
function statOf(pid: number): { readonly parent: number; readonly ownMs: number; readonly endedChildrenMs: number } | undefined {
  const text = readOr(`/proc/${pid}/stat`)
  if (text === '') return undefined
  ticks ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ').map(Number)
  const ms = (from: number): number => ((fields[from]! + fields[from + 1]!) * 1000) / ticks!
  return { parent: fields[1]!, ownMs: ms(11), endedChildrenMs: ms(13) }
}

function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // no such process, or no such kernel
  }
}
