import { Button } from '@mantine/core'
import type { IdentityReply } from '@writ/contract/registry'
import type { makeStop as makeStopContract } from '@writ/contract/stops'
import type { TaskReply } from '@writ/contract/tasks'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { useId, useState, type FormEvent, type ReactNode } from 'react'
import type { ReplyOf } from '../api.ts'
import { curlOf } from '../commands.ts'
import { listIdentities, listTasks, makeStop, showIdentity, showTask } from '../endpoints.ts'
import { useAll, useAsk, useDo } from '../queries.ts'
import { whoMay } from '../ui/action.tsx'
import { AgentWords, Inert } from '../ui/agent-words.tsx'
import { CopyAs } from '../ui/copy-as.tsx'
import { Id } from '../ui/copy.tsx'
import { Empty } from '../ui/empty.tsx'
import { ListTable, type Column } from '../ui/list-table.tsx'
import { Mark, NotEvaluated } from '../ui/mark.tsx'
import { Facts, Page, Part } from '../ui/page.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { Ago } from '../ui/time.tsx'
import { shortName } from '../ui/words.ts'
import { useReach } from '../who.ts'
import { counted, stopCommand, touchedText, type StopKind } from './stop-words.ts'
import './stops.css'

/** First what it would touch, then a reason, and only then does it stop. */
export function NewStop() {
  const { of, scope } = useSearch({ from: '/inside/stops/new' })
  if (of === undefined) return <Choose />
  if (of.startsWith('tsk_')) return <OfTask key={of} id={of} scope={scope} />
  if (of.startsWith('nhi_')) return <OfIdentity key={of} id={of} scope={scope} />
  return <Page title="Stop what?"><Empty title="A task or an identity can be stopped" command="writ stop task TASK --dry-run"><Inert text={of} most={80} /> is neither. <Link to="/stops/new">Choose one</Link> of those that run.</Empty></Page>
}

type Choice = { readonly id: string; readonly kind: 'task' | 'identity'; readonly name: string; readonly says: string; readonly at: string | null }

const CHOICES: readonly Column<Choice>[] = [
  { id: 'kind', header: 'Kind', width: '88px', value: (one) => one.kind },
  { id: 'id', header: 'Id', width: '132px', value: (one) => one.id, cell: (one) => <Link to="/stops/new" search={{ of: one.id }}><Id of={one.id} /></Link> },
  { id: 'name', header: 'Identity', width: 'minmax(160px, 1fr)', value: (one) => one.name },
  { id: 'purpose', header: 'Purpose (of a task: the agent’s words)', width: 'minmax(200px, 3fr)', value: (one) => one.says, cell: (one) => <Inert text={one.says} most={160} /> },
  { id: 'at', header: 'Opened, or last used', width: '150px', value: (one) => one.at, cell: (one) => (one.at === null ? <span className="w-dim">never</span> : <Ago at={one.at} />) },
]

const ofTask = (one: TaskReply): Choice => ({ id: one.id, kind: 'task', name: shortName(one.spiffe_id), says: one.purpose, at: one.opened_at })
const ofIdentity = (one: IdentityReply): Choice => ({ id: one.id, kind: 'identity', name: shortName(one.spiffe_id), says: one.purpose, at: one.last_used_at })

/** What runs, and who may. */
function Choose() {
  const search = useSearch({ from: '/inside/stops/new' })
  const navigate = useNavigate({ from: '/stops/new' })
  const tasks = useAll(listTasks, { query: { state: 'open' } }, (reply) => reply.tasks.map(ofTask))
  const identities = useAll(listIdentities, {}, (reply) => reply.identities.filter((one) => one.state === 'active').map(ofIdentity))
  const list = {
    rows: [...tasks.rows, ...identities.rows], more: tasks.more || identities.more, isLoading: tasks.isLoading || identities.isLoading, error: tasks.error ?? identities.error,
    fetchMore: () => { for (const one of [tasks, identities]) if (one.more) one.fetchMore() },
  }
  return (
    <Page title="Stop what?" isList beside={<Unchanged />} actions={<Link to="/stops">what was stopped</Link>}>
      <ListTable
        name="what can be stopped" columns={CHOICES} list={list} idOf={(one) => one.id} search={search} hint="filter: kind:task refund-agent"
        onSearch={(next) => void navigate({ search: { ...search, ...next }, replace: true })} onOpen={(one) => void navigate({ search: { of: one.id } })}
        empty={<Empty title="There is nothing to stop" command="writ stop identity NAME --dry-run">No task is open and no identity may act. Whatever runs would stand here, and what stopping it would touch is said before anything is changed.</Empty>}
      />
    </Page>
  )
}

