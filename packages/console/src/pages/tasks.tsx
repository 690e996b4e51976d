import type { TaskReply } from '@writ/contract/tasks'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { curlOf } from '../commands.ts'
import { listTasks } from '../endpoints.ts'
import { useAll } from '../queries.ts'
import { Inert } from '../ui/agent-words.tsx'
import { Id } from '../ui/copy.tsx'
import { Empty } from '../ui/empty.tsx'
import { ListTable, type Column } from '../ui/list-table.tsx'
import { Mark } from '../ui/mark.tsx'
import { Page } from '../ui/page.tsx'
import { Switch } from '../ui/switch.tsx'
import { Ago } from '../ui/time.tsx'
import { plain, saidOf, shortName, TASK_STATES } from '../ui/words.ts'

export const TASK_COLUMNS: readonly Column<TaskReply>[] = [
  { id: 'state', header: 'State', width: '96px', value: (one) => one.state, cell: (one) => <Mark tone={saidOf(TASK_STATES, one.state)[0]}>{one.state}</Mark> },
  { id: 'id', header: 'Task', width: '132px', value: (one) => one.id, cell: (one) => <Link to="/tasks/$id" params={{ id: one.id }}><Id of={one.id} /></Link> },
  { id: 'identity', header: 'Identity', width: 'minmax(140px, 1fr)', value: (one) => shortName(one.spiffe_id), cell: (one) => <Link to="/identities/$id" params={{ id: one.identity }}>{shortName(one.spiffe_id)}</Link> },
  { id: 'purpose', header: 'Intent (the agent’s words)', width: 'minmax(180px, 3fr)', value: (one) => one.purpose, cell: (one) => <Inert text={one.purpose} most={160} /> },
  { id: 'grant', header: 'Grant', width: 'minmax(120px, 1.5fr)', value: grantOf, cell: (one) => <span className="w-dim"><Inert text={grantOf(one)} most={120} /></span> },
  { id: 'calls', header: 'Calls', width: '76px', isNumber: true, value: (one) => one.budget.used, cell: (one) => `${one.budget.used} / ${one.budget.calls}` },
  { id: 'opened', header: 'Opened', width: '104px', value: (one) => one.opened_at, cell: (one) => <Ago at={one.opened_at} /> },
  { id: 'ends', header: 'Ends', width: '120px', value: (one) => one.ended_at ?? one.deadline, cell: (one) => (one.end_reason === null ? <Ago at={one.deadline} /> : <span title={one.ended_at ?? undefined}>{plain(one.end_reason)}</span>) },
  { id: 'parent', header: 'Parent', value: (one) => one.parent },
  { id: 'leases', header: 'Leases', value: (one) => one.leases.length },
]

function grantOf(task: TaskReply): string {
  return task.authorization_details.flatMap(({ type, locations, actions }) => locations.flatMap((location) => actions.map((action) => `${type}:${location}:${action}`))).join(' ')
}

type State = 'open' | 'ending' | 'closed'
const STATES: readonly State[] = ['open', 'ending', 'closed']

export function Tasks() {
  const search = useSearch({ from: '/inside/tasks' })
  const navigate = useNavigate({ from: '/tasks' })
  const state = STATES.find((one) => one === search.state)
  const asked = state === undefined ? {} : { query: { state } }
  const list = useAll(listTasks, asked, (reply) => reply.tasks)
  return (
    <Page title="Tasks" isList commands={{ cli: `writ task list${state === undefined ? '' : ` --state ${state}`}`, curl: curlOf(listTasks, asked, window.location.origin) }}
      beside={<Switch name="Which tasks" value={state ?? ''} choices={[['', 'all'], ...STATES.map((one): readonly [string, string] => [one, one])]} onChange={(next) => void navigate({ search: { ...search, state: next === '' ? undefined : next }, replace: true })} />}
    >
      <ListTable
        name="tasks" columns={TASK_COLUMNS} list={list} idOf={(one) => one.id} search={search} hint="filter: identity:desk-agent calls:>10 refund"
        onSearch={(next) => void navigate({ search: { ...search, ...next }, replace: true })} onOpen={(one) => void navigate({ to: '/tasks/$id', params: { id: one.id } })}
        empty={<Empty title={state === undefined ? 'No task has been opened yet' : `No task is ${state}`} command="writ run --for 'migrate schema' --grant postgres:shop:ddl --ttl 10m -- ./migrate.sh">A task is one bounded piece of work: one identity, one purpose, a deadline, a grant and a budget. Everything that an agent may do hangs from one, and ends with it.</Empty>}
      />
    </Page>
  )
}
