export type CaughtSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'
const CAUGHT: readonly CaughtSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP']

/** Signals that come to this process, from before the task opens until it is closed: none of them may leave it open. */
export type Signals = {
  /** The first one that came while nobody took them. */
  readonly pending: () => CaughtSignal | undefined
  readonly take: (taker: ((signal: CaughtSignal) => void) | undefined) => void
  readonly release: () => void
}

export function catchSignals(): Signals {
  let first: CaughtSignal | undefined
  let taker: ((signal: CaughtSignal) => void) | undefined
  const heard = (signal: NodeJS.Signals): void => {
    if (taker === undefined) first ??= signal as CaughtSignal
    else taker(signal as CaughtSignal)
  }
  for (const signal of CAUGHT) process.on(signal, heard)
  return {
    pending: () => first,
    take: (next) => void (taker = next),
    release: () => CAUGHT.forEach((signal) => process.off(signal, heard)),
  }
}

/** A terminal sends Ctrl-C to the whole process group; the command has it already and would take a second one for impatience. */
export const comesFromTerminal = (signal: CaughtSignal): boolean => signal === 'SIGINT' && process.stdin.isTTY === true
