import { readFileSync } from 'node:fs'

const MB = 1024 * 1024

/** What a process takes of the machine's memory, where the system tells. */
export function memoryOf(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  if (kilobytes === undefined) throw new Error(`nothing is known of the memory of process ${pid}`)
  return Number(kilobytes) * 1024
}

export type Growth = { /** In MB, at its highest, above what it was at first. */ readonly stop: () => number }

/** Watches how much more a process takes than now. */
export function watchMemory(pid: number): Growth {
  const first = memoryOf(pid)
  let most = first
  const watching = setInterval(() => { most = Math.max(most, memoryOf(pid)) }, 20)
  return {
    stop() {
      clearInterval(watching)
      return Math.round((Math.max(most, memoryOf(pid)) - first) / MB)
    },
  }
}
