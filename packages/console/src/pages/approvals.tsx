import type { ApprovalReply, listApprovals as listApprovalsContract } from '@writ/contract/approvals'
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { useEffect, useRef } from 'react'
import type { ReplyOf } from '../api.ts'
import { commandOf, curlOf } from '../commands.ts'
import { listApprovals, showApproval } from '../endpoints.ts'
import { useLiveState } from '../live.ts'
import { useAsk } from '../queries.ts'
import { Inert } from '../ui/agent-words.tsx'
import { CopyButton } from '../ui/copy.tsx'
import { Empty } from '../ui/empty.tsx'
import { Page } from '../ui/page.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { spanText } from '../ui/spans.ts'
import { Switch } from '../ui/switch.tsx'
import { shortName } from '../ui/words.ts'
import { useReach } from '../who.ts'
import { AlikeCard } from './approval-alike.tsx'
import { ApprovalCard } from './approval-card.tsx'
import { Inbox } from './approval-inbox.tsx'
import { mostRoutine } from './routine.ts'
import './approvals.css'

type Listed = ReplyOf<typeof listApprovalsContract>

/** As many as one glance can hold; whoever has more to answer has other troubles. */
const MOST = 200

/** What waits for a person, and what was answered; nothing opened yet. */
export function Approvals() {
  const { state, alike } = useSearch({ from: '/inside/approvals' })
  return <Board state={state} alike={alike} />
}

/** The same with one opened. */
export function ApprovalPage() {
  const { id } = useParams({ from: '/inside/approvals/$id' })
  const { state } = useSearch({ from: '/inside/approvals/$id' })
  return <Board id={id} state={state} />
}

type BoardProps = { readonly id?: string; readonly state: string | undefined; readonly alike?: string | undefined }

function Board({ id, state, alike }: BoardProps) {
  const poll = useLiveState().kind !== 'live'
  const isAll = state === 'all'
  const asked = { query: { limit: MOST, ...(isAll ? {} : { state: 'waiting' as const }) } }
  const found = useAsk(listApprovals, asked, { poll })
  const navigate = useNavigate()
  const page = useRef<HTMLDivElement>(null)
  useInboxKeys(page)
  const reply = found.data
  const of = window.location.origin
  const commands = id === undefined
    ? { cli: commandOf('writ', 'approvals', 'list', ...(isAll ? ['--state', 'any'] : [])), curl: curlOf(listApprovals, asked, of) }
    : { cli: commandOf('writ', 'approvals', 'show', id), curl: curlOf(showApproval, { parameters: { id } }, of) }
  const isNone = reply !== undefined && reply.approvals.length === 0 && id === undefined
  return (
    <Page
      title="Approvals" isList commands={commands}
      beside={<>
        <Switch name="Which requests" value={isAll ? 'all' : 'waiting'} choices={[['waiting', `Waiting ${reply?.waiting ?? ''}`.trim()], ['all', 'All']]} onChange={(one) => void navigate({ to: '/approvals', search: one === 'all' ? { state: 'all' } : {} })} />
        <OwnHabit of={reply?.habit ?? null} />
      </>}
    >
      {found.error !== null && <ProblemNote error={found.error} />}
      {reply?.habit?.propose_policy === true && <RoutineNote rate={reply.habit.approve_rate} answered={reply.habit.answered} />}
      {found.isPending && <p className="w-loading" role="status">loading requests…</p>}
      {isNone && !found.isPending && <Nothing isAll={isAll} />}
      {reply !== undefined && !isNone && (
        <div className="w-approvals" ref={page} data-open={id !== undefined || alike !== undefined}>
          <Inbox approvals={arranged(reply.approvals)} more={reply.next !== null} opened={id ?? alike} isAll={isAll} />
          <Opened id={id} alike={alike} approvals={reply.approvals} />
        </div>
      )}
    </Page>
  )
}

