import type { LeaseReply, TaskReply } from '@writ/contract/tasks'
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { commandOf, curlOf } from '../commands.ts'
import { listApprovals, listDecisions, listToolCalls, showTask } from '../endpoints.ts'
import { useLiveState } from '../live.ts'
import { useAll, useAsk } from '../queries.ts'
import { AgentWords, Inert } from '../ui/agent-words.tsx'
import { Id } from '../ui/copy.tsx'
import { Mark, NotEvaluated } from '../ui/mark.tsx'
import { useNow } from '../ui/now.tsx'
import { Facts, Page, Part } from '../ui/page.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { spanText } from '../ui/spans.ts'
import { StopButton } from '../ui/stop-button.tsx'
import { Ago, Exactly } from '../ui/time.tsx'
import { endReasonText, LEASE_STATES, saidOf, shortName, TASK_STATES } from '../ui/words.ts'
import { stepsOf, Waterfall } from './waterfall.tsx'

/** One run: what it was for, what it did, what it held, and how it ended. */
export function TaskPage() {
  const { id } = useParams({ from: '/inside/tasks/$id' })
  const poll = useLiveState().kind !== 'live'
  const found = useAsk(showTask, { parameters: { id } }, { poll })
  const task = found.data
  if (task === undefined) return found.error === null ? <p className="w-loading" role="status">loading the task…</p> : <ProblemNote error={found.error} />
  const [tone, word] = saidOf(TASK_STATES, task.state)
  return (
    <Page
      title={<Link to="/identities/$id" params={{ id: task.identity }}>{shortName(task.spiffe_id)}</Link>} beside={<><Mark tone={tone}>{word}</Mark><Id of={task.id} /></>}
      commands={{ cli: commandOf('writ', 'task', 'show', task.id), curl: curlOf(showTask, { parameters: { id } }, window.location.origin) }} actions={<StopButton of={task.id} off={task.state === 'closed' ? 'it is closed already' : undefined} />}
    >
      <div className="w-columns w-intent-action">
        <Part title="Intent"><AgentWords text={task.purpose} by="what the agent said it is for" /><Terms task={task} /></Part>
        <Part title="Bounds"><Bounds task={task} /></Part>
      </div>
      <Calls task={task} />
      <Leases leases={task.leases} />
    </Page>
  )
}

function Terms({ task }: { readonly task: TaskReply }) {
  return <Facts of={[['Purpose id', task.purpose_id ?? 'none'], ['Change', task.change_reference === null ? 'none' : <Inert key="c" text={task.change_reference} most={100} />], ...(task.parent === null ? [] : [['Delegated by', <Link key="p" to="/tasks/$id" params={{ id: task.parent }}><Id of={task.parent} /></Link>] as const])]} />
}

function Bounds({ task }: { readonly task: TaskReply }) {
  const now = useNow()
  const left = Date.parse(task.deadline) - now
  return (
    <>
      <Facts of={[
        ['Opened', <Exactly key="o" at={task.opened_at} />],
        task.end_reason === null ? ['Deadline', <>{left > 0 ? `${spanText(Math.floor(left / 1000) * 1000)} left` : 'due'}, <span className="w-dim"><Exactly at={task.deadline} /></span></>] : ['Ended', <>{endReasonText(task.end_reason)}{task.ended_at !== null && <>, <Ago at={task.ended_at} /></>}</>],
        ['Calls', <><span className="w-share" aria-hidden="true"><span style={{ width: `${Math.min(100, task.budget.used / task.budget.calls * 100)}%` }} /></span>{task.budget.used.toLocaleString('en')} of {task.budget.calls.toLocaleString('en')}</>],
        ['Ends when', `silent for ${spanText(task.heartbeat_seconds * 1000)}, idle for ${spanText(task.idle_timeout_seconds * 1000)}`],
      ]} />
      <h3>Grant{task.widenings > 0 && <span className="w-dim">, widened {task.widenings} times</span>}</h3>
      <ul className="w-chips">
        {task.authorization_details.flatMap(({ type, locations, actions, limits }) => locations.flatMap((location) => actions.map((action) => {
          const text = `${type}:${location}:${action}${limits === undefined ? '' : ` ${Object.entries(limits).map(([name, most]) => `${name}≤${most}`).join(' ')}`}`
          return <li key={text}><code><Inert text={text} most={160} /></code></li>
        })))}
      </ul>
    </>
  )
}

function Calls({ task }: { readonly task: TaskReply }) {
  const { call } = useSearch({ from: '/inside/tasks/$id' })
  const navigate = useNavigate({ from: '/tasks/$id' })
  const poll = useLiveState().kind !== 'live' && task.state !== 'closed'
  const decisions = useAll(listDecisions, { query: { task: task.id } }, (reply) => reply.decisions)
  const calls = useAll(listToolCalls, { query: { task: task.id } }, (reply) => reply.calls)
  const approvals = useAsk(listApprovals, { query: { task: task.id, limit: 100 } }, { poll })
  const error = decisions.error ?? calls.error
  const steps = stepsOf(decisions.rows, calls.rows)
  const asked = approvals.data?.approvals.length
  return (
    <Part title="Action" aside={<span className="w-dim">{decisions.isLoading ? '' : `${steps.length} ${steps.length === 1 ? 'step' : 'steps'}`}{asked === undefined ? <>, approvals <NotEvaluated why="requests for approval could not be asked for" /></> : asked === 0 ? '' : `, ${asked} asked of a person`}</span>}>
      {error !== null ? <ProblemNote error={error} /> : decisions.isLoading ? <p className="w-loading" role="status">loading what it did…</p>
        : steps.length === 0 ? <p className="w-dim">It has asked for nothing yet.</p>
          : <Waterfall task={task} steps={steps} opened={call} onOpen={(next) => void navigate({ search: { call: next }, replace: true })} />}
    </Part>
  )
}

function Leases({ leases }: { readonly leases: readonly LeaseReply[] }) {
  return (
    <Part title="Credentials">
      {leases.length === 0 ? <p className="w-dim">It was given none.</p> : (
        <div className="w-scroll" tabIndex={0} role="region" aria-label="Credentials">
          <table className="w-table">
            <thead><tr>{['Lease', 'State', 'Where', 'What', 'End'].map((head) => <th key={head} scope="col">{head}</th>)}</tr></thead>
            <tbody>
              {leases.map((one) => (
                <tr key={one.id}>
                  <td><Id of={one.id} /></td><td><Mark tone={saidOf(LEASE_STATES, one.state)[0]}>{saidOf(LEASE_STATES, one.state)[1]}</Mark></td><td><Inert text={one.kind === 'access_token' ? one.audience ?? 'writ' : one.backend} most={80} /></td>
                  <td>{one.kind === 'access_token' ? 'access token' : <code>{one.template} as {one.user}</code>}</td>
                  <td>{one.outcome === 'proved' ? <Mark tone="good">proved: refused when tried again</Mark> : one.outcome === 'not_evaluated' ? <NotEvaluated why="that it is refused could not be tried" /> : one.outcome === 'never_issued' ? 'never issued' : <Ago at={one.expires_at} />}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Part>
  )
}
