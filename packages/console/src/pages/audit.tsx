import './audit.css'
import type { EventReply } from '@writ/contract/events'
import { useNavigate, useSearch } from '@tanstack/react-router'
import { useCallback, useDeferredValue, useMemo, useState } from 'react'
import { commandOf, curlOf } from '../commands.ts'
import { listEvents, listIdentities, showEvent } from '../endpoints.ts'
import { useLiveEvents } from '../live.ts'
import { useAsk } from '../queries.ts'
import { Inert } from '../ui/agent-words.tsx'
import { Empty } from '../ui/empty.tsx'
import { filterRows } from '../ui/list-filter.ts'
import { ListTable, type Column } from '../ui/list-table.tsx'
import { Mark } from '../ui/mark.tsx'
import { Page } from '../ui/page.tsx'
import { utcText } from '../ui/spans.ts'
import { Switch } from '../ui/switch.tsx'
import { shortName } from '../ui/words.ts'
import { useEvents, type Asked, type Events } from './audit-events.ts'
import { binsOf, LANES, type Lane, type Range } from './event-bins.ts'
import { EventDrawer } from './event-drawer.tsx'
import { EventHistogram } from './event-histogram.tsx'
import { actorText, LinkedId, outcomeOf, summaryOf } from './event-words.tsx'

const SINCE: Readonly<Record<string, number>> = { '1h': 3_600_000, '24h': 86_400_000, '7d': 604_800_000 }
const NO_ROW: readonly EventReply[] = []

export function Audit() {
  const search = useSearch({ from: '/inside/audit' })
  const navigate = useNavigate({ from: '/audit' })
  const put = (next: Partial<typeof search>): void => { void navigate({ search: { ...search, ...next }, replace: true }) }
  const lane = LANES.find((one) => one === search.lane)
  const narrowed = { ...(lane === undefined ? {} : { stream: lane }), ...(search.task === undefined ? {} : { task: search.task }) }
  const asked: Asked = { ...narrowed, ...spanOf(search) }
  const list = useEvents(asked)
  const columns = useColumns()
  const range = useRange(search, list.since)
  const rows = useMemo(() => list.rows.filter((event) => fits(event, search, range)), [list.rows, search.type, search.identity, range])
  const shown = useShown(rows, columns, useDeferredValue(search.q ?? ''))
  const oldest = list.more ? list.rows.at(-1)?.at : undefined
  // What has not come is not drawn as if there were nothing.
  const bins = useMemo(() => binsOf(shown, oldest === undefined ? range : { ...range, from: Date.parse(oldest) }), [shown, range, oldest])
  const opened = useOpened(search.event, list)
  return (
    <Page
      title="Audit" isList commands={{ cli: commandOf('writ', 'audit', 'tail', ...(lane === undefined ? [] : ['--stream', lane]), ...(search.task === undefined ? [] : ['--task', search.task])), curl: curlOf(listEvents, { query: { ...narrowed, order: 'newest_first' } }, window.location.origin) }}
      beside={<Switch name="Lane" value={lane ?? ''} choices={[['', 'both lanes'], ['non-human', 'non-human'], ['human', 'human']]} onChange={(next) => put({ lane: next === '' ? undefined : next })} />}
      actions={<NewEvents lane={lane} onShow={list.refetch} fetchedAt={list.fetchedAt} />}
    >
      <Facets rows={list.rows} search={search} put={put} />
      {bins !== undefined && <EventHistogram bins={bins} lanes={lane === undefined ? LANES : [lane]} shows={search.chart === 'table' ? 'table' : 'chart'} onShow={(next) => put({ chart: next === 'table' ? next : undefined })} onZoom={(to) => put({ from: new Date(to.from).toISOString(), to: new Date(to.to).toISOString(), since: undefined })} />}
      {oldest !== undefined && bins !== undefined && <p className="w-dim">What was before {utcText(Date.parse(oldest))} has not come yet: <button type="button" className="w-quiet-button" onClick={list.fetchMore}>load older ones</button></p>}
      {opened.error !== null && <p className="w-problem" role="status">The event <Inert text={search.event!} most={80} /> can not be shown: <Inert text={opened.error.message} /></p>}
      <ListTable
        name="events" columns={columns} list={{ ...list, rows }} idOf={(one) => one.id} search={search} hint="filter: outcome:denied by:identity write_file"
        onSearch={(next) => put(next)} onOpen={(one) => put({ event: one.id })}
        empty={<Empty title={list.rows.length === 0 ? 'Nothing has been recorded here yet' : 'Nothing that has come fits these filters'} command="writ audit tail --follow">Whatever an agent does stands in the non-human log, and whatever a person does in the human one. Both are sealed within seconds, and nobody can change them unseen.{list.more && <> <button type="button" className="w-quiet-button" onClick={list.fetchMore}>load older ones</button></>}</Empty>}
      />
      {opened.event !== undefined && <EventDrawer key={opened.event.id} event={opened.event} onClose={() => put({ event: undefined })} />}
    </Page>
  )
}

