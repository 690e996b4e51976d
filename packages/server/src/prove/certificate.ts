import { printCertificate } from '@writ/ledger/certificate'
import type { Receipt } from '@writ/ledger/receipt'
import type { EventLeaf } from '@writ/domain/event'
import type { TaskId } from '@writ/domain/id'
import type { Task } from '@writ/domain/task'
import { sha256 } from '../record/append.ts'
import type { Db } from '../record/tx.ts'
import { listEventsOfTask, listLeaves, listSaid, type StoredEvent } from '../store/events.ts'
import { listChildren } from '../store/tasks.ts'
import { logHolding, logsOf, type ReadableLog } from './logs-of-stream.ts'
import { receiptOf } from './receipt.ts'

/** What a certificate is made of: see `@writ/ledger/certificate`. */
const TASK_EVENTS: ReadonlySet<string> = new Set(['task.opened', 'task.widened', 'task.ended', 'task.closed', 'lease.intended', 'lease.minted', 'lease.ended', 'incident.opened'])

/** The closure certificate's text, or undefined while the task is not closed, or its closing not yet below a checkpoint. */
export async function certificateOf(db: Db, task: Task): Promise<string | undefined> {
  if (task.state !== 'closed') return undefined
  const events = await eventsFor(db, task.id)
  const logs = await logsOf(db, 'non-human')
  const held = events.map((event) => logHolding(logs, event.leafIndex))
  if (held.includes(undefined)) return undefined
  // The newest log that any of them stands in; what stands in one before it hangs on the restores in between.
  const indexes = held.map((log) => logs.indexOf(log!))
  const [oldest, newest] = [Math.min(...indexes), Math.max(...indexes)]
  const all = [...events, ...await firstLeaves(db, logs.slice(oldest + 1, newest + 1))]
  const said = await listSaid(db, all.map((event) => event.id))
  const receipts: Receipt[] = []
  for (const event of all.toSorted((a, b) => a.leafIndex! - b.leafIndex!)) {
    const log = logHolding(logs, event.leafIndex)!
    const receipt = await receiptOf(db, log, event, said.get(event.id))
    receipts.push(log === logs[newest] ? receipt : { ...receipt, log: log.origin })
  }
  const printed = printCertificate(sha256, logs[newest]!.note, receipts)
  if (!printed.ok) throw new Error(`the certificate of ${task.id} does not hold: ${printed.refusal.kind}: ${printed.refusal.detail}`)
  return printed.value
}

/** The task's own events up to its closing, and the closing of each child. */
async function eventsFor(db: Db, task: TaskId): Promise<readonly StoredEvent[]> {
  const own = (await listEventsOfTask(db, task)).filter((event) => TASK_EVENTS.has(event.type))
  const closing = own.findIndex((event) => event.type === 'task.closed')
  const until = own.slice(0, closing + 1)
  // A lease whose incident was resolved before its task closed: the closing committed to the incident, which is the end it tells of.
  const incidents = new Set(until.filter((event) => event.type === 'incident.opened').map(leaseOf))
  const events = until.filter((event) => event.type !== 'lease.ended' || incidents.size === 0 || !incidents.has(leaseOf(event)))
  for (const child of await listChildren(db, task)) {
    events.push(...(await listEventsOfTask(db, child.id)).filter((event) => event.type === 'task.closed'))
  }
  return events
}

const leaseOf = (event: StoredEvent): string | null => (JSON.parse(event.text) as EventLeaf).lease

/** What each of these logs says of the one before it: the first leaf of every log but the very first. */
async function firstLeaves(db: Db, logs: readonly ReadableLog[]): Promise<readonly StoredEvent[]> {
  return (await Promise.all(logs.map(({ stream, firstLeaf }) => listLeaves(db, stream, { from: firstLeaf, count: 1 })))).flat()
}
