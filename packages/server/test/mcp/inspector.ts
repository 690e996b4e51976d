import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { delimiter, dirname } from 'node:path'

const BIN = createRequire(import.meta.url).resolve('@modelcontextprotocol/inspector-cli/build/cli.js')

export type Inspected = { readonly code: number | null; readonly out: string; readonly err: string }

/** The MCP Inspector as somebody at a terminal runs it. It reads its own package by the folder that it is started in, and starts a `node`. */
export async function inspector(args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Inspected> {
  const path = [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter)
  const child = spawn(process.execPath, [BIN, '--cli', ...args], { cwd: dirname(BIN), env: { ...environment, PATH: path }, stdio: ['ignore', 'pipe', 'pipe'] })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => { out += chunk.toString() })
  child.stderr.on('data', (chunk: Buffer) => { err += chunk.toString() })
  const { promise, resolve, reject } = Promise.withResolvers<number | null>()
  child.on('error', reject).on('close', resolve)
  return { code: await promise, out, err }
}
