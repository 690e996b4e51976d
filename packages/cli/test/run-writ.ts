import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TestContext } from 'node:test'
import { calculateJwkThumbprint, type JWK } from 'jose'
import { makeKey } from '../src/key-file.ts'
import { writeConfig } from '../src/config.ts'
import { Double, OPERATOR_KEY, SPIFFE_ID } from './double.ts'
import { CHILD_ENVIRONMENT } from '../../server/test/child-environment.ts'

export const BIN = fileURLToPath(new URL('../bin/writ.mjs', import.meta.url))

export type Ended = { readonly code: number | null; readonly signal: NodeJS.Signals | null; readonly out: string; readonly err: string }
export type Running = { readonly child: ChildProcess; readonly ended: Promise<Ended>; readonly saw: (text: string) => Promise<void>; readonly said: () => { readonly out: string; readonly err: string } }

export type Stage = { readonly folder: string; readonly environment: NodeJS.ProcessEnv }

/** An empty home of its own, so that no test reads or writes this user's configuration; it goes with the test. */
export async function emptyStage(t: Pick<TestContext, 'after'>): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), 'writ-cli-test-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return { folder, environment: { ...CHILD_ENVIRONMENT, HOME: folder, TMPDIR: folder, XDG_CONFIG_HOME: join(folder, 'config'), XDG_CACHE_HOME: join(tmpdir(), 'writ-cli-test-cache') } }
}

/** A double of the server, and a configuration that knows its operator key and one identity. */
export async function stageWithServer(t: TestContext): Promise<Stage & { readonly double: Double; readonly keyFile: string; readonly thumbprint: string }> {
  const stage = await emptyStage(t)
  const kept = await makeKey('migrator', stage.environment)
  const double = new Double(kept.publicKey as unknown as JWK)
  const url = await double.listen()
  t.after(() => double.close())
  await writeConfig(stage.environment, { url, operator: { id: 'opr_1', key: OPERATOR_KEY }, identities: { [SPIFFE_ID]: { key_file: kept.path } } })
  return { ...stage, double, keyFile: kept.path, thumbprint: await calculateJwkThumbprint(kept.publicKey) }
}

/** `open`: its input is left open. `program`: runs this in its place. */
type StartOptions = { readonly node?: string; readonly input?: string; readonly environment?: NodeJS.ProcessEnv; readonly open?: true; readonly program?: readonly string[] }

export function startWrit(stage: Stage, args: readonly string[], { node = process.execPath, input, environment = {}, open, program }: StartOptions = {}): Running {
  const [command = node, ...rest] = program ?? [node, BIN, ...args]
  const child = spawn(command, rest, { cwd: stage.folder, env: { ...stage.environment, ...environment }, stdio: ['pipe', 'pipe', 'pipe'] })
  let out = ''
  let err = ''
  const watchers = new Set<() => void>()
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
    watchers.forEach((look) => look())
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
    watchers.forEach((look) => look())
  })
  child.stdin.on('error', () => undefined)
  if (open !== true) child.stdin.end(input ?? '')
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, out, err }))
  })
  const saw = (text: string): Promise<void> => new Promise((resolve, reject) => {
    const look = (): void => {
      if (out.includes(text) || err.includes(text)) resolve()
    }
    watchers.add(look)
    look()
    void ended.then((all) => reject(new Error(`ended without \`${text}\`: ${all.out}\n${all.err}`)), reject)
  })
  return { child, ended, saw, said: () => ({ out, err }) }
}

export const writ = (stage: Stage, args: readonly string[], options?: Parameters<typeof startWrit>[2]): Promise<Ended> => startWrit(stage, args, options).ended