type Search = Partial<Readonly<Record<'q' | 'sort' | 'lane' | 'type' | 'identity' | 'task' | 'since' | 'from' | 'to' | 'chart' | 'event', string | undefined>>>

function useColumns(): readonly Column<EventReply>[] {
  const identities = useAsk(listIdentities, { query: { limit: 1000 } }).data?.identities
  return useMemo(() => {
    const names = new Map(identities?.map((one) => [one.id, shortName(one.spiffe_id)]))
    const nameOf = (id: string): string => names.get(id) ?? id
    return [
      { id: 'at', header: 'When (UTC)', width: '122px', value: (one) => one.at, cell: (one) => <time dateTime={one.at} title={utcText(Date.parse(one.at))}>{one.at.slice(5, 10)} {one.at.slice(11, 19)}</time> },
      { id: 'lane', header: 'Lane', width: '80px', value: (one) => one.stream, cell: (one) => <span className="w-dim">{one.stream}</span> },
      { id: 'type', header: 'Event', width: '140px', value: (one) => one.type },
      { id: 'outcome', header: 'Outcome', width: '126px', value: (one) => outcomeOf(one)?.[1] ?? null, cell: (one) => { const said = outcomeOf(one); return said === null ? <span className="w-dim">–</span> : <Mark tone={said[0]}>{said[1]}</Mark> } },
      { id: 'what', header: 'What', width: 'minmax(200px, 3fr)', value: summaryOf, cell: (one) => <Inert text={summaryOf(one)} most={200} /> },
      { id: 'by', header: 'By', width: 'minmax(150px, 1.5fr)', value: actorText, cell: (one) => <span title={actorText(one)}>{one.actor.kind === one.actor.id ? one.actor.kind : names.get(one.actor.id) ?? <>{one.actor.kind} <LinkedId id={one.actor.id} /></>}{one.identity !== null && one.identity !== one.actor.id && <span className="w-dim">, of {nameOf(one.identity)}</span>}</span> },
      { id: 'identity', header: 'Identity', value: (one) => (one.identity === null ? null : nameOf(one.identity)) },
      { id: 'task', header: 'Task', width: '122px', value: (one) => one.task, cell: (one) => (one.task === null ? <span className="w-dim">–</span> : <LinkedId id={one.task} />) },
      { id: 'leaf', header: 'Leaf', width: '60px', isNumber: true, value: (one) => one.leaf_index, cell: (one) => (one.leaf_index === null ? <span className="w-dim" title="not sealed yet">–</span> : one.leaf_index.toLocaleString('en')) },
      { id: 'id', header: 'Id', value: (one) => one.id },
      { id: 'lease', header: 'Lease', value: (one) => one.lease },
      { id: 'facts', header: 'Facts', value: (one) => JSON.stringify(one.facts) },
      { id: 'log', header: 'Log', value: (one) => one.log },
    ]
  }, [identities])
}

/** The event of the URL, of whatever age: as the list has it, or asked for by its id. */
function useOpened(id: string | undefined, list: Pick<Events, 'rows' | 'isLoading'>): { readonly event: EventReply | undefined; readonly error: Error | null } {
  const listed = list.rows.find((one) => one.id === id)
  const asked = useAsk(showEvent, { parameters: { id: id ?? '' } }, { when: id !== undefined && listed === undefined && !list.isLoading })
  if (listed !== undefined || id === undefined) return { event: listed, error: null }
  return { event: asked.data?.id === id ? asked.data : undefined, error: asked.error }
}

/** What stands in the URL, as far as the server takes it. */
function spanOf({ since, from, to }: Search): Pick<Asked, 'since' | 'until' | 'last'> {
  const [begin, end] = [from, to].map((text) => (Number.isNaN(Date.parse(text ?? '')) ? undefined : new Date(text!).toISOString()))
  if (begin !== undefined || end !== undefined) return { ...(begin === undefined ? {} : { since: begin }), ...(end === undefined ? {} : { until: end }) }
  return since !== undefined && Object.hasOwn(SINCE, since) ? { last: SINCE[since]! } : {}
}

/** Of the last hour is what was so when the list came, and does not run away under the reader. */
function useRange(search: Search, listedSince: string | undefined): Partial<Range> {
  const { since = search.since === undefined ? undefined : listedSince, until } = spanOf(search)
  return useMemo(() => ({ ...(since === undefined ? {} : { from: Date.parse(since) }), ...(until === undefined ? {} : { to: Date.parse(until) }) }), [since, until])
}

