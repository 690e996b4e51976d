import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { appendFileSync, chmodSync, closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Writable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { Client } from 'pg'
import { findBinaries, runAs, type RunAs } from './postgres-binaries.ts'

export type ClusterOrder = {
  /** The major version; the host's own, or the newest that npm brought, when left out. */
  readonly version?: 15 | 18
  /** Written to postgresql.conf after ours, so they win. */
  readonly settings?: Readonly<Record<string, string>>
  /** Lines put before ours in pg_hba.conf. */
  readonly hba?: readonly string[]
}

/** `fast` ends the clients' sessions and writes a checkpoint; `immediate` is what a crash looks like. */
export type StopMode = 'fast' | 'immediate'

export type Cluster = {
  readonly host: string
  readonly port: number
  readonly superuser: string
  readonly superuserPassword: string
  readonly version: number
  readonly dataDir: string
  readonly logFile: string
  url(database?: string): string
  /** Stops the server and keeps its data and its port, for a test of what happens meanwhile. */
  halt(mode?: StopMode): Promise<void>
  resume(): Promise<void>
  /** Stops the server and removes everything. */
  stop(mode?: StopMode): Promise<void>
}

/** Far more than a start takes (1 s); reached only where something is wrong. */
const START_TIMEOUT_MS = 30_000
const STOP_TIMEOUT_MS = 15_000
const HOST = '127.0.0.1'
const SUPERUSER = 'postgres'

/**
 * Runs the server in the shell's own process, with a watcher beside it that reads a pipe whose other end only we hold: when we die,
 * however we die, the pipe ends, and the watcher stops the server and removes its folder. A word through the pipe dismisses it.
 */
const WATCHED = `
( read -r word <&3 && exit 0
  kill -QUIT $$ 2>/dev/null
  for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 $$ 2>/dev/null || break; sleep 0.2; done
  rm -rf -- "$1" ) &
shift
exec "$@" 3<&-
`

/** Starts a PostgreSQL server of its own on a free port of the loopback interface; it lives no longer than this process. */
export async function startCluster(order: ClusterOrder = {}): Promise<Cluster> {
  if (process.platform === 'win32') throw new Error('a PostgreSQL of its own can be started on Linux and macOS only')
  const as = runAs()
  const folder = mkdtempSync(join(traversableTmp(), 'writ-postgres-'))
  chmodSync(folder, 0o755)
  try {
    const { bin, major } = findBinaries(order.version, folder, as)
    const password = randomBytes(24).toString('base64url')
    const dataDir = initialise(bin, folder, password, as)
    writeFileSync(join(dataDir, 'pg_hba.conf'), [...order.hba ?? [], `host all all ${HOST}/32 scram-sha-256`, ''].join('\n'))
    const logFile = join(folder, 'log')
    const start = (port: number): Promise<Running> => launch({ command: join(bin, 'postgres'), folder, dataDir, logFile, as }, port)
    const port = await firstStart(start, dataDir, order.settings ?? {})
    return clusterOf({ folder, dataDir, logFile, password, major, ...port, start })
  } catch (cause) {
    rmSync(folder, { recursive: true, force: true })
    throw cause
  }
}

type Running = { readonly child: ChildProcess; readonly leash: Writable }
type Place = { readonly command: string; readonly folder: string; readonly dataDir: string; readonly logFile: string; readonly as: RunAs }

function clusterOf(made: {
  readonly folder: string; readonly dataDir: string; readonly logFile: string; readonly password: string; readonly major: number
  readonly port: number; readonly running: Running; readonly start: (port: number) => Promise<Running>
}): Cluster {
  let running: Running | undefined = made.running
  const halt = async (mode: StopMode = 'fast'): Promise<void> => {
    const stopping = running
    running = undefined
    if (stopping) await end(stopping, mode)
  }
  return {
    host: HOST, port: made.port, superuser: SUPERUSER, superuserPassword: made.password,
    version: made.major, dataDir: made.dataDir, logFile: made.logFile,
    url: (database = 'postgres') => `postgres://${SUPERUSER}:${made.password}@${HOST}:${made.port}/${encodeURIComponent(database)}`,
    halt,
    resume: async () => { running ??= await made.start(made.port) },
    stop: async (mode = 'fast') => {
      await halt(mode)
      rmSync(made.folder, { recursive: true, force: true })
    },
  }
}

function initialise(bin: string, folder: string, password: string, as: RunAs): string {
  const dataDir = join(folder, 'data')
  const passwordFile = join(folder, 'password')
  writeFileSync(passwordFile, password, { mode: 0o600 })
  if (as) execFileSync('chown', ['-R', `${as.uid}:${as.gid}`, folder])
  try {
    execFileSync(join(bin, 'initdb'), [
      '--pgdata', dataDir, '--username', SUPERUSER, '--auth=scram-sha-256', '--pwfile', passwordFile,
      '--encoding=UTF8', '--locale=C', '--data-checksums', '--no-sync',
    ], { cwd: folder, env: childEnv(), stdio: ['ignore', 'ignore', 'pipe'], ...as })
  } catch (cause) {
    const said = (cause as { readonly stderr?: Buffer }).stderr?.toString() ?? ''
    throw new Error(`initdb failed: ${said.trim()}`, { cause })
  } finally {
    rmSync(passwordFile, { force: true })
  }
  return dataDir
}

/** Another process may take the free port between our look and the server's; then another one is tried. */
async function firstStart(
  start: (port: number) => Promise<Running>, dataDir: string, settings: Readonly<Record<string, string>>,
): Promise<{ readonly port: number; readonly running: Running }> {
  const ours = { listen_addresses: HOST, unix_socket_directories: '', max_connections: '300', log_timezone: 'UTC', timezone: 'UTC', ...settings }
  const line = ([name, value]: readonly [string, string]): string => `${name} = '${value.replaceAll("'", "''")}'`
  appendFileSync(join(dataDir, 'postgresql.conf'), `\n${Object.entries(ours).map(line).join('\n')}\n`)
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    try {
      return { port, running: await start(port) }
    } catch (cause) {
      if (attempt === 5 || !(cause instanceof Error && cause.message.includes('Address already in use'))) throw cause
    }
  }
}

