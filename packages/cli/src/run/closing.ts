import { writeFile } from 'node:fs/promises'
import { listLogs } from '@writ/contract/events'
import { certificate, completeTask, showTask } from '@writ/contract/tasks'
import { inert } from '@writ/ledger/inert'
import { call, type Connection } from '../client.ts'
import { CommandFailure, EXIT } from '../exit.ts'

/** `incidents`: those that are open because a lease could not be shown dead. */
export type Closed = { readonly lines: readonly string[]; readonly incidents: readonly string[] }

/** The server waits at most so long in one request (the contract's bound is 60). */
const WAIT_SECONDS = 20
const ASK_MS = 5000

/** Says that the work is done; goes on asking while the server is away. */
export async function complete(connection: Connection, task: string, signal: AbortSignal): Promise<void> {
  await call(connection, completeTask, { parameters: { id: task }, body: {}, patient: true, signal })
}

/** Fetches the certificate and the log's key, keeps them where asked, and checks them here. */
export async function fetchCertificate(connection: Connection, task: string, keep: string | undefined, signal: AbortSignal): Promise<Closed> {
  const waitSeconds = Math.max(0, Math.min(WAIT_SECONDS, Math.floor((connection.timeoutMs - ASK_MS) / 1000)))
  const issued = await call(connection, certificate, { parameters: { id: task }, query: { wait_seconds: waitSeconds }, patient: true, signal })
  const text = `${JSON.stringify(issued, null, 2)}\n`
  const { logs } = await call(connection, listLogs, { patient: true, signal })
  const log = logs.find(({ stream }) => stream === 'non-human')
  if (log === undefined) throw new CommandFailure(EXIT.unexpected, 'the server names no log for machines\' acts')
  if (keep !== undefined) {
    // Kept before it is checked: one that does not verify is evidence too.
    await writeFile(keep, text)
    await writeFile(`${keep}.key`, `${log.vkey}\n`)
  }
  const [{ parseVerifierKey }, { nodePrimitives }, { verifyCertificateText }, { evidenceOf, notVerified }] =
    await Promise.all([import('@writ/ledger/note'), import('@writ/ledger/offline/primitives'), import('@writ/ledger/offline/evidence-file'), import('../evidence-file.ts')])
  const key = parseVerifierKey(nodePrimitives.sha256, log.vkey)
  if (!key.ok) throw notVerified(`the log's key: ${key.refusal.detail}`)
  const { closure, lines } = evidenceOf(verifyCertificateText(key.value, text))
  if (closure?.task !== task) throw notVerified(`the certificate is of task \`${closure?.task}\` and not of \`${task}\``)
  return { lines, incidents: closure.leases.flatMap(({ end }) => (end.kind === 'incident' ? [end.incident] : [])) }
}

/** What of the task is still open, a line for each lease, and how to get the certificate once nothing is; nothing when the server is away. */
export async function stillOpen(connection: Connection, task: string, keep: string | undefined): Promise<readonly string[]> {
  const now = await call(connection, showTask, { parameters: { id: task }, timeoutMs: ASK_MS }).catch(() => undefined)
  if (now === undefined) return []
  const open = now.leases.filter((lease) => lease.state !== 'ended')
  return [
    ...open.map((lease) => `lease ${lease.id} (${lease.kind === 'access_token' ? `access token for ${lease.audience}` : `${lease.user} on ${lease.backend}`}) is not proved dead yet: ${lease.state}${lease.incident === null ? '' : `, incident ${lease.incident}`}`),
    `the server goes on; once it is done: writ task certificate ${task} ${keep ?? 'FILE'}`,
  ].map(inert)
}
