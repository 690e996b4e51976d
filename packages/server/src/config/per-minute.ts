/** How often something may be done in a minute. Each counts what this server sees: several servers allow as many times more. */
export type MostPerMinute = {
  /** Questions of one identity that belong to no task. */
  readonly advice: number
  /** What one identity attempts in its tasks and is denied. */
  readonly denied: number
  /** Evidence from one address that proves nobody; of those that claim the same identity a tenth. */
  readonly refused: number
  /** What one address begins in order to sign in somebody: on the way to the provider, or for a command line. */
  readonly signIns: number
}

export const PER_MINUTE_SETTINGS = { advice: 'WRIT_ADVICE_PER_MINUTE', denied: 'WRIT_DENIED_PER_MINUTE', refused: 'WRIT_REFUSED_PER_MINUTE', signIns: 'WRIT_SIGN_INS_PER_MINUTE' } as const

const USUAL: MostPerMinute = { advice: 600, denied: 60, refused: 300, signIns: 300 }
const MOST = 1_000_000

/** What is left out is as it is usual; `fault` is told of what can not be used, which leaves that too. */
export function readPerMinute(env: Readonly<Record<string, string | undefined>>, fault: (setting: string, message: string) => void): MostPerMinute {
  const read = (of: keyof MostPerMinute): number => {
    const setting = PER_MINUTE_SETTINGS[of]
    const text = env[setting]
    if (text === undefined || text === '') return USUAL[of]
    if (/^[1-9]\d{0,6}$/.test(text) && Number(text) <= MOST) return Number(text)
    fault(setting, `must be a whole number from 1 to ${MOST}`)
    return USUAL[of]
  }
  return { advice: read('advice'), denied: read('denied'), refused: read('refused'), signIns: read('signIns') }
}
