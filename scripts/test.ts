import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { PROJECT_ROOT } from './breach.ts'
import type { Cluster } from './postgres-cluster.ts'
import { findTestFiles, needConsole, type Selection, type TestFile } from './test-files.ts'
import { writeTogether } from './test-together.ts'

const USAGE = `usage: npm test -- [--fast | --long | --vectors] [PART-OF-A-FILE-NAME ...]
  --fast     leaves out what needs a PostgreSQL or a whole running Writ
  --long     carries out what takes minutes as often and as long as is required, one file at a time
  --vectors  only what checks other people's vectors (../shared/vectors, or WRIT_VECTORS)`

/** BSD sysexits: EX_USAGE would be 64, but Writ's own command line says 2; EX_CONFIG is 78 in both. */
const EXIT = { failed: 1, usage: 2, configuration: 78 } as const
const OLDEST_NODE = 24
const TEST_TIMEOUT_MS = 120_000
/** Most of them wait for something half of the time. */
const CONCURRENCY = 4
/** What measures says nothing where much else runs beside it. */
const CONCURRENCY_OF_MEASURES = 2
/** What is measured in full has the machine to itself. */
const CONCURRENCY_OF_LONG = 1
const VERSIONS = [15, 18] as const

/** Starts what the chosen tests need, runs them, stops it again whatever happens; the exit code. */
async function main(): Promise<number> {
  const major = Number(process.versions.node.split('.', 1)[0])
  if (major < OLDEST_NODE) {
    console.error(`error: the tests need Node ${OLDEST_NODE} or newer, and this is ${process.versions.node}`)
    console.error('hint: `npm ci && npm test` brings and uses a Node of its own')
    return EXIT.configuration
  }
  const selection = selectionOf(process.argv.slice(2))
  if (typeof selection === 'string') {
    console.error(`error: ${selection}\n${USAGE}`)
    return EXIT.usage
  }
  const files = findTestFiles(PROJECT_ROOT, selection)
  if (files.length === 0) {
    console.error(`error: no test file matches ${selection.filters.map((part) => `\`${part}\``).join(', ') || 'that'}`)
    return EXIT.failed
  }
  const slow = files.some((file) => file.slow)
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort(signal))
  if (slow && needConsole(PROJECT_ROOT, files)) await (await import('./build-console.ts')).buildConsole((line) => { console.log(line) })
  const started = slow ? await startClusters() : []
  const folder = mkdtempSync(join(tmpdir(), 'writ-compiled-'))
  try {
    const prepared = await prepare(files, { folder, isPacked: slow && !selection.inFull })
    return await runTests(prepared, { started, inFull: selection.inFull, stop: stop.signal })
  } finally {
    rmSync(folder, { recursive: true, force: true })
    await Promise.all(started.map(({ cluster }) => cluster.stop('immediate')))
  }
}

type Prepared = { readonly files: readonly string[]; readonly measures: readonly string[]; readonly env: NodeJS.ProcessEnv }

/**
 * What is done once so that it is not done some hundred times: the fast files of a package share a process, the server is packed, and what
 * one process has compiled is kept for all that come after it. What is measured, in the long form, is the server as it is shipped.
 */
async function prepare(files: readonly TestFile[], { folder, isPacked }: { readonly folder: string; readonly isPacked: boolean }): Promise<Prepared> {
  const pathsOf = (which: (file: TestFile) => boolean): readonly string[] => files.filter(which).map(({ path }) => path)
  const env = { NODE_COMPILE_CACHE: join(folder, 'compiled') }
  const chosen = {
    files: [...writeTogether(PROJECT_ROOT, pathsOf(({ slow }) => !slow), folder), ...pathsOf(({ slow, measures }) => slow && !measures)], measures: pathsOf(({ slow, measures }) => slow && measures),
  }
  if (!isPacked) return { ...chosen, env }
  const { packServer } = await import('./pack-server.ts')
  const { writeMigratedFile } = await import('../packages/server/test/migrated.ts')
  const [server, migrated] = [join(folder, 'server'), join(folder, 'migrated.db')]
  await Promise.all([packServer(server), writeMigratedFile(migrated)])
  return { ...chosen, env: { ...env, WRIT_TEST_SERVER: server, WRIT_TEST_MIGRATED: migrated } }
}

function selectionOf(args: readonly string[]): (Selection & { readonly inFull: boolean }) | string {
  try {
    const options = { fast: { type: 'boolean' }, long: { type: 'boolean' }, vectors: { type: 'boolean' } } as const
    const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options })
    const { fast = false, long = false, vectors = false } = values
    if ([fast, long, vectors].filter(Boolean).length > 1) return '`--fast`, `--long` and `--vectors` exclude each other'
    return { fast, vectors, inFull: long, filters: positionals }
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && String(cause.code).startsWith('ERR_PARSE_ARGS'))) throw cause
    const found = /^Unknown option '([^']+)'/.exec(cause.message)
    return found ? `unknown option \`${found[1]}\`` : cause.message
  }
}

