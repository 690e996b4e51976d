import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { AS_OFTEN_AS_NEEDED, CHILD_ENVIRONMENT } from './child-environment.ts'
import { MAIN, orKilled, runOf } from './program.ts'
import type { RunningWrit } from './running-writ.ts'

const START_MS = 60_000

/** Another server of the same Writ: on its store, with its keys, and known to clients by the same name. */
export async function startBeside(writ: Pick<RunningWrit, 'url' | 'folder' | 'databaseUrl'>, env: NodeJS.ProcessEnv = {}): Promise<{ readonly url: string; stop(): Promise<void> }> {
  if (writ.databaseUrl === undefined) throw new Error('only on PostgreSQL do two servers share a store')
  const child = spawn(process.execPath, runOf(MAIN), {
    env: {
      ...CHILD_ENVIRONMENT, ...AS_OFTEN_AS_NEEDED, WRIT_DATA: join(writ.folder, 'second'), WRIT_KEYS: join(writ.folder, 'data-keys'), WRIT_PORT: '0', WRIT_LOG: 'info',
      WRIT_DATABASE_URL: writ.databaseUrl, WRIT_ISSUER: writ.url, ...env,
    },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  let said = ''
  child.stderr!.on('data', (chunk: Buffer) => { said += chunk.toString() })
  const ended = once(child, 'exit')
  const told = once(child, 'message', { signal: AbortSignal.timeout(START_MS) }).then(([message]) => (message as { url: string }).url)
  const url = await orKilled(child, Promise.race([told, ended.then(([code]) => { throw new Error(`the second server ended with ${code}: ${said}`) })]))
  return {
    url,
    async stop() {
      child.kill('SIGTERM')
      await ended
    },
  }
}
