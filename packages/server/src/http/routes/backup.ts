import type { KeyObject } from 'node:crypto'
import * as contract from '@writ/contract/backup'
import { mintId } from '@writ/domain/id'
import type { Clock } from '../../platform/clock.ts'
import type { Entropy } from '../../platform/entropy.ts'
import type { Store } from '../../record/tx.ts'
import { beginBackup, recordBackup } from '../../registry/take-backup.ts'
import { backupPieces } from '../../store/backup.ts'
import { compressed } from '../../store/backup-file.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { actorOf, route, type Answer, type Route } from '../call.ts'
import { problem } from '../problem.ts'

export type BackupRoutesNeeds = {
  readonly store: Pick<Store, 'change'>
  readonly clock: Clock
  readonly entropy: Entropy
  readonly release: number
  readonly version: string
  readonly snapshot: () => Promise<Snapshot>
  readonly backupKey: (keyCheck: string) => KeyObject
}

/** A snapshot keeps the store from clearing up behind it: one at a time. */
const RUNNING = problem('conflict', { code: 'backup_running', detail: 'this server is already taking a backup', hint: 'wait until it is done' })

export function backupRoutes(needs: BackupRoutesNeeds): readonly Route[] {
  let isRunning = false
  return [
    route(contract.takeBackup, async ({ caller }): Promise<Answer<typeof contract.takeBackup>> => {
      if (isRunning) return RUNNING
      isRunning = true
      const done = (): void => { isRunning = false }
      try {
        const now = needs.clock.now()
        const about = { backup: mintId('backup', now, needs.entropy.bytes(10)), by: actorOf(caller) }
        await needs.store.change(beginBackup, { ...about, now })
        const pieces = backupPieces(await needs.snapshot(), { ...needs, ...about, now, keyFor: needs.backupKey }, async (head, end) => {
          const taken = await needs.store.change(recordBackup, { ...about, now: needs.clock.now(), sha256: end.sha256, rows: end.rows, logs: head.logs })
          if (!taken.ok) throw new Error('the backup could not be recorded')
        })
        return { raw: await begun(compressed(pieces), done), type: 'application/gzip' }
      } catch (error) {
        done()
        throw error
      }
    }),
  ]
}

/** Reads the first piece, so that what goes wrong at once is answered as a problem, and so that whoever goes away ends the snapshot. */
async function begun(pieces: AsyncGenerator<Uint8Array>, done: () => void): Promise<AsyncIterable<Uint8Array>> {
  let first: IteratorResult<Uint8Array> | undefined = await pieces.next()
  const ended = async (answer: Promise<IteratorResult<Uint8Array>>): Promise<IteratorResult<Uint8Array>> => {
    try {
      const piece = await answer
      if (piece.done) done()
      return piece
    } catch (error) {
      done()
      throw error
    }
  }
  return {
    [Symbol.asyncIterator]: () => ({
      next: () => {
        const held = first
        first = undefined
        return ended(held === undefined ? pieces.next() : Promise.resolve(held))
      },
      return: () => ended(pieces.return(undefined)),
    }),
  }
}