const Unchanged = () => <Mark tone="quiet">nothing has been changed yet</Mark>

type Asked = { readonly id: string; readonly scope: string | undefined }

function OfTask({ id, scope }: Asked) {
  const { data: task, error } = useAsk(showTask, { parameters: { id } })
  if (task === undefined) return error === null ? <p className="w-loading" role="status">loading the task…</p> : <ProblemNote error={error} />
  const kind = scope === 'identity' || scope === 'identity_tree' ? scope : 'task'
  return (
    <Plan of={id} kind={kind} kinds={['task', 'identity', 'identity_tree']} identity={task.identity} name={shortName(task.spiffe_id)}>
      <p>Task <Link to="/tasks/$id" params={{ id }}><Id of={id} /></Link> of <Link to="/identities/$id" params={{ id: task.identity }}>{shortName(task.spiffe_id)}</Link>{task.state === 'open' ? '' : `, which is ${task.state}`}</p>
      <AgentWords text={task.purpose} by="what the agent said it is for" />
    </Plan>
  )
}

function OfIdentity({ id, scope }: Asked) {
  const { data: identity, error } = useAsk(showIdentity, { parameters: { id } })
  if (identity === undefined) return error === null ? <p className="w-loading" role="status">loading the identity…</p> : <ProblemNote error={error} />
  const name = shortName(identity.spiffe_id)
  return (
    <Plan of={id} kind={scope === 'identity_tree' ? scope : 'identity'} kinds={['identity', 'identity_tree']} identity={id} name={name}>
      <p><Link to="/identities/$id" params={{ id }}>{name}</Link>{identity.state === 'active' ? '' : `, which is ${identity.state}`}: <Inert text={identity.purpose} most={300} /></p>
    </Plan>
  )
}

const KINDS: Readonly<Record<StopKind, readonly [name: string, does: string]>> = {
  task: ['this task', 'it ends, with every task beneath it'],
  identity: ['this identity', 'it is suspended: all its tasks end, with those beneath them, and it opens no more'],
  identity_tree: ['this identity and whoever it has delegated to', 'whoever works at something that it has delegated is suspended too, with all their tasks'],
}

type PlanProps = { readonly of: string; readonly kind: StopKind; readonly kinds: readonly StopKind[]; readonly identity: string; readonly name: string; readonly children: ReactNode }

