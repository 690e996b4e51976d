import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { CommandFailure, EXIT, type ExitCode, type Run } from '../exit.ts'
import { printThing, say } from '../output.ts'
import { settingsOf, type Settings } from '../settings.ts'
import { oneMore } from './options.ts'

type RestoreFlags = { readonly data?: string; readonly checkpoint?: readonly string[]; readonly trustIdentities?: true }

type Restored = {
  readonly restore: string; readonly backup: string; readonly backup_at: string; readonly rows: number; readonly tasks_ended: number; readonly identities_suspended: number
  readonly logs: readonly { readonly stream: string; readonly before: string; readonly size: number; readonly leaves_lost: number | null; readonly origin: string }[]
}

/** What a drill beside a production that goes on would do to it. */
const DANGER = 'As soon as a server is started on the restored store, it withdraws on every back end that it can reach all logins of its installation that the backup does not know: '
  + 'those that another server still gives out as well, in the middle of their work. For a drill, see to it that it can reach none of those back ends.'
const QUESTION = 'Is the server that the backup was taken from stopped for good, or out of reach of every back end that the restored one can reach?'

export function define(command: Command, run: Run): void {
  command.argument('<file>', 'what `writ backup` wrote')
    .description('make a new store of a backup, offline: an empty data directory or database, with the key directory of the old one')
    .option('--data <folder>', 'where the store is to be (also WRIT_DATA; else .writ); WRIT_DATABASE_URL names a database instead')
    .option('--checkpoint <file>', 'the newest checkpoint that was kept outside, of either log; may be repeated', oneMore)
    .option('--trust-identities', 'leave identities active: nobody has suspended, retired or changed one since the backup')
    .action((path: string, flags: RestoreFlags) => run(() => restore(settingsOf(command), path, flags)))
}

async function restore(settings: Settings, path: string, flags: RestoreFlags): Promise<void> {
  const { confirm } = await import('../ask.ts')
  say(settings, DANGER)
  await confirm(settings, QUESTION)
  const restored = await runRestore(settings, path, flags)
  await printThing(settings, restored, [
    ['restore', restored.restore], ['backup', `${restored.backup} of ${restored.backup_at}`], ['rows', restored.rows],
    ['tasks ended', restored.tasks_ended], ['identities suspended', restored.identities_suspended],
    ...restored.logs.flatMap(({ stream, size, leaves_lost: lost, origin }) => [
      [`${stream} log`, `${size} leaves; lost since: ${lost === null ? 'not evaluated' : lost === 0 ? 'none that is known of' : `at least ${lost} leaves`}`] as const,
      ['  goes on as', origin] as const,
    ]),
  ])
  if (restored.identities_suspended > 0) say(settings, 'every identity that was active is suspended: what was withdrawn since the backup is not known here. `writ identity list`, then `writ identity resume` for each that may work')
  say(settings, 'whoever was an operator when the backup was taken is one again, also who was removed since: `writ operator list`')
  say(settings, 'a back end whose administrator got a new secret since the backup refuses Writ: `writ backend test` each, and `writ backend secret` where it fails')
  say(settings, 'start it: writ up')
}

/** In a process of its own: the server's code is not the command line's. */
async function runRestore(settings: Settings, path: string, flags: RestoreFlags): Promise<Restored> {
  const main = fileURLToPath(import.meta.resolve('@writ/server/restore-main'))
  const args = [main, resolve(path), ...(flags.checkpoint ?? []).map((one) => `--checkpoint=${resolve(one)}`), ...(flags.trustIdentities ? ['--trust-identities'] : [])]
  const data = resolve(flags.data || settings.environment.WRIT_DATA || '.writ')
  const worker = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...settings.environment, WRIT_DATA: data } })
  let out = ''
  let err = ''
  worker.stdout.setEncoding('utf8').on('data', (text: string) => { out += text })
  worker.stderr.setEncoding('utf8').on('data', (text: string) => { err += text })
  const [code, signal] = await once(worker, 'close') as [number | null, NodeJS.Signals | null]
  if (code === 0) return JSON.parse(out) as Restored
  const isOurs = Object.values(EXIT).some((one) => one === code)
  const said = err.trim().replace(/^error: /, '')
  throw new CommandFailure(isOurs ? code as ExitCode : EXIT.unexpected, said === '' ? `the restore ended with ${signal ?? code}` : said)
}
