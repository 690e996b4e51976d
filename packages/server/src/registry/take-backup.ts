import type { EventActor, PublicValue } from '@writ/domain/event'
import type { BackupId } from '@writ/domain/id'
import { ok } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'

type Begun = { readonly backup: BackupId; readonly by: EventActor; readonly now: EpochMs }

/** Before the first byte leaves: what is read and never finished was read all the same. */
export const beginBackup = change('backup.begin', async (tx: Tx, { backup, by, now }: Begun) => {
  await append(tx, now, { type: 'backup.begun', actor: by, facts: { backup } })
  return ok(null)
})

type Taken = Begun & {
  readonly sha256: string
  readonly rows: Readonly<Record<string, number>>
  readonly logs: readonly { readonly stream: string; readonly origin: string; readonly size: number }[]
}

/** Before the last line leaves, without which the file is cut. `sha256` is of its lines, as the last of them says it. */
export const recordBackup = change('backup.take', async (tx: Tx, { backup, by, now, sha256, rows, logs }: Taken) => {
  const facts: Record<string, PublicValue> = {
    backup, sha256, rows: Object.values(rows).reduce((sum, count) => sum + count, 0), logs: logs.map(({ stream, origin, size }) => ({ stream, origin, size })),
  }
  await append(tx, now, { type: 'backup.taken', actor: by, facts })
  return ok(null)
})
