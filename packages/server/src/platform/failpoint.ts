const armed = process.env['WRIT_FAILPOINT']

/**
 * Kills the whole process at once, as a power cut would, when the environment names this point: `WRIT_FAILPOINT=store.before_commit:open_task`
 * for `failpoint('store.before_commit', 'open_task')`. For crash tests; otherwise it costs one comparison. Works in worker threads.
 */
export function failpoint(name: string, of?: string): void {
  if (armed === undefined) return
  if (armed === (of === undefined ? name : `${name}:${of}`)) process.kill(process.pid, 'SIGKILL')
}
