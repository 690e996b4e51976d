import { spawn, type ChildProcess } from 'node:child_process'
import { constants } from 'node:os'
import type { Writable } from 'node:stream'
import { EXIT } from '../exit.ts'
import type { Delivery } from './delivery.ts'
import { startKeeper } from './keeper.ts'

/** How the command ended, as its exit code tells a shell. */
export type Ran =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'killed'; readonly signal: NodeJS.Signals }
  | { readonly kind: 'not_started'; readonly code: 126 | 127; readonly why: string }

export type Child = {
  readonly ended: Promise<Ran>
  readonly signal: (signal: NodeJS.Signals) => void
  /** SIGTERM, and SIGKILL when that is not heard. */
  readonly stop: () => void
}

const KILL_AFTER_MS = 5000

export const exitCodeOf = (ran: Ran): number => (ran.kind === 'killed' ? 128 + constants.signals[ran.signal] : ran.code)

/**
 * Starts the command in this process group, so that it keeps the terminal, with stdin, stdout and stderr untouched. A keeper ends it
 * should this process be killed without a chance to do so itself.
 */
export function startChild(command: readonly string[], delivery: Delivery): Child {
  const [program = '', ...args] = command
  const keeper = startKeeper(delivery.folder)
  const child = spawn(program, args, {
    env: delivery.environment,
    stdio: delivery.descriptorText === undefined ? 'inherit' : ['inherit', 'inherit', 'inherit', 'pipe'],
  })
  if (child.pid !== undefined) keeper?.watch(child.pid)
  if (delivery.descriptorText !== undefined && child.pid !== undefined) writeDescriptor(child, delivery.descriptorText)
  let kill: NodeJS.Timeout | undefined
  const ended = endOf(child).finally(() => {
    clearTimeout(kill)
    keeper?.dismiss()
  })
  return {
    ended,
    signal: (signal) => void child.kill(signal),
    stop: () => {
      child.kill('SIGTERM')
      kill ??= setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS)
    },
  }
}

function endOf(child: ChildProcess): Promise<Ran> {
  return new Promise((resolve) => {
    child.once('error', (fault: NodeJS.ErrnoException) => {
      // An error after the start is about a signal that could not be sent; the end still comes.
      if (child.pid !== undefined) return
      resolve({ kind: 'not_started', code: fault.code === 'ENOENT' ? EXIT.command_not_found : EXIT.cannot_run, why: fault.code === 'ENOENT' ? 'there is no such command' : `it can not be executed (${fault.code})` })
    })
    child.once('exit', (code, signal) => resolve(signal === null ? { kind: 'exited', code: code ?? EXIT.unexpected } : { kind: 'killed', signal }))
  })
}

function writeDescriptor(child: ChildProcess, text: string): void {
  const pipe = child.stdio[3] as Writable
  // A command that does not care for its leases may close the descriptor or end before it reads.
  pipe.on('error', () => undefined)
  pipe.end(text)
}