type Started = { readonly version: (typeof VERSIONS)[number]; readonly cluster: Cluster }

/** One server per version for all files: each test file makes databases of its own on it. The defaults stay, durability with them. */
async function startClusters(): Promise<readonly Started[]> {
  const { startCluster } = await import('./postgres-cluster.ts')
  const starting = await Promise.allSettled(VERSIONS.map(async (version) => ({ version, cluster: await startCluster({ version }) })))
  const started = starting.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  const failed = starting.find((one) => one.status === 'rejected')
  if (!failed) return started
  await Promise.all(started.map(({ cluster }) => cluster.stop('immediate')))
  throw new Error('no PostgreSQL to test against', { cause: failed.reason })
}

type Run = {
  readonly started: readonly Started[]
  readonly inFull: boolean
  readonly stop: AbortSignal
}

/** Those that measure come last and fewer at a time; where one of them fails, or of the others, the run has failed. */
async function runTests({ files, measures, env: prepared }: Prepared, { started, inFull, stop }: Run): Promise<number> {
  const env = { ...cleanEnv(), ...prepared, ...(inFull ? { WRIT_TEST_LONG: 'yes' } : {}), ...Object.fromEntries(started.map(urlVariable)) }
  const first = await runSome(files, { env, concurrency: inFull ? CONCURRENCY_OF_LONG : CONCURRENCY, stop })
  const second = await runSome(measures, { env, concurrency: inFull ? CONCURRENCY_OF_LONG : CONCURRENCY_OF_MEASURES, stop })
  return first === 0 ? second : first
}

type Some = { readonly env: NodeJS.ProcessEnv; readonly concurrency: number; readonly stop: AbortSignal }

async function runSome(files: readonly string[], { env, concurrency, stop }: Some): Promise<number> {
  if (stop.aborted) return codeOfSignal(stop.reason as NodeJS.Signals)
  if (files.length === 0) return 0
  const child = spawn(process.execPath, [
    '--test', `--test-concurrency=${concurrency}`, `--test-timeout=${TEST_TIMEOUT_MS}`, '--test-reporter=spec', ...files,
  ], { cwd: PROJECT_ROOT, env, stdio: ['ignore', 'inherit', 'inherit'] })
  const pass = (): void => void child.kill(stop.reason === 'SIGINT' ? 'SIGINT' : 'SIGTERM')
  stop.addEventListener('abort', pass, { once: true })
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  if (stop.aborted) return codeOfSignal(stop.reason as NodeJS.Signals)
  return code ?? codeOfSignal(signal ?? 'SIGKILL')
}

const urlVariable = ({ version, cluster }: Started): readonly [string, string] => [`WRIT_TEST_POSTGRES_${version}`, cluster.url()]

/** The environment without what would lead a test to somebody's real Writ or database. */
function cleanEnv(): NodeJS.ProcessEnv {
  const ours = (name: string): boolean => name.startsWith('WRIT_') && name !== 'WRIT_VECTORS' && name !== 'WRIT_CHROMIUM'
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours(name) && !/^PG[A-Z]+$/.test(name)))
}

const codeOfSignal = (signal: NodeJS.Signals): number => 128 + constants.signals[signal]

process.exitCode = await main()
