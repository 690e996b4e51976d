import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { constants } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { call } from '../client.ts'
import { configPath, bearerFor, readConfig } from '../config.ts'
import { CommandFailure, EXIT, usage, type Run } from '../exit.ts'
import { printFailure, say, warn } from '../output.ts'
import { settingsOf, type Settings } from '../settings.ts'
import { parseLink, signIn } from './login.ts'
import { port } from './options.ts'

type UpFlags = { readonly data?: string; readonly port?: number; readonly host?: string; readonly login: boolean; readonly newOperatorLink?: string }

export function define(command: Command, run: Run): void {
  command
    .description('start the server; on its first start the operator key is stored for this command line')
    .option('--data <folder>', 'where the server keeps its store (also WRIT_DATA; else .writ)')
    .option('--port <number>', 'where it listens (also WRIT_PORT; else 7400)', port)
    .option('--host <address>', 'the address it listens on (also WRIT_HOST; else 127.0.0.1)')
    .option('--new-operator-link <why>', 'the operator keys are lost: offer a one-time link for one more operator; why is recorded')
    .option('--no-login', 'leave the one-time link to you')
    .action((flags: UpFlags) => run(() => up(settingsOf(command), flags)))
}

async function up(settings: Settings, flags: UpFlags): Promise<number> {
  if (flags.newOperatorLink?.trim() === '') throw usage('--new-operator-link needs a reason')
  // A broken configuration is said before a server runs that nobody can sign in to.
  if (flags.login) await readConfig(settings.environment)
  const data = resolve(flags.data || settings.environment.WRIT_DATA || '.writ')
  const main = fileURLToPath(import.meta.resolve('@writ/server/main'))
  const server = spawn(process.execPath, [main], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...settings.environment, WRIT_DATA: data, ...settingsIn(flags) },
  })
  const ended = once(server, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  forwardSignals(server)
  if (flags.login) {
    firstSignIn(settings, server, data).catch((fault: unknown) => {
      if (fault instanceof CommandFailure) printFailure(fault, false)
      else warn(`error: first sign-in: ${fault instanceof Error ? fault.message : String(fault)}`)
    })
  }
  const [code, signal] = await ended
  return signal === null ? (code ?? EXIT.unexpected) : 128 + constants.signals[signal]
}

const settingsIn = ({ port: number, host, newOperatorLink }: UpFlags): NodeJS.ProcessEnv => ({
  ...(number === undefined ? {} : { WRIT_PORT: String(number) }), ...(host === undefined ? {} : { WRIT_HOST: host }),
  ...(newOperatorLink === undefined ? {} : { WRIT_NEW_OPERATOR_LINK: newOperatorLink }),
})

/** A terminal sends Ctrl-C to both processes; the server must not hear it twice. */
function forwardSignals(server: ChildProcess): void {
  const fromTerminal = process.stdin.isTTY === true
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (!(fromTerminal && signal === 'SIGINT')) server.kill(signal)
    })
  }
}

/** Redeems the server's one-time code when this command line has no key that the server takes. */
async function firstSignIn(settings: Settings, server: ChildProcess, data: string): Promise<void> {
  const url = await readyUrl(server)
  const link = await readFile(join(data, 'bootstrap'), 'utf8').catch((fault: NodeJS.ErrnoException) => {
    if (fault.code === 'ENOENT') return undefined
    throw fault
  })
  if (link === undefined || (await isSignedIn(settings, url))) return
  await signIn(settings, url, parseLink(link).code)
  say(settings, `operator key stored in ${configPath(settings.environment)}`)
  say(settings, 'to sign in to the console: writ open --first')
}

/** The server's own word. Whoever else answers at that address must not get the code: until then it may be another server's. */
function readyUrl(server: ChildProcess): Promise<string> {
  return new Promise((found) => {
    server.on('message', (message: unknown) => {
      if (typeof message === 'object' && message !== null && 'url' in message && typeof message.url === 'string') found(new URL(message.url).origin)
    })
  })
}

async function isSignedIn(settings: Settings, url: string): Promise<boolean> {
  const key = bearerFor(url, await readConfig(settings.environment), settings.environment)
  if (key === undefined) return false
  const { whoAmI } = await import('@writ/contract/registry')
  try {
    await call({ server: url, timeoutMs: settings.timeoutMs, bearer: () => key }, whoAmI)
    return true
  } catch (fault) {
    // Another data folder, another server: the key of the one before opens nothing here.
    if (fault instanceof CommandFailure && fault.exit === EXIT.not_signed_in) return false
    throw fault
  }
}
