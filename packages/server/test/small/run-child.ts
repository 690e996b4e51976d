import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export type Child = {
  readonly process: ChildProcess
  readonly lines: Interface
  /** Everything said so far. */
  readonly said: readonly string[]
  readonly complained: readonly string[]
  /** Resolves with the signal or exit code. */
  readonly ended: Promise<NodeJS.Signals | number>
}

/** Starts `child.ts`; see there for the arguments. */
export function runChild(args: readonly string[], failpoint?: string): Child {
  const env = { ...process.env, ...(failpoint === undefined ? {} : { WRIT_FAILPOINT: failpoint }) }
  const child = spawn(process.execPath, [fileURLToPath(new URL('child.ts', import.meta.url)), ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const lines = createInterface(child.stdout)
  const said: string[] = []
  const complained: string[] = []
  lines.on('line', (line) => { said.push(line) })
  createInterface(child.stderr).on('line', (line) => { complained.push(line) })
  // 'close' comes after both streams have been read to their end.
  const ended = once(child, 'close').then(([code, signal]) => (signal ?? code) as NodeJS.Signals | number)
  return { process: child, lines, said, complained, ended }
}

/** Resolves once the child has said `line`, or rejects when it ends before. */
export async function untilSaid(child: Child, line: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    if (child.said.includes(line)) resolve()
    child.lines.on('line', (one) => { if (one === line) resolve() })
    void child.ended.then((how) => { reject(new Error(`the child ended with ${how} before it said \`${line}\`: ${child.complained.join('\n')}`)) })
  })
}
