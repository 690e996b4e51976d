import { setTimeout as pause } from 'node:timers/promises'

export type OfferOrder = {
  readonly perSecond: number
  /** How many may be under way; what is due beyond them is not begun, and is told. */
  readonly most: number
  readonly isOver: () => boolean
}

export type Offered = { readonly begun: number; readonly withheld: number; readonly ms: number }

const TICK_MS = 5

/** An open loop: `begin` is called at a steady rate, however long what it began before takes. Ends when all of it has ended. */
export async function offer({ perSecond, most, isOver }: OfferOrder, begin: (turn: number) => Promise<void>): Promise<Offered> {
  const started = performance.now()
  const underWay = new Set<Promise<void>>()
  const failed: unknown[] = []
  let due = 0
  let begun = 0
  for (; !isOver() && failed.length === 0; await pause(TICK_MS)) {
    for (const until = (performance.now() - started) * perSecond / 1000; due < until; due++) {
      if (underWay.size >= most) continue
      const one: Promise<void> = begin(begun++).catch((error: unknown) => { failed.push(error) }).finally(() => underWay.delete(one))
      underWay.add(one)
    }
  }
  const ms = performance.now() - started
  await Promise.all(underWay)
  if (failed.length > 0) throw failed[0]
  return { begun, withheld: due - begun, ms }
}
