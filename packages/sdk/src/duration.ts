import { Misconfigured } from './errors.ts'

const SECONDS_OF = { s: 1, m: 60, h: 3600 } as const

/** `90s`, `10m`, `2h`, or a number of seconds. */
export type Duration = `${number}${keyof typeof SECONDS_OF}` | number

export function toSeconds(duration: Duration): number {
  const found = /^(\d{1,6})([smh])$/.exec(String(duration))
  const seconds = typeof duration === 'number' ? duration : Number(found?.[1]) * SECONDS_OF[found?.[2] as keyof typeof SECONDS_OF]
  if (Number.isSafeInteger(seconds) && seconds > 0) return seconds
  throw new Misconfigured(`\`${duration}\` is no length of time`, { code: 'malformed_duration', hint: 'write it as `90s`, `10m` or `2h`' })
}
