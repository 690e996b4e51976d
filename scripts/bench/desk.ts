import { Agent } from 'node:http'
import { load, type Timed } from './figure.ts'
import { perOp } from './machine.ts'
import { paced, post, type Ask, type Paced, type Place } from './paced.ts'

/** Where something is asked for over HTTP, what each request carries, and whose CPU time is looked at. */
export type Desk = Place & {
  readonly asks: (count: number) => readonly Ask[]
  readonly cpu: () => number | undefined
  readonly databaseCpu: () => number | undefined
}
/** How many requests: at a pace, as many as go through, and before anything is measured. */
export type Counts = { readonly offered: number; readonly full: number; readonly warmUp: number }
export type AtDesk = { readonly offered: Paced; readonly full: Timed; readonly cpuPerOp: number | null; readonly databaseCpuPerOp: number | null }
/** `perSecond`: offered. `concurrency`: of those that go through as fast as they do. `gently`: so many come first, two at once. */
export type Pace = { readonly perSecond: number; readonly concurrency: number; readonly gently?: number }

/** The same requests twice: so many a second, and as many as there is room for. */
export async function measureAt(desk: Desk, counts: Counts, { perSecond, concurrency, gently = 0 }: Pace): Promise<AtDesk> {
  const agent = new Agent({ keepAlive: true })
  const each = (count: number): ((index: number) => Promise<void>) => {
    const asks = desk.asks(count)
    return (index) => post(agent, desk, asks[index]!)
  }
  try {
    await load(gently, 2, each(gently))
    await load(counts.warmUp, concurrency, each(counts.warmUp))
    const offered = await paced(counts.offered, perSecond, each(counts.offered))
    const one = each(counts.full)
    const [server, database] = [desk.cpu(), desk.databaseCpu()]
    const full = await load(counts.full, concurrency, one)
    return { offered, full, cpuPerOp: perOp(server, desk.cpu(), counts.full), databaseCpuPerOp: perOp(database, desk.databaseCpu(), counts.full) }
  } finally {
    agent.destroy()
  }
}