function Plan({ of, kind, kinds, identity, name, children }: PlanProps) {
  const [reason, setReason] = useState('')
  const [field, group] = [useId(), useId()]
  const navigate = useNavigate({ from: '/stops/new' })
  const off = useReach('makeStop') === 'none' ? whoMay('makeStop') : undefined
  const target = { kind, id: kind === 'task' ? of : identity }
  const typed = reason.trim()
  const asked = { body: { target, reason: typed === '' ? 'REASON' : typed } }
  const deed = useDo(makeStop, ({ stop }) => { if (stop !== null) void navigate({ to: '/stops/$id', params: { id: stop.id }, replace: true }) })
  const submit = (event: FormEvent): void => {
    event.preventDefault()
    if (off === undefined && typed !== '') deed.mutate(asked)
  }
  return (
    <Page title={kind === 'task' ? `Stop a task of ${name}?` : `Stop ${name}?`} beside={<Unchanged />}>
      <form className="w-form w-stop" onSubmit={submit}>
        <Part title="What">
          {children}
          <fieldset className="w-stop-kinds">
            <legend className="w-sr">How much of it</legend>
            {kinds.map((one) => (
              <label key={one}>
                <input type="radio" name={group} value={one} checked={one === kind} onChange={() => void navigate({ search: { of, scope: one === kinds[0] ? undefined : one }, replace: true })} />
                <span><strong>{KINDS[one][0]}</strong> <span className="w-dim">{KINDS[one][1]}</span></span>
              </label>
            ))}
          </fieldset>
        </Part>
        <Part title="What that touches" aside={<CopyAs label="Copy the dry run as" commands={{ cli: stopCommand(target, '--dry-run'), curl: curlOf(makeStop, DRY(target), window.location.origin) }} />}>
          {off === undefined ? <Touches target={target} /> : <p><NotEvaluated why={off} />: a dry run is for whoever may stop.</p>}
        </Part>
        <Part title="Why">
          <div className="w-form">
            <label htmlFor={field}>Reason <span className="w-dim">kept in the log</span></label>
            <textarea id={field} rows={2} maxLength={500} required value={reason} onChange={(event) => setReason(event.currentTarget.value)} />
            {deed.error !== null && <ProblemNote error={deed.error} />}
            <div className="w-form-end">
              <CopyAs commands={{ cli: stopCommand(target, '--reason', asked.body.reason), curl: curlOf(makeStop, asked, window.location.origin) }} />
              <span className="w-spring" />
              <Button variant="default" size="sm" onClick={() => void navigate({ to: '/go/$id', params: { id: of } })}>Leave it</Button>
              <Button
                type="submit" color="red" size="sm" loading={deed.isPending}
                {...(off ?? (typed === '' ? 'type a reason first' : undefined)) === undefined ? {} : { 'data-disabled': true, 'aria-disabled': true, 'title': off ?? 'type a reason first' }}
              >
                {kind === 'task' ? 'Stop the task' : 'Stop it'}
              </Button>
            </div>
            {off !== undefined && <p className="w-dim">You may look, and not stop: {off}.</p>}
          </div>
        </Part>
      </form>
    </Page>
  )
}

type Target = { readonly kind: StopKind; readonly id: string }
const DRY = (target: Target) => ({ body: { target, reason: 'a dry run', dry_run: true } })

/** What a dry run says, asked again and again: it changes while somebody reads it. */
function Touches({ target }: { readonly target: Target }) {
  const dry = useAsk(makeStop, DRY(target), { poll: true })
  if (dry.error !== null) return <ProblemNote error={dry.error} />
  if (dry.data === undefined || dry.isPlaceholderData) return <p className="w-loading" role="status">counting…</p>
  return <Facts of={linesOf(dry.data, target.kind)} />
}

const MOST_NAMED = 12

function linesOf({ touches, suspends, mcp }: ReplyOf<typeof makeStopContract>, kind: StopKind): readonly (readonly [string, ReactNode])[] {
  const text = touchedText(touches)
  const here = [[touches.calls_in_flight, `${counted(touches.calls_in_flight, 'call')} in flight`], [mcp.links, `${counted(mcp.links, 'open way')} to MCP servers`], [mcp.sessions, counted(mcp.sessions, 'MCP session')]] as const
  const cancels = here.filter(([count]) => count > 0).map(([, says]) => says).join(' · ')
  return [
    ['Will stop', text === '' ? 'nothing: nothing of it runs any more' : <strong key="t">{text}</strong>],
    ['Will cancel', <>{cancels === '' ? 'nothing: no call is in flight' : <strong>{cancels}</strong>}{mcp.servers_not_evaluated > 0 && <>; ways on {counted(mcp.servers_not_evaluated, 'other server')} <NotEvaluated why="only a server itself can count its own; each confirms its own end" /></>}</>],
    ['Will suspend', kind === 'task' ? 'nobody: its identity can open another task' : suspends.length === 0 ? 'nobody: whoever it is has been suspended already' : <Names key="s" of={suspends} />],
    ['Will refuse', 'every request of it, on every server, from that moment on'],
    ['Will not stop', `the agent’s own process: only what it may do ends${kind === 'identity' ? '; and whoever it has delegated to may go on with tasks of their own' : ''}`],
  ]
}

const Names = ({ of }: { readonly of: readonly string[] }) => (
  <ul className="w-chips">{of.slice(0, MOST_NAMED).map((one) => <li key={one} title={one}>{shortName(one)}</li>)}{of.length > MOST_NAMED && <li>and {(of.length - MOST_NAMED).toLocaleString('en')} more</li>}</ul>
)
