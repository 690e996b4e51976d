import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { after, before, type TestContext } from 'node:test'
import { takeBackup } from '@writ/contract/backup'
import { STREAMS } from '@writ/domain/event'
import { hostEntropy } from '../src/platform/entropy.ts'
import { openStore, RELEASE, snapshotOf } from '../src/open-store.ts'
import { sealOnce } from '../src/record/seal.ts'
import { restoreBackup, type RestoreDone, type RestoreOrder } from '../src/restore.ts'
import { backupPieces } from '../src/store/backup.ts'
import { compressed } from '../src/store/backup-file.ts'
import { ask } from '../../../scripts/postgres-cluster.ts'
import { postgres } from './postgres.ts'
import { RESTORE_MAIN } from './program.ts'
import type { RunningWrit } from './running-writ.ts'
import { askFile, type StoreName, type StoreOfWrit } from './store-of-writ.ts'

type Ends = Pick<TestContext, 'after'>
export type Place = StoreOfWrit['place']['store']

export function temporaryFolder(t: Ends): string {
  const folder = mkdtempSync(join(tmpdir(), 'writ-backup-'))
  t.after(() => { rmSync(folder, { recursive: true, force: true }) })
  return folder
}

/** One for a whole `describe`. */
export function folderForSuite(): () => string {
  let folder = ''
  before(() => { folder = mkdtempSync(join(tmpdir(), 'writ-backup-')) })
  after(() => { rmSync(folder, { recursive: true, force: true }) })
  return () => folder
}

/** The store as a backup, past the server. */
export async function writeBackup(of: StoreOfWrit, file: string): Promise<void> {
  const pieces = backupPieces(await snapshotOf(of.place), {
    backup: of.newId('backup'), release: RELEASE, version: '0', now: of.now(),
    keyFor: (check) => {
      const key = of.keys.backupKey(check)
      if (!key.ok) throw new Error('no key for a backup')
      return key.value
    },
  }, async () => {})
  await pipeline(Readable.from(compressed(pieces)), createWriteStream(file))
}

/** A data directory that is not there yet, or an empty database. */
export async function emptyPlace(name: StoreName, t: Ends): Promise<Place> {
  if (name === 'sqlite') return { kind: 'sqlite', directory: join(temporaryFolder(t), 'data') }
  const database = await (await postgres(18)).createDatabase()
  t.after(() => database.drop())
  return { kind: 'postgres', url: database.url, allowMissingChecksums: false }
}

export const sqlAt = (place: Place): StoreOfWrit['sql'] => async (statement, values) => (
  place.kind === 'sqlite' ? askFile(join(place.directory, 'writ.db'), statement, values) : await ask(place.url, statement, values) as never)

export const restoreTo = (place: Place, of: Pick<StoreOfWrit, 'place' | 'clock'>, order: Partial<RestoreOrder> & { readonly file: string }): ReturnType<typeof restoreBackup> =>
  restoreBackup({ config: { store: place, keyDirectory: of.place.keyDirectory }, clock: of.clock }, { checkpoints: [], trustsIdentities: false, by: 'a test', ...order })

export async function restored(place: Place, of: Pick<StoreOfWrit, 'place' | 'clock'>, order: Partial<RestoreOrder> & { readonly file: string }): Promise<RestoreDone> {
  const outcome = await restoreTo(place, of, order)
  if (!outcome.ok) throw new Error(`not restored: ${JSON.stringify(outcome.refusal)}`)
  return outcome.value
}

/** The restored store, as a server would have it open. */
export async function openRestored(place: Place, of: StoreOfWrit, t: Ends): Promise<StoreOfWrit> {
  const store = await openStore({ store: place }, of.keys, { now: of.now(), onFault: (error) => { throw error } })
  t.after(() => store.close())
  const sealing = { ...of.sealing, store, entropy: hostEntropy }
  const seal: StoreOfWrit['seal'] = (stream) => sealOnce(sealing, stream)
  return {
    ...of, name: place.kind, store, sealing, seal, sql: sqlAt(place), place: { ...of.place, store: place },
    sealAll: async () => { for (const stream of STREAMS) while ((await seal(stream)) > 0) { /* the next batch */ } },
  }
}

export type RestoreSaid = { readonly code: number | NodeJS.Signals; readonly out: string; readonly err: string }

/** The restore as the command line runs it: a process of its own. */
export async function runRestore(env: NodeJS.ProcessEnv, args: readonly string[]): Promise<RestoreSaid> {
  const child = spawn(process.execPath, [RESTORE_MAIN, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] })
  const [out, err] = [text(child.stdout), text(child.stderr)]
  const [code, signal] = await once(child, 'close') as [number | null, NodeJS.Signals | null]
  return { code: code ?? signal!, out: await out, err: await err }
}

/** The backup as an operator gets it; the response is left to the caller. */
export const askForBackup = (writ: Pick<RunningWrit, 'url' | 'operatorKey'>): Promise<Response> =>
  fetch(`${writ.url}${takeBackup.path}`, { method: takeBackup.method, headers: { authorization: `Bearer ${writ.operatorKey}` } })

export async function backUp(writ: Pick<RunningWrit, 'url' | 'operatorKey'>, file: string): Promise<void> {
  const answer = await askForBackup(writ)
  assert.equal(answer.status, 200)
  await pipeline(Readable.fromWeb(answer.body as never), createWriteStream(file))
}
