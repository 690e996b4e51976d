import type { ApprovalCardReply } from '@writ/contract/approvals'
import { Link } from '@tanstack/react-router'
import { useState, type ReactNode } from 'react'
import { showApproval } from '../endpoints.ts'
import { useLiveState } from '../live.ts'
import { useAsk } from '../queries.ts'
import { AgentWords, Inert } from '../ui/agent-words.tsx'
import { CopyButton, Id } from '../ui/copy.tsx'
import { Explanation } from '../ui/explanation.tsx'
import { Mark } from '../ui/mark.tsx'
import { useNow } from '../ui/now.tsx'
import { Facts } from '../ui/page.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { Ago } from '../ui/time.tsx'
import { shortName } from '../ui/words.ts'
import { ApprovalAnswer } from './approval-answer.tsx'
import { RISKS, STATES, TimeLeft } from './approval-inbox.tsx'
import { argumentsIn } from './exact-arguments.ts'

/** Everything that whoever decides has to see, and under it what they can say. */
export function ApprovalCard({ id }: { readonly id: string }) {
  const poll = useLiveState().kind !== 'live'
  const found = useAsk(showApproval, { parameters: { id } }, { poll })
  if (found.data === undefined) return found.error === null ? <p className="w-loading" role="status">loading the request…</p> : <section className="w-approval"><div className="w-approval-body"><ProblemNote error={found.error} /></div></section>
  const card = found.data
  return (
    <section className="w-approval" aria-labelledby="approval-title">
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a region that scrolls has to be reached by keys */}
      <div className="w-approval-body" tabIndex={0} role="region" aria-label="The request">
        <Head card={card} />
        {found.error !== null && <ProblemNote error={found.error} />}
        <Block title="Exactly what will run" aside={<Hash of={card.arguments_sha256} />}><WillRun card={card} /></Block>
        <Block title="Why a person is asked">{card.explanation === null ? <p className="w-dim">Why is no longer known: what was asked has been erased.</p> : <Explanation of={card.explanation} />}</Block>
        <Block title="Who is behind it"><Chain card={card} /></Block>
        <Block title="Intent">{card.intent === null ? <p className="w-dim">The agent said nothing about this call.</p> : <AgentWords text={card.intent} />}</Block>
        <Block title="Before, and who answers"><Facts of={around(card)} /></Block>
        {card.votes.length > 0 && <Block title="Answers"><Votes card={card} /></Block>}
      </div>
      <ApprovalAnswer card={card} />
    </section>
  )
}

function Block({ title, aside, children }: { readonly title: string; readonly aside?: ReactNode; readonly children: ReactNode }) {
  return <section className="w-approval-block"><header><h3>{title}</h3>{aside}</header>{children}</section>
}

const EFFECTS: Readonly<Record<NonNullable<ApprovalCardReply['effect']>, string>> = { read: 'reads', write: 'writes', external: 'goes out of the house' }

function Head({ card }: { readonly card: ApprovalCardReply }) {
  const [tone, word] = STATES[card.state]
  return (
    <header className="w-approval-head">
      <div className="w-approval-title">
        <h2 id="approval-title"><Inert text={card.resource.id} most={120} /></h2>
        <Mark tone={RISKS[card.risk]}>{card.risk} risk</Mark>
        {card.state !== 'waiting' && <Mark tone={tone}>{word}</Mark>}
        <span className="w-dim">{card.effect === null ? 'effect not described' : EFFECTS[card.effect]} · {card.reversible === null ? 'not known whether it can be undone' : card.reversible ? 'can be undone' : 'can not be undone'}</span>
        {card.labels.map((label) => <span key={label} className="w-approval-label"><Inert text={label} most={40} /></span>)}
      </div>
      <p><Link to="/identities/$id" params={{ id: card.identity }}><Inert text={shortName(card.spiffe_id)} most={80} /></Link> asks to <code><Inert text={card.action} most={60} /></code> the {card.resource.type === '' ? 'resource' : <Inert text={card.resource.type.replace(/^Writ::/, '').toLowerCase()} most={40} />} <strong><Inert text={card.resource.id} most={120} /></strong> in task <Link to="/tasks/$id" params={{ id: card.task }}><Id of={card.task} /></Link>.</p>
      {card.state === 'waiting' ? <Clock card={card} /> : <Came card={card} />}
    </header>
  )
}

/** What is left of the time that there was. */
function Clock({ card }: { readonly card: ApprovalCardReply }) {
  const [from, to, now] = [Date.parse(card.requested_at), Date.parse(card.expires_at), useNow()]
  const left = Math.max(0, Math.min(1, (to - now) / Math.max(1, to - from)))
  return (
    <p className="w-approval-clock">
      <span>Time left <TimeLeft until={card.expires_at} /></span>
      <progress max={1} value={left} aria-label="Time left" data-soon={to - now < 60_000} />
      <span>then <strong>DENIED</strong></span>
    </p>
  )
}

function Came({ card }: { readonly card: ApprovalCardReply }) {
  const says: Readonly<Record<ApprovalCardReply['state'], ReactNode>> = {
    waiting: null, denied: 'Somebody said no.', cancelled: 'It was withdrawn.', lapsed: 'Its time was over: no answer, or no use, is no.',
    approved: <>Approved, and not used yet; from <TimeLeft until={card.expires_at} /> on it is none.</>, used: <>Approved, and used{card.used_at !== null && <> <Ago at={card.used_at} /></>}. It can not be used again.</>,
  }
  return (
    <p>
      {says[card.state]}{card.why !== null && <span className="w-dim"> (<Inert text={card.why} most={200} />)</span>}
      {card.calls !== null && <> {card.calls.used} of {card.calls.most} calls used.</>}
    </p>
  )
}

