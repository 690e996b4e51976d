import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { textOf } from '../platform/utf8.ts'
import { MOST_MESSAGE_BYTES } from './message.ts'
import { UpstreamFault } from './upstream.ts'

export type ChildOrder = {
  readonly server: string
  readonly command: string
  readonly args: readonly string[]
  /** Its own empty folder when left out. */
  readonly cwd: string | undefined
  /** What it gets beside the few names that every program expects. */
  readonly environment: Readonly<Record<string, string>>
  /** One line of its output, which may be no message. */
  readonly hear: (line: string) => void
}

/** `code` is a word of ours. `lastWords`: the end of what it wrote to its standard error; for an operator's eyes, never an answer. */
export type ChildEnd = { readonly code: string; readonly lastWords: readonly string[] }

export type StdioChild = {
  readonly ended: Promise<ChildEnd>
  /** Writes one line. Waits while the child does not read; rejects when that is too much or the child is gone. */
  write(line: string): Promise<void>
  /** Ends it and all that it started. Resolves once they are gone, and its folder with them. */
  end(): Promise<void>
}

const KILL_AFTER_MS = 2000
const MOST_UNREAD_BYTES = 32 * 1024 * 1024
const MOST_LAST_WORDS = 40
const LONGEST_LAST_WORD = 500

/**
 * Runs the command in a process group of its own, in which a watcher reads a pipe whose other end only we hold: when we die, however we die,
 * the pipe ends, and the watcher ends the group and removes its folder. A word through the pipe dismisses it. While the watcher lives, the
 * group's number belongs to nobody else.
 */
const WATCHED = `
( trap '' TERM HUP INT QUIT
  read -r word <&3 && exit 0
  kill -TERM -$$ 2>/dev/null
  for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 $$ 2>/dev/null || break; sleep 0.2; done
  rm -rf -- "$1"
  kill -KILL -$$ ) </dev/null >/dev/null 2>&1 &
shift
exec "$@" 3<&-
`

/** Starts the command. What is wrong with it, such as that there is none, is said by its end. */
export async function startChild(order: ChildOrder): Promise<StdioChild> {
  if (process.platform === 'win32') throw new UpstreamFault(order.server, 'unsupported_platform')
  const home = await mkdtemp(join(tmpdir(), 'writ-mcp-'))
  const child = spawn('/bin/sh', ['-c', WATCHED, 'writ-mcp', home, order.command, ...order.args], {
    cwd: order.cwd ?? home, env: { ...usual(home), ...order.environment }, stdio: ['pipe', 'pipe', 'pipe', 'pipe'], detached: true,
  })
  const [input, output, errors, leash] = child.stdio as unknown as [Writable, Readable, Readable, Writable]
  for (const pipe of [input, output, errors, leash]) pipe.on('error', () => undefined)
  const words = lastWords(errors)
  const { promise: ended, resolve: setEnded } = Promise.withResolvers<ChildEnd>()
  let flaw: string | undefined
  const kill = (signal: NodeJS.Signals): void => { killGroup(child, signal) }
  readLines(output, order.hear, (code) => {
    flaw = code
    kill('SIGKILL')
  })
  const gone = async (code: string): Promise<void> => {
    // Whatever it started goes with it, the watcher too.
    kill('SIGKILL')
    leash.destroy()
    await rm(home, { recursive: true, force: true }).catch(() => undefined)
    setEnded({ code: flaw ?? code, lastWords: words() })
  }
  child.once('error', () => { if (child.pid === undefined) void gone('cannot_run') })
  child.once('exit', (code) => { void gone(code === 127 ? 'command_not_found' : code === 126 ? 'cannot_run' : 'ended') })
  let impatience: NodeJS.Timeout | undefined
  return {
    ended,
    write: writer(input, order.server, ended),
    async end() {
      input.end()
      kill('SIGTERM')
      impatience ??= setTimeout(() => { kill('SIGKILL') }, KILL_AFTER_MS)
      await ended
      clearTimeout(impatience)
    },
  }
}

/** Nothing of ours: neither this process's secrets nor what it was told about other things. */
function usual(home: string): Record<string, string> {
  const { PATH = '/usr/local/bin:/usr/bin:/bin', LANG, TZ } = process.env
  return { PATH, HOME: home, ...(LANG === undefined ? {} : { LANG }), ...(TZ === undefined ? {} : { TZ }) }
}

function killGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch (cause) {
    // Nobody is left.
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ESRCH')) throw cause
  }
}

/** The last lines, each cut, whatever comes. */
function lastWords(errors: Readable): () => readonly string[] {
  const lines: string[] = []
  let begun = ''
  errors.setEncoding('utf8').on('data', (piece: string) => {
    const parts = (begun + piece).split('\n')
    begun = parts.pop()!.slice(0, LONGEST_LAST_WORD)
    for (const part of parts.slice(-MOST_LAST_WORDS)) lines.push(part.slice(0, LONGEST_LAST_WORD))
    lines.splice(0, lines.length - MOST_LAST_WORDS)
  })
  return () => [...lines, ...(begun === '' ? [] : [begun])]
}

/** Hands over whole lines. One that has no end within the bound is the end of the child. */
function readLines(output: Readable, hear: (line: string) => void, flawed: (code: string) => void): void {
  let begun: Buffer[] = []
  let size = 0
  output.on('data', (chunk: Buffer) => {
    let from = 0
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, from)) {
      begun.push(chunk.subarray(from, at))
      from = at + 1
      const line = begun.length === 1 ? begun[0]! : Buffer.concat(begun)
      begun = []
      size = 0
      // A line that is no text is no message either.
      const text = textOf(line)
      if (text !== undefined && text.trim() !== '') hear(text)
    }
    if (from === chunk.length) return
    begun.push(chunk.subarray(from))
    size += chunk.length - from
    if (size <= MOST_MESSAGE_BYTES) return
    output.removeAllListeners('data').resume()
    begun = []
    flawed('too_large')
  })
}

function writer(input: Writable, server: string, ended: Promise<ChildEnd>): StdioChild['write'] {
  let drained: Promise<void> = Promise.resolve()
  return async (line) => {
    if (!input.writable) throw new UpstreamFault(server, 'ended')
    if (input.writableLength > MOST_UNREAD_BYTES) throw new UpstreamFault(server, 'not_reading')
    if (input.write(`${line}\n`)) return
    drained = Promise.race([drained, new Promise<void>((resolve) => { input.once('drain', resolve) }), ended.then(() => undefined)])
    await drained
  }
}
