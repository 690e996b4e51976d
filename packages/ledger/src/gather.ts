import { fails, holds, type Checked } from './checked.ts'
import { inert } from './inert.ts'
import type { LoginReceipts } from './lease-closure.ts'
import type { ProvedLeaf } from './receipt.ts'
import { isTokenMinting, type TokenReceipts } from './token-closure.ts'

/** The receipts of one task, each in its place; widenings, leases and descendants in the order of the log. */
export type Gathered = {
  readonly opened: ProvedLeaf
  readonly widenings: readonly ProvedLeaf[]
  readonly ended: ProvedLeaf
  readonly closed: ProvedLeaf
  readonly leases: ReadonlyMap<string, LoginReceipts | TokenReceipts>
  readonly descendants: ReadonlyMap<string, ProvedLeaf>
}

type Slots = {
  readonly own: Map<string, ProvedLeaf>
  readonly widenings: ProvedLeaf[]
  readonly leases: Map<string, LeaseSlots>
  readonly descendants: Map<string, ProvedLeaf>
}

type LeaseSlots = { intended?: ProvedLeaf; minted?: ProvedLeaf; end?: ProvedLeaf }

/** A certificate tells of what machines did. */
const STREAM = 'non-human'

const OWN_TYPES = ['task.opened', 'task.ended', 'task.closed']

const LEASE_SLOTS: ReadonlyMap<string, 'intended' | 'minted' | 'end'> = new Map([
  ['lease.intended', 'intended'], ['lease.minted', 'minted'], ['lease.ended', 'end'], ['incident.opened', 'end'],
])

/** Puts each leaf in its place: refuses what belongs to another task, stands twice, is missing, or stands in the wrong order. */
export function gather(leaves: readonly ProvedLeaf[]): Checked<Gathered> {
  if (new Set(leaves.map(({ leaf }) => leaf.id)).size !== leaves.length) return fails('repeated', 'an event stands twice')
  if (new Set(leaves.map(({ index }) => index)).size !== leaves.length) return fails('repeated', 'a leaf number stands twice')
  const openings = leaves.filter(({ leaf }) => leaf.type === 'task.opened')
  const [opened] = openings
  if (opened === undefined) return fails('incomplete', 'no receipt shows that the task was opened')
  if (openings.length > 1) return fails('repeated', 'there is more than one `task.opened` event')
  if (opened.leaf.task === null || opened.leaf.identity === null) {
    return fails('malformed_leaf', 'the `task.opened` event names no task or no identity')
  }

  const slots: Slots = { own: new Map(), widenings: [], leases: new Map(), descendants: new Map() }
  for (const proved of leaves.toSorted((a, b) => a.index - b.index)) {
    const placed = place(slots, opened, proved)
    if (!placed.ok) return placed
  }
  const ended = slots.own.get('task.ended')
  const closed = slots.own.get('task.closed')
  if (ended === undefined) return fails('incomplete', 'no receipt shows that the task ended')
  if (closed === undefined) return fails('incomplete', 'no receipt shows that the task was closed')
  const leases = new Map<string, LoginReceipts | TokenReceipts>()
  for (const [lease, found] of slots.leases) {
    const receipts = receiptsOfLease(lease, found)
    if (!receipts.ok) return receipts
    leases.set(lease, receipts.value)
  }
  const gathered = { opened, widenings: slots.widenings, ended, closed, leases, descendants: slots.descendants }
  const why = whyOutOfOrder(gathered)
  return why === undefined ? holds(gathered) : fails('out_of_order', why)
}

function place(slots: Slots, opened: ProvedLeaf, proved: ProvedLeaf): Checked<null> {
  const { leaf } = proved
  const what = `event \`${inert(leaf.id)}\``
  if (leaf.stream !== STREAM) return fails('foreign_receipt', `${what} is of another stream`)
  if (leaf.type === 'task.closed' && leaf.task !== null && leaf.task !== opened.leaf.task) {
    if (slots.descendants.has(leaf.task)) return fails('repeated', `task \`${inert(leaf.task)}\` is closed twice`)
    slots.descendants.set(leaf.task, proved)
    return holds(null)
  }
  if (leaf.task !== opened.leaf.task) return fails('foreign_receipt', `${what} is of another task`)
  if (leaf.identity !== null && leaf.identity !== opened.leaf.identity) return fails('foreign_receipt', `${what} is of another identity`)
  if (OWN_TYPES.includes(leaf.type)) {
    if (slots.own.has(leaf.type)) return fails('repeated', `there is more than one \`${leaf.type}\` event`)
    slots.own.set(leaf.type, proved)
    return holds(null)
  }
  if (leaf.type === 'task.widened') {
    slots.widenings.push(proved)
    return holds(null)
  }
  return placeOfLease(slots, proved, what)
}

function placeOfLease(slots: Slots, proved: ProvedLeaf, what: string): Checked<null> {
  const { leaf } = proved
  const slot = LEASE_SLOTS.get(leaf.type)
  if (slot === undefined) return fails('foreign_receipt', `${what} is of a kind that no certificate holds`)
  const told = Object.hasOwn(leaf.facts, 'lease') ? leaf.facts['lease'] : leaf.lease
  if (leaf.lease === null && leaf.type !== 'incident.opened') return fails('malformed_leaf', `${what} names no lease`)
  if (typeof told !== 'string' || (leaf.lease !== null && leaf.lease !== told)) return fails('malformed_leaf', `${what} names no lease, or two`)
  const lease = slots.leases.get(told) ?? {}
  if (lease[slot] !== undefined) return fails('repeated', `lease \`${inert(told)}\` was ${slot === 'end' ? 'ended' : slot} twice`)
  lease[slot] = proved
  slots.leases.set(told, lease)
  return holds(null)
}

function receiptsOfLease(lease: string, { intended, minted, end }: LeaseSlots): Checked<LoginReceipts | TokenReceipts> {
  const name = `lease \`${inert(lease)}\``
  if (end === undefined) return fails('incomplete', `no receipt shows how ${name} ended`)
  if (minted !== undefined && isTokenMinting(minted.leaf)) {
    return intended === undefined ? holds({ intended, minted, end }) : fails('contradiction', `${name} is an access token, and one is never intended`)
  }
  return intended === undefined ? fails('incomplete', `no receipt shows that ${name} was intended`) : holds({ intended, minted, end })
}

/** Leaf numbers follow the order in which changes were committed. */
function whyOutOfOrder({ opened, widenings, ended, closed, leases, descendants }: Gathered): string | undefined {
  const follows = (...places: readonly (ProvedLeaf | undefined)[]): boolean => {
    const indexes = places.flatMap((place) => (place === undefined ? [] : [place.index]))
    return indexes.every((index, i) => i === 0 || indexes[i - 1]! < index)
  }
  if (!follows(opened, ended, closed)) return 'the task was opened, ended and closed in another order'
  if (!follows(opened, ...widenings, ended)) return 'the task was widened before it was opened, or after it had ended'
  for (const [lease, { intended, minted, end }] of leases) {
    if (!follows(opened, intended, minted, end, closed)) return `the events of lease \`${inert(lease)}\` stand in another order`
    if (!follows(intended ?? minted, ended)) return `lease \`${inert(lease)}\` was ${intended === undefined ? 'issued' : 'intended'} after its task had ended`
  }
  const late = [...descendants].find(([, end]) => !follows(opened, end, closed))
  return late === undefined ? undefined : `task \`${inert(late[0])}\` was closed after the task above it`
}