async function launch(place: Place, port: number): Promise<Running> {
  const log = openSync(place.logFile, 'a', 0o600)
  const from = statSync(place.logFile).size
  const child = spawn('/bin/sh', ['-c', WATCHED, 'sh', place.folder, place.command, '-D', place.dataDir, '-p', String(port)], {
    cwd: place.folder, env: childEnv(), stdio: ['ignore', log, log, 'pipe'], detached: true, ...place.as,
  })
  closeSync(log)
  const leash = child.stdio[3] as Writable
  leash.on('error', () => { /* the watcher is gone already: nothing to dismiss */ })
  try {
    await ready(child, place, from)
  } catch (cause) {
    leash.end('dismissed\n')
    child.kill('SIGKILL')
    throw cause
  }
  // Neither the server nor its leash keeps our process alive: it may end without a word, and the watcher sees to the rest.
  child.unref()
  ;(leash as Writable & { unref(): void }).unref()
  return { child, leash }
}

/** The server writes `ready` as the eighth line of its pid file when it takes connections: what `pg_ctl --wait` reads too. */
async function ready(child: ChildProcess, place: Place, logFrom: number): Promise<void> {
  const pidFile = join(place.dataDir, 'postmaster.pid')
  const deadline = Date.now() + START_TIMEOUT_MS
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null || Date.now() > deadline) {
      throw new Error(`PostgreSQL did not start: ${readFileSync(place.logFile, 'utf8').slice(logFrom).trim()}`)
    }
    const lines = readOrEmpty(pidFile).split('\n')
    if (Number(lines[0]) === child.pid && lines[7]?.trim() === 'ready') return
    await wait(10)
  }
}

async function end({ child, leash }: Running, mode: StopMode): Promise<void> {
  child.ref()
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, 'exit')
    child.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
    const impatience = setTimeout(() => child.kill('SIGQUIT'), STOP_TIMEOUT_MS)
    await ended
    clearTimeout(impatience)
  }
  leash.end('dismissed\n')
}

/** Nothing of ours: neither this process's secrets nor a PGHOST that would mislead. */
const childEnv = (): NodeJS.ProcessEnv => ({ PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C' })

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // not there yet
  }
}

/** As root, TMPDIR may lie where the server's user may not go. */
function traversableTmp(): string {
  let at = tmpdir()
  if (process.getuid?.() !== 0) return at
  for (; dirname(at) !== at; at = dirname(at)) if ((statSync(at).mode & 0o001) === 0) return '/tmp'
  return tmpdir()
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Runs one statement as the superuser, for set-up. */
export async function ask(url: string, statement: string, values: readonly unknown[] = []): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Record<string, unknown>>(statement, [...values])).rows
  } finally {
    await client.end()
  }
}
