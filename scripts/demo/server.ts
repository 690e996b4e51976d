import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { WRIT, type Stage } from './stage.ts'

export type Server = { stop(): Promise<void> }

/** Up and signed in, as `writ up` leaves it. In a group of its own: the Ctrl-C of a terminal comes to us, and we say it to the server. */
export async function startServer({ folder, environment, leash }: Stage, port: string): Promise<Server> {
  const child = spawn(process.execPath, [WRIT, 'up', '--data', join(folder, 'data'), '--port', port], { env: environment, stdio: ['ignore', 'inherit', 'pipe'], detached: true })
  leash.hold(child)
  let isStopping = false
  const ended = once(child, 'exit').then(([code]) => {
    if (!isStopping) throw new Error(`the server ended with exit code ${String(code)}`)
  })
  await Promise.race([signedIn(child), ended])
  ended.catch((error: unknown) => process.stderr.write(`${String(error)}\n`))
  return {
    async stop() {
      isStopping = true
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      await once(child, 'exit')
    },
  }
}

const signedIn = (child: ChildProcess): Promise<void> => new Promise((ready) => {
  child.stderr!.on('data', (chunk: Buffer) => {
    process.stderr.write(chunk)
    if (chunk.includes('writ open --first')) ready()
  })
})
