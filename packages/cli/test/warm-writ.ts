import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { after, before } from 'node:test'
import { fileURLToPath } from 'node:url'
import { CHILD_ENVIRONMENT } from '../../server/test/child-environment.ts'
import type { Stage } from './run-writ.ts'

export type Asked = { readonly args: readonly string[]; readonly folder: string; readonly environment: NodeJS.ProcessEnv }
export type Ended = { readonly code: number; readonly out: string; readonly err: string }

/** Runs one command line to its end, as `writ` of `run-writ.ts` does. */
export type WarmWrit = (stage: Stage, args: readonly string[]) => Promise<Ended>

const HOST = fileURLToPath(new URL('warm-host.ts', import.meta.url))

/**
 * The command line in one process for all tests of a file, one command after another: for what a command says and answers, where a process
 * of its own for each would spend most of its time on its start. A command has its own environment, folder and output; its standard input is
 * empty.
 */
export function warmWritForFile(): WarmWrit {
  let host: ChildProcess | undefined
  let last: Promise<unknown> = Promise.resolve()
  before(() => {
    host = fork(HOST, { env: { ...CHILD_ENVIRONMENT }, execArgv: [], stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    host.stderr!.pipe(process.stderr, { end: false })
  })
  after(() => host!.kill())
  const ask = async (asked: Asked): Promise<Ended> => {
    const done = new AbortController()
    const ended = once(host!, 'message', done).then(([message]) => message as Ended)
    const died = once(host!, 'exit', done).then(([code, signal]) => { throw new Error(`the command line's process ended with ${code ?? signal} at: ${asked.args.join(' ')}`) })
    host!.send(asked)
    try {
      return await Promise.race([ended, died])
    } finally {
      done.abort()
    }
  }
  return async ({ folder, environment }, args) => {
    const turn = last.then(() => ask({ args, folder, environment }))
    last = turn.catch(() => {})
    return await turn
  }
}
