import { open as openFile, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { takeBackup } from '@writ/contract/backup'
import type { Command } from 'commander'
import { checkBackup } from '../backup-file.ts'
import { open } from '../client.ts'
import { operatorConnection, startOf, type Start } from '../connections.ts'
import { CommandFailure, EXIT, type Run } from '../exit.ts'
import { printThing, say } from '../output.ts'

/** A large store takes a while. */
const BACKUP_MS = 6 * 3_600_000
const PROGRESS_MS = 500

export function define(command: Command, run: Run): void {
  command.argument('<file>', 'where it goes, for your eyes only: what people and agents said is in it as they said it')
    .description('everything that the server holds, as one file for `writ restore`; the server goes on working')
    .option('--force', 'write over a file that is there')
    .action((path: string, flags: { readonly force?: true }, own: Command) => run(async () => backUp(await startOf(own), path, flags.force === true)))
}

async function backUp(start: Start, path: string, force: boolean): Promise<void> {
  const connection = operatorConnection(start)
  if (!force && await stat(path).then(() => true, () => false)) throw new CommandFailure(EXIT.conflict, `there is a file \`${path}\` already`, { hints: ['name another, or add --force'] })
  const partial = `${path}.partial`
  const bytes = await download(start, partial, () => open(connection, takeBackup, { timeoutMs: BACKUP_MS }))
  let says: Awaited<ReturnType<typeof checkBackup>>
  try {
    says = await checkBackup(partial)
  } catch (fault) {
    await rm(partial, { force: true })
    throw fault
  }
  await rename(partial, path)
  await syncFolder(dirname(path))
  const thing = { file: path, bytes, backup: says.backup, taken_at: new Date(says.created_at).toISOString(), rows: says.rows, sha256: says.sha256, logs: says.logs.map(({ stream, origin, size }) => ({ stream, origin, size })) }
  await printThing(start.settings, thing, [
    ['backup', says.backup], ['file', path], ['bytes', bytes], ['rows', says.rows], ['sha256', says.sha256], ...says.logs.map(({ stream, size }) => [`${stream} log`, `${size} leaves`] as const),
  ])
  say(start.settings, 'the key directory is not in it: keep a copy of that elsewhere, or nothing sealed in the backup opens again')
}

/** Written beside, for its owner alone and down to the disk, so that a broken backup never looks whole. */
async function download({ settings }: Start, partial: string, ask: () => Promise<AsyncIterable<Uint8Array>>): Promise<number> {
  const body = await ask()
  await rm(partial, { force: true })
  const file = await openFile(partial, 'wx', 0o600)
  let bytes = 0
  const isWatched = settings.format === 'human' && !settings.quiet && process.stderr.isTTY === true
  const progress = isWatched ? setInterval(() => process.stderr.write(`\r${(bytes / 1e6).toFixed(1)} MB`), PROGRESS_MS) : undefined
  try {
    for await (const piece of body) {
      await file.writeFile(piece)
      bytes += piece.length
    }
    await file.sync()
    return bytes
  } catch (fault) {
    await rm(partial, { force: true })
    if ((fault as NodeJS.ErrnoException).syscall !== undefined && (fault as NodeJS.ErrnoException).path !== undefined) throw fault
    throw new CommandFailure(EXIT.unreachable, 'the server broke off in the middle of the backup; nothing was kept', { hints: ['take it again'], cause: fault })
  } finally {
    clearInterval(progress)
    if (isWatched) process.stderr.write('\r')
    await file.close()
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await openFile(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
