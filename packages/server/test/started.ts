import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { CHILD_ENVIRONMENT } from './child-environment.ts'
import { MAIN, orKilled, runOf } from './program.ts'

const START_MS = 30_000

export type Started = {
  readonly url: string
  /** The address and port of the connections themselves. */
  readonly listensAt: string
  readonly pid: number
  log(): string
  out(): string
  /** Resolves with the exit code or the signal. */
  stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals>
}

/** The server in a process of its own, where nobody has signed in and a test speaks to its sockets itself. */
export async function started(env: NodeJS.ProcessEnv): Promise<Started> {
  const child = spawn(process.execPath, runOf(MAIN), { env: { ...CHILD_ENVIRONMENT, WRIT_LOG: 'debug', WRIT_PORT: '0', ...env }, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  let [out, err] = ['', '']
  child.stdout!.on('data', (chunk: Buffer) => { out += chunk.toString() })
  child.stderr!.on('data', (chunk: Buffer) => { err += chunk.toString() })
  const ended = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals)
  const told = once(child, 'message', { signal: AbortSignal.timeout(START_MS) }).then(([message]) => message as { readonly url: string; readonly listensAt: string })
  const ready = await orKilled(child, Promise.race([told, ended.then((code) => { throw new Error(`the server ended with ${code}: ${err}`) })]))
  return {
    ...ready,
    pid: child.pid!,
    log: () => err,
    out: () => out,
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      return await ended
    },
  }
}
