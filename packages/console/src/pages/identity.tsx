import type { IdentityReply } from '@writ/contract/registry'
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { commandOf, curlOf } from '../commands.ts'
import { listDecisions, listFindings, listTasks, resumeIdentity, retireIdentity, showIdentity } from '../endpoints.ts'
import { useLiveState } from '../live.ts'
import { useAsk } from '../queries.ts'
import { Action } from '../ui/action.tsx'
import { Inert } from '../ui/agent-words.tsx'
import { Id } from '../ui/copy.tsx'
import { Mark } from '../ui/mark.tsx'
import { Facts, Page, Part } from '../ui/page.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { StopButton } from '../ui/stop-button.tsx'
import { Switch } from '../ui/switch.tsx'
import { Ago, Exactly } from '../ui/time.tsx'
import { IDENTITY_STATES, plain, saidOf, shortName, TASK_STATES } from '../ui/words.ts'
import { DecisionRows } from './decision-rows.tsx'

const TABS = [['', 'Summary'], ['tasks', 'Tasks'], ['decisions', 'Decisions'], ['evidence', 'Keys and bindings']] as const

export function Identity() {
  const { id } = useParams({ from: '/inside/identities/$id' })
  const { tab = '' } = useSearch({ from: '/inside/identities/$id' })
  const navigate = useNavigate({ from: '/identities/$id' })
  const poll = useLiveState().kind !== 'live'
  const found = useAsk(showIdentity, { parameters: { id } }, { poll })
  const identity = found.data
  if (identity === undefined) return found.error === null ? <p className="w-loading" role="status">loading the identity…</p> : <ProblemNote error={found.error} />
  const [tone, word] = saidOf(IDENTITY_STATES, identity.state)
  return (
    <Page
      title={shortName(identity.spiffe_id)} beside={<><Mark tone={tone}>{word}</Mark><Id of={identity.id} /></>}
      commands={{ cli: commandOf('writ', 'identity', 'show', identity.id), curl: curlOf(showIdentity, { parameters: { id } }, window.location.origin) }}
      actions={<StateActions identity={identity} />}
    >
      <Switch name="What of it" value={tab} choices={TABS} onChange={(next) => void navigate({ search: { tab: next === '' ? undefined : next }, replace: true })} />
      {tab === 'tasks' ? <TasksOf identity={identity} /> : tab === 'decisions' ? <DecisionsOf identity={identity} /> : tab === 'evidence' ? <Evidence identity={identity} /> : <Summary identity={identity} />}
    </Page>
  )
}

function StateActions({ identity: { id, state, spiffe_id: spiffeId } }: { readonly identity: IdentityReply }) {
  const parameters = { id }
  const off = state === 'retired' ? 'it is retired, for ever' : undefined
  return (
    <>
      {state === 'suspended' && (
        <Action name="resumeIdentity" to={resumeIdentity} label="Resume" title={`Let ${shortName(spiffeId)} act again?`} asked={(reason) => ({ parameters, body: { reason } })} cli={(reason) => commandOf('writ', 'identity', 'resume', id, '--reason', reason)}>
          <p>It may open tasks again. What ended with its suspension stays ended.</p>
        </Action>
      )}
      <StopButton of={id} off={off} />
      <Action name="retireIdentity" to={retireIdentity} tone="stop" label="Retire" title={`Retire ${shortName(spiffeId)} for ever?`} off={off} asked={(reason) => ({ parameters, body: { reason } })} cli={(reason) => commandOf('writ', 'identity', 'retire', id, '--reason', reason)}>
        <p><strong>{shortName(spiffeId)}</strong>: its open tasks end, every credential of theirs is withdrawn and tried again, and it opens no more.</p>
        <p><strong>There is no way back:</strong> an identity is never used twice.</p>
      </Action>
    </>
  )
}

