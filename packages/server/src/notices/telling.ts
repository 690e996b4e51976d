import type { EventLeaf, PublicValue } from '@writ/domain/event'
import type { NoticeMatter } from '@writ/domain/notice'
import { epochMs, toIso, type EpochMs } from '@writ/domain/time'
import { inert } from '@writ/ledger/inert'
import { inertDeeply, marked, speakerOf, unlinked, type Speaker } from '@writ/ledger/said'

/** What is told, whoever tells it. Every text in it that is not ours is as somebody sent it. */
export type Telling = {
  /** Of the notice: the same however often it is sent. */
  readonly id: string
  readonly matter: NoticeMatter | 'test'
  readonly at: EpochMs
  readonly stream: string | null
  readonly event: string | null
  readonly identity: string | null
  readonly task: string | null
  readonly facts: { readonly [field: string]: PublicValue }
  readonly speaker: Speaker
  readonly said: readonly (readonly [field: string, text: string])[]
  /** Where one signs in and sees the rest. */
  readonly link: string
}

export const HEADLINES: Readonly<Record<Telling['matter'], string>> = {
  'approval.requested': 'an approval is asked for',
  'approval.approved': 'an approval was given',
  'approval.denied': 'an approval was denied',
  'approval.lapsed': 'an approval came to its end without being used',
  'approval.cancelled': 'a request for approval was taken back',
  'incident.opened': 'an incident was opened',
  'incident.resolved': 'an incident was resolved',
  'finding.raised': 'a finding was raised',
  'finding.resolved': 'a finding was resolved',
  'identity.contained': 'an identity is contained',
  test: 'this is a test',
}

const MOST_FACTS = 20
const LONGEST_FACT = 300
const MOST_SAID = 10
const LONGEST_SAID = 1000
const ID = /^[a-z]{3}_[0-9a-z]{26}$/

export type Said = { readonly field: string; readonly value: string }

/** Committed to in the log, and nothing that anybody reads. */
const NOT_SHOWN: ReadonlySet<string> = new Set(['arguments_sha256'])

export type ToTell = { readonly id: string; readonly matter: NoticeMatter; readonly leaf: EventLeaf; readonly said: readonly Said[]; readonly origin: string }

export function tellingOf({ id, matter, leaf, said, origin }: ToTell): Telling {
  return {
    id, matter, at: leaf.at, stream: leaf.stream, event: leaf.id, identity: leaf.identity, task: leaf.task, facts: leaf.facts,
    speaker: speakerOf(leaf.actor), said: said.filter(({ field }) => !NOT_SHOWN.has(field)).map(({ field, value }) => [field, value] as const), link: linkOf(leaf, origin),
  }
}

export const testTelling = (id: string, at: EpochMs, origin: string): Telling =>
  ({ id, matter: 'test', at, stream: null, event: null, identity: null, task: null, facts: {}, speaker: 'stranger', said: [], link: `${origin}/` })

/** Never to something that does anything: the page that is behind it asks who comes. */
function linkOf({ id, identity, facts }: EventLeaf, origin: string): string {
  const { approval, incident, finding } = facts
  if (typeof approval === 'string' && ID.test(approval)) return `${origin}/approvals/${approval}`
  const about = [incident, finding, identity].find((one) => typeof one === 'string' && ID.test(one)) ?? id
  return `${origin}/go/${about as string}`
}

/** One line, of our own words and ids alone. */
export const subjectOf = ({ matter, identity }: Telling): string => `Writ: ${HEADLINES[matter]}${identity !== null && ID.test(identity) ? ` (${identity})` : ''}`

/** For people, as plain text: nothing in it is a link but ours, and every word of somebody else's is between quotes, on a line that says whose it is. */
export function linesOf(telling: Telling): readonly string[] {
  const { matter, at, identity, task, facts, speaker, said, link, id } = telling
  const known = [['when', toIso(at)], ['identity', identity], ['task', task]] as const
  const isApproval = matter === 'approval.requested'
  return [
    `Writ: ${HEADLINES[matter]}`, '',
    ...known.filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${unlinked(inert(value!))}`),
    ...Object.entries(facts).slice(0, MOST_FACTS).map(([name, value]) => `${unlinked(inert(name))}: ${factText(name, value)}`),
    ...(said.length === 0 ? [] : ['', ...said.slice(0, MOST_SAID).map(([field, text]) => `${unlinked(inert(field))}: ${saidText(speaker, text)}`)]),
    '', isApproval ? 'Sign in to see exactly what would run, and decide:' : 'Sign in to see the rest:', link, '', `notice ${id}`,
  ]
}

/** Names, ids and words of ours. Anything else in a fact may have come from an agent or a server of tools. */
const PLAIN = /^[A-Za-z0-9_.:/-]{1,200}$/

function factText(name: string, value: PublicValue): string {
  if (typeof value === 'number' && name.endsWith('_at')) return toIso(epochMs(value))
  if (typeof value === 'number' || typeof value === 'boolean' || value === null) return String(value ?? '-')
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return unlinked(PLAIN.test(text) ? text : marked('stranger', shortened(text, LONGEST_FACT)))
}

const saidText = (speaker: Speaker, text: string): string => unlinked(marked(speaker, shortened(text, LONGEST_SAID)))

/** Cut between characters; what was cut stands where the link leads. */
const shortened = (text: string, most: number): string => (text.length <= most ? text : `${text.slice(0, most).replace(/[\uD800-\uDBFF]$/, '')}... (${text.length - most} more)`)

/** For programs. The fields `said` are for people to read, and are never to be acted on. */
export function payloadOf(telling: Telling): object {
  const { id, matter, at, stream, event, identity, task, facts, speaker, said, link } = telling
  return {
    type: matter === 'test' ? 'writ.test' : matter, timestamp: toIso(at),
    data: {
      notice: id, headline: HEADLINES[matter], link, event, stream, identity, task, facts: inertDeeply(facts),
      said: said.map(([field, text]) => ({ field: inert(field), by: speaker, text: saidText(speaker, text) })),
    },
  }
}