function fits(event: EventReply, { type, identity }: Search, range: Partial<Range>): boolean {
  const at = Date.parse(event.at)
  return (type === undefined || event.type === type) && (identity === undefined || event.identity === identity) && at >= (range.from ?? -Infinity) && at < (range.to ?? Infinity)
}

const useShown = (rows: readonly EventReply[], columns: readonly Column<EventReply>[], query: string): readonly EventReply[] => useMemo(() => {
  if (rows.length === 0) return NO_ROW
  return filterRows(rows, query, (row) => Object.fromEntries(columns.map((column) => [column.id, column.value(row) ?? 'none']))).rows
}, [rows, columns, query])

function Facets({ rows, search, put }: { readonly rows: readonly EventReply[]; readonly search: Search; readonly put: (next: Partial<Search>) => void }) {
  const types = useMemo(() => [...new Set(rows.map((one) => one.type))].toSorted(), [rows])
  const identities = useAsk(listIdentities, { query: { limit: 1000 } }).data?.identities
  const names = useMemo(() => {
    const known = new Map(identities?.map((one) => [one.id, shortName(one.spiffe_id)]))
    return [...new Set(rows.flatMap((one) => one.identity ?? []))].map((id) => [id, known.get(id) ?? id] as const).toSorted(([, a], [, b]) => (a < b ? -1 : 1))
  }, [rows, identities])
  const isZoomed = search.from !== undefined || search.to !== undefined
  return (
    <div className="w-audit-bar" role="group" aria-label="Filters">
      <Switch name="Time" value={isZoomed ? 'zoomed' : search.since ?? ''} choices={[['', 'all time'], ['7d', '7 days'], ['24h', '24 hours'], ['1h', 'last hour'], ...(isZoomed ? [['zoomed', 'zoomed'] as const] : [])]} onChange={(next) => { if (next !== 'zoomed') put({ since: next === '' ? undefined : next, from: undefined, to: undefined }) }} />
      <Choice name="event" all="every event" value={search.type} choices={types.map((type) => [type, type])} onChange={(type) => put({ type })} />
      <Choice name="identity" all="every identity" value={search.identity} choices={names} onChange={(identity) => put({ identity })} />
      <label>task <input type="text" defaultValue={search.task ?? ''} key={search.task} placeholder="tsk_…" spellCheck={false} onBlur={(event) => putTask(event.currentTarget.value, search, put)} onKeyDown={(event) => { if (event.key === 'Enter') putTask(event.currentTarget.value, search, put) }} /></label>
      {isZoomed && <span className="w-dim">{[search.from, search.to].map((at) => at?.slice(0, 19).replace('T', ' ') ?? '…').join(' – ')} UTC</span>}
    </div>
  )
}

function putTask(text: string, { task }: Search, put: (next: Partial<Search>) => void): void {
  const next = text.trim() === '' ? undefined : text.trim()
  if (next !== task) put({ task: next })
}

type ChoiceProps = { readonly name: string; readonly all: string; readonly value: string | undefined; readonly choices: readonly (readonly [value: string, label: string])[]; readonly onChange: (value: string | undefined) => void }

/** What stands in the URL is among the choices, also where nothing of it has come. */
function Choice({ name, all, value, choices, onChange }: ChoiceProps) {
  const more = value === undefined || choices.some(([one]) => one === value) ? choices : [...choices, [value, value] as const]
  return (
    <label>{name} <select value={value ?? ''} onChange={(event) => onChange(event.currentTarget.value === '' ? undefined : event.currentTarget.value)}>
      <option value="">{all}</option>{more.map(([one, label]) => <option key={one} value={one}>{label}</option>)}
    </select></label>
  )
}

/** What came meanwhile moves nothing under the reader's hand: it is shown when they ask. */
function NewEvents({ lane, onShow, fetchedAt }: { readonly lane: Lane | undefined; readonly onShow: () => void; readonly fetchedAt: number }) {
  const [heard, setHeard] = useState({ count: 0, of: fetchedAt })
  const listener = useCallback((event: { readonly stream: string }) => {
    if (lane === undefined || event.stream === lane) setHeard(({ count, of }) => (of === fetchedAt ? { count: count + 1, of } : { count: 1, of: fetchedAt }))
  }, [lane, fetchedAt])
  useLiveEvents(listener)
  const count = heard.of === fetchedAt ? heard.count : 0
  return <span role="status">{count > 0 && <button type="button" className="w-quiet-button" onClick={onShow}>{count} new ↑</button>}</span>
}
