import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Leash } from './leash.ts'

export const ROOT = resolve(import.meta.dirname, '../..')
export const DEMO = import.meta.dirname
export const WRIT = join(ROOT, 'packages/cli/bin/writ.mjs')
export const MCP_SERVERS = join(ROOT, 'node_modules/@modelcontextprotocol')

/** Where the story is told: a folder that goes when it ends, and the environment of whoever comes to Writ from there. */
export type Stage = {
  readonly folder: string
  readonly environment: NodeJS.ProcessEnv
  readonly leash: Leash
  /** Whatever runs beside the story, and must not outlive it. */
  readonly children: Set<ChildProcess>
}

export function step(text: string): void {
  process.stdout.write(`\n== ${text}\n`)
}

export function note(text: string): void {
  process.stdout.write(`   ${text}\n`)
}

export function startChild({ children }: Stage, command: string, words: readonly string[], options: SpawnOptions): ChildProcess {
  const child = spawn(command, words, options)
  children.add(child)
  child.once('exit', () => children.delete(child))
  return child
}

export type Said = { readonly code: number | null; readonly text: string }

export type WritOrder = {
  readonly environment?: NodeJS.ProcessEnv
  /** What it is to answer; 0 unless said. */
  readonly code?: number
  /** Hears each piece of what it says, as it comes. */
  readonly heard?: (text: string) => void
}

/** The same command line that anyone would use; what it says is shown. */
export async function writ(stage: Stage, words: readonly string[], { environment = stage.environment, code: wanted = 0, heard }: WritOrder = {}): Promise<Said> {
  process.stdout.write(`$ writ ${words.map((word) => shown(stage, word)).join(' ')}\n`)
  const child = startChild(stage, process.execPath, [WRIT, ...words], { env: environment, stdio: heard === undefined ? 'inherit' : ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const [from, to] of [[child.stdout, process.stdout], [child.stderr, process.stderr]] as const) {
    from?.setEncoding('utf8').on('data', (piece: string) => {
      to.write(piece)
      text += piece
      heard?.(text)
    })
  }
  const [code] = await once(child, 'close') as [number | null]
  if (code !== wanted) throw new Error(`\`writ ${words[0]}\` ended with exit code ${String(code)}`)
  return { code, text }
}

const shown = ({ folder }: Stage, word: string): string => (/^[\w./:=-]+$/.test(word)
  ? word.replace(`${folder}/`, '').replace(`${DEMO}/`, '').replace(`${MCP_SERVERS}/`, '').replace(process.execPath, 'node') : `'${word}'`)

/** A workload's own key pair: the private half stays in its file, the public half goes to the registry. */
export function makeKey({ folder }: Stage, name: string): string {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const file = join(folder, `${name}.jwk`)
  writeFileSync(file, JSON.stringify(privateKey.export({ format: 'jwk' })), { mode: 0o600 })
  writeFileSync(join(folder, `${name}.pub.jwk`), JSON.stringify(publicKey.export({ format: 'jwk' })))
  return file
}
