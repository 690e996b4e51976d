declare const unit: unique symbol

/** Milliseconds since 1970-01-01T00:00:00Z. The only instant inside Writ. */
export type EpochMs = number & { readonly [unit]: 'epoch-ms' }

/** A length of time in milliseconds. */
export type Milliseconds = number & { readonly [unit]: 'ms' }

/** RFC 7519 §2 NumericDate: whole seconds since 1970-01-01T00:00:00Z. */
export type NumericDate = number & { readonly [unit]: 'numeric-date' }

export const epochMs = (value: number): EpochMs => value as EpochMs
export const milliseconds = (value: number): Milliseconds => value as Milliseconds
export const seconds = (value: number): Milliseconds => (value * 1000) as Milliseconds

/** RFC 7519 §2 NumericDate: whole seconds. Rounds down, so a token never outlives its lease. */
export const toNumericDate = (at: EpochMs): NumericDate => Math.floor(at / 1000) as NumericDate

export const fromNumericDate = (at: NumericDate): EpochMs => (at * 1000) as EpochMs

export const plus = (at: EpochMs, length: Milliseconds): EpochMs => (at + length) as EpochMs

export const earliest = (first: EpochMs, ...rest: readonly EpochMs[]): EpochMs => Math.min(first, ...rest) as EpochMs

export const toIso = (at: EpochMs): string => new Date(at).toISOString()

const DURATION = /^(\d{1,9})(ms|s|m|h|d)$/
const LENGTH_OF = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** Reads `90s`, `10m`, `1h`, `30d`; undefined for anything else, and for zero: there is no length that means for ever. */
export function parseDuration(text: string): Milliseconds | undefined {
  const found = DURATION.exec(text)
  if (!found) return undefined
  const length = Number(found[1]) * LENGTH_OF[found[2] as keyof typeof LENGTH_OF]
  return length > 0 && Number.isSafeInteger(length) ? milliseconds(length) : undefined
}
