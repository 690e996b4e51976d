const [point, deed] = process.env['WRIT_FAILPOINT']?.split('!') ?? []
const [armed, nth = '1'] = point?.split('#') ?? []

/** How often this thread has come past the armed point. */
let passed = 0

/**
 * Kills the whole process at once, as a power cut would, when the environment names this point: `WRIT_FAILPOINT=store.before_commit:open_task`
 * for `failpoint('store.before_commit', 'open_task')`, with `#5` behind it the fifth time. With `!stop` at the end the process stands still
 * there, all its threads, until it is told to go on (SIGCONT). For crash tests; otherwise it costs one comparison. Works in worker threads.
 */
export function failpoint(name: string, of?: string): void {
  if (armed === undefined) return
  if (armed === (of === undefined ? name : `${name}:${of}`) && ++passed === Number(nth)) process.kill(process.pid, deed === 'stop' ? 'SIGSTOP' : 'SIGKILL')
}
