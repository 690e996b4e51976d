import type { Entropy } from '../../src/platform/entropy.ts'

/** Counts upwards: every answer is different from the ones before, and the same in every run. */
export function countingEntropy(start = 0): Entropy {
  let count = start
  return {
    bytes(length) {
      count += 1
      const bytes = new Uint8Array(length)
      let rest = count
      for (let i = length - 1; i >= 0 && rest > 0; i--) {
        bytes[i] = rest % 256
        rest = Math.floor(rest / 256)
      }
      return bytes
    },
  }
}
