import type { StopReply } from '@writ/contract/stops'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { curlOf } from '../commands.ts'
import { listStops } from '../endpoints.ts'
import { useAll } from '../queries.ts'
import { Inert } from '../ui/agent-words.tsx'
import { Id } from '../ui/copy.tsx'
import { Empty } from '../ui/empty.tsx'
import { ListTable, type Column } from '../ui/list-table.tsx'
import { Mark } from '../ui/mark.tsx'
import { Page } from '../ui/page.tsx'
import { spanText } from '../ui/spans.ts'
import { Ago } from '../ui/time.tsx'
import { saidOf, STOP_STATES } from '../ui/words.ts'
import { LinkedId } from './event-words.tsx'
import { whatWasStopped } from './stop-words.ts'

const COLUMNS: readonly Column<StopReply>[] = [
  { id: 'state', header: 'State', width: '108px', value: (one) => saidOf(STOP_STATES, one.state)[1], cell: (one) => <Mark tone={saidOf(STOP_STATES, one.state)[0]}>{saidOf(STOP_STATES, one.state)[1]}</Mark> },
  { id: 'id', header: 'Stop', width: '132px', value: (one) => one.id, cell: (one) => <Link to="/stops/$id" params={{ id: one.id }}><Id of={one.id} /></Link> },
  { id: 'what', header: 'What', width: 'minmax(180px, 2fr)', value: whatWasStopped, cell: (one) => <span title={one.spiffe_id}>{whatWasStopped(one)}</span> },
  { id: 'reason', header: 'Reason', width: 'minmax(160px, 3fr)', value: (one) => one.reason, cell: (one) => <Inert text={one.reason} most={160} /> },
  { id: 'by', header: 'By', width: '132px', value: (one) => one.by.id, cell: (one) => <LinkedId id={one.by.id} /> },
  { id: 'at', header: 'When', width: '104px', value: (one) => one.at, cell: (one) => <Ago at={one.at} /> },
  { id: 'after', header: 'After', width: '84px', isNumber: true, value: (one) => one.after_ms, cell: (one) => (one.after_ms === null ? <span className="w-dim">awaited</span> : spanText(one.after_ms)) },
  { id: 'confirmed', header: 'Confirmed', width: '88px', isNumber: true, value: (one) => one.confirmed, cell: (one) => `${one.confirmed} of ${one.of}` },
  { id: 'target', header: 'Target', value: (one) => one.target.id },
  { id: 'identity', header: 'SPIFFE ID', value: (one) => one.spiffe_id },
]

/** What people have stopped, and whether it has stopped. */
export function Stops() {
  const search = useSearch({ from: '/inside/stops' })
  const navigate = useNavigate({ from: '/stops' })
  const list = useAll(listStops, {}, (reply) => reply.stops)
  return (
    <Page title="Stops" isList commands={{ cli: 'writ stop list', curl: curlOf(listStops, {}, window.location.origin) }} actions={<Link to="/stops/new">Stop something…</Link>}>
      <ListTable
        name="stops" columns={COLUMNS} list={list} idOf={(one) => one.id} search={search} hint="filter: state:contained agent injection"
        onSearch={(next) => void navigate({ search: next, replace: true })} onOpen={(one) => void navigate({ to: '/stops/$id', params: { id: one.id } })}
        empty={<Empty title="Nothing has been stopped yet" command="writ stop task TASK --dry-run">A stop ends a task, or suspends an identity, from one moment on and on every server. The hand in the bar above, or <kbd>x</kbd>, says first what that would touch, and then who has confirmed it.</Empty>}
      />
    </Page>
  )
}
