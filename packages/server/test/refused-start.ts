import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { CHILD_ENVIRONMENT } from './child-environment.ts'
import { MAIN, runOf } from './program.ts'

export type RefusedStart = { readonly code: number | null; readonly said: string }

/** Starts the server, or that of another release, where it must not start; fails after 30 s when it does all the same. */
export async function refusedStart(env: NodeJS.ProcessEnv, program = MAIN): Promise<RefusedStart> {
  const child = spawn(process.execPath, runOf(program), { env: { ...CHILD_ENVIRONMENT, WRIT_PORT: '0', ...env }, stdio: ['ignore', 'ignore', 'pipe'], timeout: 30_000, killSignal: 'SIGKILL' })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => { said += chunk.toString() })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, said }
}
