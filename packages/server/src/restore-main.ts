import { hostname, userInfo } from 'node:os'
import { parseArgs } from 'node:util'
import { unreachable } from '@writ/domain/outcome'
import { toIso } from '@writ/domain/time'
import { noteIn } from '@writ/ledger/offline/evidence-file'
import { readConfig } from './config/config.ts'
import { monotonicClock } from './platform/clock.ts'
import { restoreBackup, type RestoreDone, type RestoreRefusal } from './restore.ts'
import { UnusableStore } from './store/faults.ts'

/** sysexits.h EX_CONFIG. The others are those of `writ help exit-codes`. */
const EXIT = { unexpected: 1, usage: 2, not_found: 5, conflict: 6, verification_failed: 21, bad_configuration: 78 } as const

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { checkpoint: { type: 'string', multiple: true }, 'trust-identities': { type: 'boolean' } } })
  const [file] = positionals
  if (file === undefined) return fail(EXIT.usage, 'the backup is not named')
  const config = readConfig(process.env)
  if (!config.ok) return fail(EXIT.bad_configuration, config.refusal.map(({ setting, message }) => `${setting} ${message}`).join('\nerror: '))
  try {
    const restored = await restoreBackup({ config: config.value, clock: monotonicClock(() => {}) }, {
      file, checkpoints: (values.checkpoint ?? []).map(noteIn), trustsIdentities: values['trust-identities'] ?? false,
      by: `${userInfo().username}@${hostname()}`,
    })
    if (!restored.ok) return fail(...said(restored.refusal, file))
    process.stdout.write(`${JSON.stringify(replyOf(restored.value))}\n`)
  } catch (cause) {
    const { code, path, message } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT' && path !== undefined) return fail(EXIT.not_found, `there is no file \`${path}\``)
    return fail(cause instanceof UnusableStore ? EXIT.bad_configuration : EXIT.unexpected, `nothing was restored: ${message}`)
  }
}

function fail(code: number, message: string): void {
  process.stderr.write(`error: ${message}\n`)
  process.exitCode = code
}

const replyOf = ({ restore, backup, backupAt, rows, logs, tasksEnded, identitiesSuspended }: RestoreDone) => ({
  restore, backup, backup_at: toIso(backupAt), rows, tasks_ended: tasksEnded, identities_suspended: identitiesSuspended,
  logs: logs.map(({ stream, before, origin, size, leavesLost }) => ({ stream, before, size, leaves_lost: leavesLost, origin })),
})

const NOTHING = 'nothing was written'

function said(refusal: RestoreRefusal, file: string): readonly [code: number, message: string] {
  const backup = `\`${file}\``
  switch (refusal.kind) {
    case 'malformed': return [EXIT.verification_failed, `${backup} is no backup: ${refusal.detail}; ${NOTHING}`]
    case 'unknown_format': return [EXIT.verification_failed, `${backup} is of the format \`${refusal.format}\`, which this program does not read: use the Writ that took it; ${NOTHING}`]
    case 'cut': return [EXIT.verification_failed, `${backup} is cut: its end is missing; ${NOTHING}`]
    case 'not_authentic': return [EXIT.verification_failed, `${backup} is not as it was written: its bytes do not have the MAC that stands at its end; ${NOTHING}`]
    case 'keys': return [EXIT.bad_configuration, `${refusal.message}; ${NOTHING}`]
    case 'other_release': return [EXIT.conflict, `${backup} was taken by Writ ${refusal.backup}, whose tables are ${refusal.isNewer ? 'newer' : 'older'} than this program's: restore it with that release${refusal.isNewer ? '' : ', start it once, and go on from there release by release'}; ${NOTHING}`]
    case 'not_empty': return [EXIT.conflict, `there is a store here already: name an empty data directory (WRIT_DATA) or an empty database (WRIT_DATABASE_URL); ${NOTHING}`]
    case 'servers_running': return [EXIT.conflict, `${refusal.count} connections of Writ servers are open in this database: stop the servers first; ${NOTHING}`]
    case 'foreign_checkpoint': return [EXIT.verification_failed, `checkpoint ${refusal.nth + 1} is signed by neither log of this backup; ${NOTHING}`]
    case 'forked': return [EXIT.verification_failed, `the ${refusal.stream} log in ${backup} is not the one of the checkpoint at ${refusal.size} leaves: one of them was written anew; ${NOTHING}`]
    default: return unreachable(refusal)
  }
}

await main()