function Summary({ identity }: { readonly identity: IdentityReply }) {
  const findings = useAsk(listFindings, { query: { limit: 500 } })
  const open = findings.data?.findings.filter((one) => one.identity === identity.id && one.state === 'open') ?? []
  const { trigger } = identity
  const triggerText = trigger.kind === 'unused' ? `not used for ${trigger.days} days` : trigger.kind === 'backend_removed' ? `back end ${trigger.backend} is removed` : trigger.kind === 'issuer_removed' ? `issuer ${trigger.issuer} is trusted no more` : 'a signed webhook says so'
  return (
    <div className="w-columns">
      <Part title="Who it is">
        <Facts of={[
          ['Purpose', <Inert key="p" text={identity.purpose} most={1000} />],
          ['SPIFFE ID', <code key="s">{identity.spiffe_id}</code>],
          ['Technical owner', identity.owners.technical], ['Business owner', identity.owners.business],
          ['Kind and class', `${identity.kind}, ${identity.class}`], ['Environment', identity.environment], ['System scope', identity.system_scope.join(', ')],
          ['State', <Inert key="r" text={identity.state_reason} most={500} />],
        ]} />
      </Part>
      <Part title="How long, and how much">
        <Facts of={[
          ['Registered', <Exactly key="r" at={identity.registered_at} />], ['Last used', identity.last_used_at === null ? 'never' : <Ago key="l" at={identity.last_used_at} />],
          ['Ends', <><Ago at={identity.ends_at} /> <span className="w-dim">{identity.ends_at.slice(0, 10)}</span></>], ['Retired when', triggerText], ['Tasks in an hour', `${identity.tasks_per_hour.toLocaleString('en')} at most`],
        ]} />
        <h3>Ceiling</h3>
        <ul className="w-chips">{identity.authority.map((one) => <li key={one}><code>{one}</code></li>)}</ul>
      </Part>
      <Part title="Findings">
        {findings.error !== null ? <ProblemNote error={findings.error} /> : open.length === 0 ? <p className="w-dim">None is open.</p> : <ul className="w-needs">{open.map((one) => <li key={one.id}><Mark tone="ask">{plain(one.kind)}</Mark><code><Inert text={JSON.stringify(one.evidence)} most={200} /></code><Ago at={one.raised_at} /></li>)}</ul>}
      </Part>
    </div>
  )
}

const Table = ({ heads, children, says }: { readonly heads: readonly string[]; readonly children: ReactNode; readonly says: string }) => (
  <div className="w-scroll" tabIndex={0} role="region" aria-label={says}><table className="w-table"><thead><tr>{heads.map((head) => <th key={head} scope="col">{head}</th>)}</tr></thead><tbody>{children}</tbody></table></div>
)

function TasksOf({ identity }: { readonly identity: IdentityReply }) {
  const tasks = useAsk(listTasks, { query: { identity: identity.id, limit: 100 } })
  if (tasks.error !== null) return <ProblemNote error={tasks.error} />
  if (tasks.data === undefined) return <p className="w-loading" role="status">loading…</p>
  if (tasks.data.tasks.length === 0) return <p className="w-dim">It has not opened a task yet.</p>
  return (
    <Table says="Its tasks" heads={['Task', 'State', 'Intent (the agent’s words)', 'Calls', 'Opened', 'End']}>
      {tasks.data.tasks.map((one) => (
        <tr key={one.id}>
          <td><Link to="/tasks/$id" params={{ id: one.id }}><Id of={one.id} /></Link></td><td><Mark tone={saidOf(TASK_STATES, one.state)[0]}>{one.state}</Mark></td><td><Inert text={one.purpose} most={160} /></td>
          <td>{one.budget.used} / {one.budget.calls}</td><td><Ago at={one.opened_at} /></td><td>{one.end_reason === null ? <Ago at={one.deadline} /> : plain(one.end_reason)}</td>
        </tr>
      ))}
    </Table>
  )
}

function DecisionsOf({ identity }: { readonly identity: IdentityReply }) {
  const decisions = useAsk(listDecisions, { query: { identity: identity.id, limit: 100 } })
  if (decisions.error !== null) return <ProblemNote error={decisions.error} />
  return decisions.data === undefined ? <p className="w-loading" role="status">loading…</p> : <DecisionRows decisions={decisions.data.decisions} none="Nothing was decided for it yet." />
}

function Evidence({ identity }: { readonly identity: IdentityReply }) {
  const { credentials, bindings } = identity
  return (
    <>
      <Part title="Keys">
        {credentials.length === 0 ? <p className="w-dim">It has none: it proves itself by a binding, or not at all.</p> : (
          <Table says="Its keys" heads={['Key', 'State', 'Algorithm', 'Thumbprint', 'Registered']}>
            {credentials.map((one) => <tr key={one.id}><td><Id of={one.id} /></td><td><Mark tone={one.state === 'live' ? 'good' : 'quiet'}>{one.state}</Mark></td><td>{one.alg}</td><td><code>{one.thumbprint}</code></td><td><Ago at={one.registered_at} /></td></tr>)}
          </Table>
        )}
      </Part>
      <Part title="Bindings">
        {bindings.length === 0 ? <p className="w-dim">No workload of a trusted issuer may claim it.</p> : (
          <Table says="Its bindings" heads={['Binding', 'State', 'Issuer', 'Claims', 'Registered']}>
            {bindings.map((one) => <tr key={one.id}><td><Id of={one.id} /></td><td><Mark tone={one.state === 'live' ? 'good' : 'quiet'}>{one.state}</Mark></td><td>{one.issuer}</td><td><code><Claims of={one.claims} /></code></td><td><Ago at={one.registered_at} /></td></tr>)}
          </Table>
        )}
      </Part>
    </>
  )
}

const Claims = ({ of }: { readonly of: object }) => <Inert text={JSON.stringify(of)} most={300} />
