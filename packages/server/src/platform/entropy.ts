import { randomFillSync } from 'node:crypto'

/** The source of everything that must not be guessed. */
export type Entropy = { bytes(count: number): Uint8Array }

const POOL_BYTES = 8192

/**
 * Draws from a pool that the host's generator fills: one call of it costs as much for 16 bytes as for thousands, and a change asks for a dozen
 * values. What was handed out is wiped, so that no later reader of the memory finds it here.
 */
function pooled(): Entropy {
  const pool = new Uint8Array(POOL_BYTES)
  let next = POOL_BYTES
  return {
    bytes(count) {
      if (count > POOL_BYTES) return randomFillSync(new Uint8Array(count))
      if (next + count > POOL_BYTES) {
        randomFillSync(pool)
        next = 0
      }
      const drawn = pool.slice(next, next + count)
      pool.fill(0, next, next + count)
      next += count
      return drawn
    },
  }
}

export const hostEntropy: Entropy = pooled()

/** A number in [0, 1) with 48 random bits, for jitter. */
export function fractionOf(entropy: Entropy): number {
  const bits = entropy.bytes(6).reduce((value, byte) => value * 256 + byte, 0)
  return bits / 2 ** 48
}
