import { Button } from '@mantine/core'
import type { ApprovalCardReply, ApprovalReply } from '@writ/contract/approvals'
import { useMutation, useQueries } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { showApproval } from '../endpoints.ts'
import { asking, queries } from '../queries.ts'
import { Inert } from '../ui/agent-words.tsx'
import { Id } from '../ui/copy.tsx'
import { Mark } from '../ui/mark.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { shortName } from '../ui/words.ts'
import { differsIn } from './approval-envelope.ts'
import { Value } from './approval-card.tsx'
import { RISKS, TimeLeft } from './approval-inbox.tsx'
import { sayYes } from './approval-sign.ts'
import { argumentsIn, formOf } from './exact-arguments.ts'

/** Of more than these nobody reads each value. */
const MOST = 50

/** Equal requests as one list, with every value of each; each is approved by its own hash. */
export function AlikeCard({ approvals }: { readonly approvals: readonly ApprovalReply[] }) {
  const found = useQueries({ queries: approvals.slice(0, MOST).map(({ id }) => asking(showApproval, { parameters: { id } })) })
  const error = found.find((one) => one.error !== null)?.error ?? null
  const cards = found.flatMap(({ data }) => (data === undefined || data.arguments === null ? [] : [data]))
  const [first] = cards
  if (error !== null) return <section className="w-approval"><div className="w-approval-body"><ProblemNote error={error} /></div></section>
  if (approvals.length === 0) return <p className="w-approval-none w-dim">None of these waits any more.</p>
  if (first === undefined || cards.length < Math.min(approvals.length, MOST)) return <p className="w-loading" role="status">loading the requests…</p>
  const form = formOf(first.arguments!)
  return <AlikeList cards={cards.filter((card) => formOf(card.arguments!) === form)} others={cards.filter((card) => formOf(card.arguments!) !== form)} first={first} />
}

type AlikeListProps = { readonly cards: readonly ApprovalCardReply[]; readonly others: readonly ApprovalCardReply[]; readonly first: ApprovalCardReply }

function AlikeList({ cards, others, first }: AlikeListProps) {
  // Nothing is ticked by itself: what comes while somebody reads has not been read.
  const [ticked, setTicked] = useState<ReadonlySet<string>>(new Set())
  const [reason, setReason] = useState('')
  const chosen = cards.filter(({ id, you }) => you.may && ticked.has(id))
  const approve = useMutation({ mutationFn: () => approveEach(chosen, reason.trim()), onSettled: () => queries.invalidateQueries() })
  const toggle = (id: string): void => setTicked(ticked.has(id) ? new Set([...ticked].filter((one) => one !== id)) : new Set([...ticked, id]))
  return (
    <section className="w-approval" aria-labelledby="approval-title">
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a region that scrolls has to be reached by keys */}
      <div className="w-approval-body" tabIndex={0} role="region" aria-label="The requests">
        <header className="w-approval-head">
          <div className="w-approval-title"><h2 id="approval-title">{cards.length} requests for <Inert text={first.resource.id} most={100} /></h2><Mark tone={RISKS[first.risk]}>{first.risk} risk</Mark></div>
          <p><Inert text={shortName(first.spiffe_id)} most={80} /> asks to <code><Inert text={first.action} most={60} /></code> it {cards.length} times, with these values. What is not ticked keeps waiting.</p>
        </header>
        <AlikeTable cards={cards} ticked={ticked} onToggle={toggle} />
        <p><button type="button" className="w-quiet-button" onClick={() => setTicked(new Set(cards.filter(({ you }) => you.may).map(({ id }) => id)))}>tick all {cards.length}</button></p>
        {others.length > 0 && <p>With other arguments, one by one: {others.map(({ id }) => <span key={id}> <Link to="/approvals/$id" params={{ id }}><Id of={id} /></Link></span>)}</p>}
      </div>
      <form className="w-answer" aria-label="Answer" onSubmit={(event) => event.preventDefault()}>
        {approve.error !== null && <ProblemNote error={approve.error} />}
        <div className="w-answer-reason"><label htmlFor="alike-reason">Reason</label><input id="alike-reason" value={reason} maxLength={500} autoComplete="off" placeholder="kept in the log, with each" onChange={(event) => setReason(event.currentTarget.value)} /></div>
        <div className="w-answer-buttons"><Button size="sm" disabled={chosen.length === 0} loading={approve.isPending} onClick={() => approve.mutate()}>Approve these {chosen.length} once</Button></div>
      </form>
    </section>
  )
}

function AlikeTable({ cards, ticked, onToggle }: { readonly cards: readonly ApprovalCardReply[]; readonly ticked: ReadonlySet<string>; readonly onToggle: (id: string) => void }) {
  const names = (argumentsIn(cards[0]?.arguments ?? '{}') ?? []).map(({ name }) => name)
  return (
    <table className="w-table w-alike">
      <thead><tr><th scope="col">approve</th><th scope="col">request</th>{names.map((name) => <th key={name} scope="col"><Inert text={name} most={60} /></th>)}<th scope="col">time left</th></tr></thead>
      <tbody>
        {cards.map((card) => {
          const values = new Map(argumentsIn(card.arguments!)?.map(({ name, value }) => [name, value]))
          return (
            <tr key={card.id}>
              <td><input type="checkbox" aria-label={`approve ${card.id}`} checked={card.you.may && ticked.has(card.id)} disabled={!card.you.may} onChange={() => onToggle(card.id)} /></td>
              <th scope="row"><Link to="/approvals/$id" params={{ id: card.id }}><Id of={card.id} /></Link></th>
              {names.map((name) => <td key={name}><Value text={values.get(name) ?? ''} /></td>)}
              <td><TimeLeft until={card.expires_at} /></td>
            </tr>
          )
        })}
      </tbody>
    </table>
  )
}

/** One after the other; the first that is refused ends it, and says why. */
async function approveEach(cards: readonly ApprovalCardReply[], reason: string): Promise<void> {
  for (const card of cards) {
    const choice = { scope: 'once' } as const
    const differs = await differsIn({ card, choice, envelope: card.envelope, envelopeSha256: card.envelope_sha256, runs: card.arguments })
    if (differs !== null) throw new Error(`what the server shows of ${card.id} is not what it would have you say yes to: ${differs} differs`)
    await sayYes(card, { choice, envelopeSha256: card.envelope_sha256!, reason })
  }
}