/** What waits comes first, and of it first what ends first. */
const arranged = (approvals: readonly ApprovalReply[]): readonly ApprovalReply[] =>
  approvals.toSorted((a, b) => Number(b.state === 'waiting') - Number(a.state === 'waiting') || (a.state === 'waiting' && b.state === 'waiting' ? Date.parse(a.expires_at) - Date.parse(b.expires_at) : 0))

function Opened({ id, alike, approvals }: { readonly id: string | undefined; readonly alike: string | undefined; readonly approvals: readonly ApprovalReply[] }) {
  if (id !== undefined) return <ApprovalCard key={id} id={id} />
  if (alike !== undefined) return <AlikeCard key={alike} approvals={approvals.filter((one) => one.alike === alike && one.state === 'waiting')} />
  return <p className="w-approval-none w-dim">Open a request to see exactly what would run, and who stands behind it.</p>
}

function Nothing({ isAll }: { readonly isAll: boolean }) {
  return (
    <Empty title={isAll ? 'No agent has asked yet' : 'Nothing waits for a person'} command="writ approvals watch">
      Where a policy allows something only once a person has said yes, the agent’s call stops, and stands here until somebody answers or its time is over. No answer is no.
      {!isAll && <> What was answered before is under <Link to="/approvals" search={{ state: 'all' }}>All</Link>.</>}
    </Empty>
  )
}

function OwnHabit({ of }: { readonly of: Listed['habit'] }) {
  if (of === null || of.answered === 0) return null
  return <span className="w-dim">you: {of.answered} answered{of.median_seconds !== null && <>, median {spanText(of.median_seconds * 1000)}</>}{of.approve_rate !== null && <>, {percent(of.approve_rate)} yes</>}</span>
}

const percent = (rate: number): string => `${Math.floor(rate * 100)} %`

function RoutineNote({ rate, answered }: { readonly rate: number | null; readonly answered: number }) {
  const all = useAsk(listApprovals, { query: { limit: MOST } }).data?.approvals
  const routine = all && mostRoutine(all)
  const writes = useReach('applyPolicies') === 'all'
  return (
    <div className="w-routine" role="note">
      <strong>These look routine.</strong> You said yes to {rate === null ? 'nearly all' : percent(rate)} of your last {answered}. Write a policy instead? A rule that allows them asks nobody, and whoever is asked less reads more.
      {routine !== undefined && <> Most often it was <Inert text={shortName(routine.newest.spiffe_id)} most={60} /> for <Inert text={routine.newest.resource.id} most={80} />: {routine.count} times yes, never no.{' '}
        {writes ? <Link to="/policies" search={{ like: routine.newest.id }}>Begin with a policy for just these</Link>
          : <>Whoever writes policies can begin from this link: <code className="w-link-text">{`${window.location.origin}/policies?like=${routine.newest.id}`}</code> <CopyButton text={`${window.location.origin}/policies?like=${routine.newest.id}`} says="Copy the link" /></>}</>}
    </div>
  )
}

const isWriting = (target: EventTarget | null): boolean =>
  (target instanceof HTMLElement && (target.isContentEditable || /^(?:INPUT|TEXTAREA|SELECT)$/.test(target.tagName))) || document.querySelector('[role="dialog"]') !== null

/** j and k go through the inbox from wherever one is; Enter opens, as on any link. */
function useInboxKeys(page: { readonly current: HTMLDivElement | null }): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || isWriting(event.target) || !['j', 'k'].includes(event.key)) return
      const links = [...page.current?.querySelectorAll<HTMLElement>('[data-inbox]') ?? []]
      const focused = links.findIndex((link) => link === document.activeElement)
      const from = focused === -1 ? links.findIndex((link) => link.dataset['opened'] === 'true') : focused
      links[Math.max(0, Math.min(links.length - 1, from + (event.key === 'j' ? 1 : -1)))]?.focus()
    }
    document.addEventListener('keydown', onKey)
    return () => document.removeEventListener('keydown', onKey)
  }, [page])
}
