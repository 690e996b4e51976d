/** Chances that come again with the same seed. */
export type Random = {
  /** From 0 up to, and without, this. */
  below(most: number): number
  pick<T>(from: readonly T[]): T
  /** True once in so many times. */
  onceIn(times: number): boolean
}

/** Mulberry32. */
export function randomFrom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (most: number): number => Math.floor(next() * most)
  return { below, pick: (from) => from[below(from.length)]!, onceIn: (times) => below(times) === 0 }
}