export function Hash({ of }: { readonly of: string }) {
  return <span className="w-approval-hash">SHA-256 <code title={of}>{of.slice(0, 8)}…{of.slice(-6)}</code><CopyButton text={of} says="Copy the SHA-256" /></span>
}

function WillRun({ card }: { readonly card: ApprovalCardReply }) {
  const [isRaw, setRaw] = useState(false)
  const text = card.edited_arguments ?? card.arguments
  if (text === null) return <p className="w-dim">The arguments have been erased; their hash stays.</p>
  const rows = argumentsIn(text)
  return (
    <>
      {card.edited_arguments !== null && <p><Mark tone="ask">lowered</Mark> by whoever approved it. Asked for was <code><Inert text={card.arguments ?? 'erased'} most={400} /></code></p>}
      {isRaw || rows === null ? (
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- it scrolls
        <pre className="w-approval-raw" tabIndex={0} role="region" aria-label="The stored bytes"><Inert text={text} /></pre>
      ) : rows.length === 0 ? <p className="w-dim">It takes no arguments.</p> : (
        <dl className="w-approval-arguments">{rows.map(({ name, value }) => <div key={name}><dt><Inert text={name} most={200} /></dt><dd><Value text={value} /></dd></div>)}</dl>
      )}
      <p className="w-approval-tools">
        {rows !== null && <button type="button" className="w-quiet-button" aria-pressed={isRaw} onClick={() => setRaw(!isRaw)}>{isRaw ? 'name by name' : 'raw'}</button>}
        <CopyButton text={text} says="Copy the arguments" />
        <span className="w-dim">{new TextEncoder().encode(text).length.toLocaleString('en')} bytes, as they are kept; what you see is what runs</span>
      </p>
    </>
  )
}

const SHOWN_AT_FIRST = 600

/** Every character of it can be read before somebody says yes. */
export function Value({ text }: { readonly text: string }) {
  const [isWhole, setWhole] = useState(false)
  const isLong = text.length > SHOWN_AT_FIRST
  return (
    <>
      <code><Inert text={isWhole || !isLong ? text : text.slice(0, SHOWN_AT_FIRST)} /></code>
      {isLong && <button type="button" className="w-quiet-button" aria-expanded={isWhole} onClick={() => setWhole(!isWhole)}>{isWhole ? 'show less' : `… ${(text.length - SHOWN_AT_FIRST).toLocaleString('en')} more characters`}</button>}
    </>
  )
}

function Chain({ card }: { readonly card: ApprovalCardReply }) {
  return (
    <ol className="w-chain">
      {card.on_behalf_of !== null && <li><strong><Inert text={card.on_behalf_of.subject} most={100} /></strong> <span className="w-dim">on whose behalf, says <Inert text={card.on_behalf_of.issuer} most={100} /></span></li>}
      {card.chain.map((link, i) => (
        <li key={link.task}>
          <p>
            <Link to="/identities/$id" params={{ id: link.identity }}><Inert text={shortName(link.spiffe_id)} most={80} /></Link>
            {i === card.chain.length - 1 ? ' asks' : ' passed it on'} in <Link to="/tasks/$id" params={{ id: link.task }}><Id of={link.task} /></Link>
            <span className="w-dim">, answered for by <Inert text={link.technical_owner} most={80} /> and <Inert text={link.business_owner} most={80} />; ends <Ago at={link.deadline} /></span>
          </p>
          <AgentWords text={link.purpose} by="what the task is for, in the agent’s words" most={200} />
        </li>
      ))}
    </ol>
  )
}

function around(card: ApprovalCardReply): readonly (readonly [string, ReactNode])[] {
  const { used, denied, lapsed } = card.history
  const names = card.who_can_decide.people.map(({ name }) => name)
  return [
    ['last 30 days', used + denied + lapsed === 0 ? 'the first time that this agent asks for this' : `${used} approved and used, ${denied} denied, ${lapsed} lapsed`],
    ['can decide', <>{card.who_can_decide.say}{names.length > 0 && <>: <strong><Inert text={names.join(', ')} most={300} /></strong></>}</>],
    ['decision', <><Link to="/decisions/$id" params={{ id: card.decision }}><Id of={card.decision} /></Link> by policies of version {card.policy_version}</>],
    ...(card.tool_pin === null ? [] : [['tool', <>as accepted, definition <code title={card.tool_pin}>{card.tool_pin.slice(0, 12)}…</code></>] as const]),
  ]
}

function Votes({ card }: { readonly card: ApprovalCardReply }) {
  return (
    <ul className="w-needs">
      {card.votes.map((vote) => (
        <li key={`${vote.person} ${vote.at}`}>
          <Mark tone={vote.answer === 'approve' ? 'good' : 'bad'}>{vote.answer === 'approve' ? 'yes' : 'no'}</Mark>
          <span><strong><Inert text={vote.name} most={80} /></strong>{vote.signed && <span className="w-dim"> signed with a passkey</span>}{vote.reason !== null && <>: <Inert text={vote.reason} most={500} /></>}</span>
          <Ago at={vote.at} />
        </li>
      ))}
    </ul>
  )
}
