import type { ApprovalReply } from '@writ/contract/approvals'
import { Link } from '@tanstack/react-router'
import { useEffect, useRef } from 'react'
import { Inert } from '../ui/agent-words.tsx'
import { Mark, type Tone } from '../ui/mark.tsx'
import { useNow } from '../ui/now.tsx'
import { spanText } from '../ui/spans.ts'
import { Ago } from '../ui/time.tsx'
import { shortName } from '../ui/words.ts'

/** Also in words: a colour alone says nothing. */
export const RISKS: Readonly<Record<ApprovalReply['risk'], Tone>> = { low: 'quiet', medium: 'ask', high: 'bad' }
export const STATES: Readonly<Record<ApprovalReply['state'], readonly [tone: Tone, word: string]>> = {
  waiting: ['ask', 'waiting'], approved: ['good', 'approved'], used: ['good', 'used'], denied: ['bad', 'denied'], lapsed: ['quiet', 'lapsed'], cancelled: ['quiet', 'cancelled'],
}

type InboxProps = { readonly approvals: readonly ApprovalReply[]; readonly more: boolean; /** Its id, or what the opened ones have in common. */ readonly opened: string | undefined; readonly isAll: boolean }

/** What waits, one under the other; equal ones as one. */
export function Inbox({ approvals, more, opened, isAll }: InboxProps) {
  const list = useRef<HTMLElement>(null)
  const groups = groupsOf(approvals)
  useEffect(() => { list.current?.querySelector('[data-opened="true"]')?.scrollIntoView({ block: 'nearest' }) }, [opened])
  return (
    <nav className="w-inbox" aria-label="Requests" ref={list}>
      <ul>
        {groups.map((group) => {
          const [first] = group
          const isOpened = group.some(({ id, alike }) => id === opened || (alike !== null && alike === opened))
          return (
            <li key={first.id}>
              {group.length === 1
                ? <Link to="/approvals/$id" params={{ id: first.id }} search={isAll ? { state: 'all' } : {}} data-inbox data-opened={isOpened} className="w-inbox-one"><Row of={first} /></Link>
                : <Link to="/approvals" search={{ ...(isAll ? { state: 'all' } : {}), alike: first.alike ?? undefined }} data-inbox data-opened={isOpened} className="w-inbox-one"><Row of={first} count={group.length} /></Link>}
            </li>
          )
        })}
      </ul>
      {approvals.length === 0 && <p className="w-dim">nothing waits</p>}
      {more && <p className="w-dim">There are more: answer these first.</p>}
      <p className="w-inbox-keys"><kbd>j</kbd> <kbd>k</kbd> move · <kbd>Enter</kbd> open · <kbd>d</kbd> deny</p>
    </nav>
  )
}

type Group = readonly [ApprovalReply, ...ApprovalReply[]]

/** Where the server says that they are alike, and whoever looks may answer them. */
function groupsOf(approvals: readonly ApprovalReply[]): readonly Group[] {
  const groups = new Map<string, Group>()
  for (const one of approvals) {
    const key = one.alike !== null && one.you_may && one.state === 'waiting' ? one.alike : one.id
    const group = groups.get(key)
    groups.set(key, group === undefined ? [one] : [...group, one])
  }
  return [...groups.values()]
}

function Row({ of, count }: { readonly of: ApprovalReply; readonly count?: number }) {
  const [tone, word] = STATES[of.state]
  return (
    <>
      <span className="w-inbox-what"><strong><Inert text={of.resource.id} most={60} /></strong>{count !== undefined && <span className="w-inbox-count">{count} alike</span>}</span>
      <span className="w-inbox-who"><Inert text={shortName(of.spiffe_id)} most={50} /> · <Inert text={of.action} most={40} /></span>
      <span className="w-inbox-foot">
        {of.state === 'waiting' ? <Mark tone={RISKS[of.risk]}>{of.risk} risk</Mark> : <Mark tone={tone}>{word}</Mark>}
        {of.quorum > 1 && <span>{of.yes} of {of.quorum} yes</span>}
        <span className="w-spring" />
        {of.state === 'waiting' ? <TimeLeft until={of.expires_at} /> : <Ago at={of.decided_at ?? of.requested_at} />}
      </span>
    </>
  )
}

/** `1:41` of the last hour, in words of more. */
export function TimeLeft({ until }: { readonly until: string }) {
  const ms = Math.max(0, Date.parse(until) - useNow())
  const seconds = Math.floor(ms / 1000)
  const text = ms === 0 ? 'over' : ms >= 3_600_000 ? spanText(Math.floor(ms / 60_000) * 60_000) : `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
  return <time dateTime={until} className="w-time-left" data-soon={ms < 60_000}>{text}</time>
}
