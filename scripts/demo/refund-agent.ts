import { setTimeout as pause } from 'node:timers/promises'
import { ApprovalRequired, Denied, Writ, WritError, type Task, type TaskOptions } from '@writ/sdk'

/** What the agent tells whoever has started it, as it happens. */
export type News =
  | { readonly kind: 'works'; readonly task: string; readonly purpose: string }
  | { readonly kind: 'allowed'; readonly says: string }
  | { readonly kind: 'denied'; readonly says: string; readonly decision: string }
  | { readonly kind: 'asks'; readonly says: string }
  | { readonly kind: 'ran' }
  | { readonly kind: 'used_up'; readonly says: string; readonly code: string }
  | { readonly kind: 'unanswered'; readonly url: string }
  | { readonly kind: 'goes_on' }
  /** `at`: when the call was refused; in milliseconds of the epoch. */
  | { readonly kind: 'killed'; readonly says: string; readonly at: number }

type Duration = NonNullable<TaskOptions['ttl']>

const ORDER = 551
/** Between two looks at the order. */
const PACE_MS = 100

/** An agent that follows a script, in a process of its own and with a key of its own: it knows the SDK, and of people only that they may be waited for. */
async function work(patience: Duration): Promise<void> {
  await using task = await new Writ().task({
    purpose: `refund order ${ORDER}: the parcel was lost (ticket 8812)`, ttl: '15m', budget: 10_000,
    grants: ['mcp:shop:find_order', 'mcp:shop:refund', 'mcp:shop:erase_customer', 'postgres:shop:desk'],
  })
  await tell({ kind: 'works', task: task.id, purpose: task.purpose })
  const { customer, paid_cents: paid } = JSON.parse(await look(task)) as { readonly customer: string; readonly paid_cents: number }
  await tell({ kind: 'allowed', says: `find_order {"order":${ORDER}}: ${customer} paid ${paid} cents` })
  await erase(task, customer)
  await refund(task, { order: ORDER, amount_cents: paid }, patience)
  await tell({ kind: 'goes_on' })
  await workUntilStopped(task)
}

async function look(task: Task): Promise<string> {
  const { content } = await task.call('shop/find_order', { order: ORDER })
  return String(content[0]?.['text'])
}

async function erase(task: Task, customer: string): Promise<void> {
  try {
    await task.call('shop/erase_customer', { customer })
  } catch (fault) {
    if (!(fault instanceof Denied) || fault.decision === undefined) throw fault
    await tell({ kind: 'denied', says: `erase_customer ${JSON.stringify({ customer })}`, decision: fault.decision })
  }
}

async function refund(task: Task, args: object, waitForApproval: Duration): Promise<void> {
  const says = `refund ${JSON.stringify(args)}`
  await tell({ kind: 'asks', says })
  try {
    await task.call('shop/refund', args, { waitForApproval })
    await tell({ kind: 'ran' })
    await task.call('shop/refund', args, { waitForApproval })
  } catch (fault) {
    if (fault instanceof ApprovalRequired) return tell({ kind: 'unanswered', url: fault.url ?? '' })
    if (!(fault instanceof Denied)) throw fault
    await tell({ kind: 'used_up', says, code: fault.code })
  }
}

async function workUntilStopped(task: Task): Promise<void> {
  try {
    for (;;) {
      await look(task)
      await pause(PACE_MS)
    }
  } catch (fault) {
    const at = Date.now()
    if (!(fault instanceof WritError)) throw fault
    await tell({ kind: 'killed', says: `${fault.name}: ${fault.message}`, at })
  }
}

const tell = (news: News): Promise<void> => new Promise((done, fail) => {
  process.send!(news, undefined, undefined, (error) => { if (error === null) done(); else fail(error) })
})

const gone = (): never => process.exit(1)
// Whoever has started it is gone, however that came: nobody would hear any more.
process.on('disconnect', gone)
const [patience = '5m'] = process.argv.slice(2)
await work(patience as Duration)
process.off('disconnect', gone)
process.disconnect!()
