import { randomFillSync } from 'node:crypto'

/** The source of everything that must not be guessed. */
export type Entropy = { bytes(count: number): Uint8Array }

export const hostEntropy: Entropy = { bytes: (count) => randomFillSync(new Uint8Array(count)) }

/** A number in [0, 1) with 48 random bits, for jitter. */
export function fractionOf(entropy: Entropy): number {
  const bits = entropy.bytes(6).reduce((value, byte) => value * 256 + byte, 0)
  return bits / 2 ** 48
}
