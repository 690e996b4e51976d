import type { ApprovalReply } from '@writ/contract/approvals'
import type { OverviewReply } from '@writ/contract/overview'
import { Link } from '@tanstack/react-router'
import { lazy, Suspense, useState, type ReactNode } from 'react'
import { curlOf } from '../commands.ts'
import { listApprovals, listFindings, listIncidents, listTasks, showOverview } from '../endpoints.ts'
import { useLiveState } from '../live.ts'
import { useAsk } from '../queries.ts'
import { Inert } from '../ui/agent-words.tsx'
import { Empty } from '../ui/empty.tsx'
import { Mark, NotEvaluated } from '../ui/mark.tsx'
import { useNow } from '../ui/now.tsx'
import { Page, Part } from '../ui/page.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { spanText } from '../ui/spans.ts'
import { Ago } from '../ui/time.tsx'
import { plain, shortName } from '../ui/words.ts'
import { useReach } from '../who.ts'
import { HoursTable } from './hours-table.tsx'

const HoursChart = lazy(() => import('./hours-chart.tsx').then(({ HoursChart: of }) => ({ default: of })))

/** What runs now, what waits for a person, what is wrong. */
export function Home() {
  const isAll = useReach('showOverview') === 'all'
  return isAll ? <WholeHome /> : <OwnHome />
}

function WholeHome() {
  const poll = useLiveState().kind !== 'live'
  const overview = useAsk(showOverview, {}, { poll: true })
  const waiting = useAsk(listApprovals, { query: { state: 'waiting', limit: 20 } }, { poll })
  const findings = useAsk(listFindings, { query: { limit: 100 } }, { poll })
  const incidents = useAsk(listIncidents, { query: { limit: 100 } }, { poll })
  const now = overview.data
  return (
    <Page title="Home" commands={{ cli: null, curl: curlOf(showOverview, {}, window.location.origin) }}>
      {overview.error !== null && <ProblemNote error={overview.error} />}
      <div className="w-tiles">
        <Tile name="Agents at work" value={now?.identities_at_work} to="/tasks">{now === undefined ? null : <>{now.tasks_open} {now.tasks_open === 1 ? 'task' : 'tasks'} open</>}</Tile>
        <Waiting approvals={waiting.data?.approvals} waiting={waiting.data?.waiting} isFailed={waiting.error !== null} />
        <Tile name="Standing keys" value={now?.standing_credentials} to="/identities">{now === undefined ? null : <>{now.leases_open} {now.leases_open === 1 ? 'credential' : 'credentials'} of open tasks</>}</Tile>
        <Tile name="Open findings" value={now === undefined ? undefined : now.findings.reduce((sum, one) => sum + one.count, 0)}>{now === undefined ? null : now.incidents_open === 0 ? <>no open incident</> : <Mark tone="bad">{now.incidents_open} open {now.incidents_open === 1 ? 'incident' : 'incidents'}</Mark>}</Tile>
      </div>
      {now !== undefined && now.identities.active + now.identities.suspended + now.identities.retired === 0 ? <FirstRun /> : (
        <div className="w-columns">
          {now !== undefined && <Hours overview={now} />}
          <NeedsYou approvals={waiting.data?.approvals ?? []} findings={findings.data?.findings.filter((one) => one.state === 'open') ?? []} incidents={incidents.data?.incidents.filter((one) => one.state === 'open') ?? []} />
        </div>
      )}
    </Page>
  )
}

type TileProps = { readonly name: string; readonly value: number | undefined; readonly to?: '/tasks' | '/identities'; readonly children: ReactNode }

function Tile({ name, value, to, children }: TileProps) {
  const figure = value === undefined ? <NotEvaluated why="it has not been counted yet" /> : value.toLocaleString('en')
  return (
    <section className="w-tile" aria-label={name}>
      <h2>{to === undefined ? name : <Link to={to}>{name}</Link>}</h2>
      <p className="w-figure">{figure}</p>
      <p className="w-dim">{children}</p>
    </section>
  )
}

function Waiting({ approvals, waiting, isFailed }: { readonly approvals: readonly ApprovalReply[] | undefined; readonly waiting: number | undefined; readonly isFailed: boolean }) {
  const now = useNow()
  const first = approvals?.[0]
  return (
    <section className="w-tile" aria-label="Waiting for a person" data-tone={waiting === undefined || waiting === 0 ? undefined : 'ask'}>
      <h2>Waiting for a person</h2>
      <p className="w-figure">{isFailed || waiting === undefined ? <NotEvaluated why="requests for approval could not be asked for" /> : waiting}</p>
      <p className="w-dim">{first === undefined ? waiting === 0 ? 'nobody is kept waiting' : '' : <>the next ends in {spanText(Math.max(0, Math.floor((Date.parse(first.expires_at) - now) / 1000) * 1000))}</>}</p>
    </section>
  )
}

function Hours({ overview }: { readonly overview: OverviewReply }) {
  const [isTable, setTable] = useState(false)
  const isNone = overview.hours.every((hour) => hour.allowed + hour.approved + hour.denied + hour.observed === 0)
  return (
    <Part title="Decisions per hour, 24 h" aside={!isNone && <button type="button" className="w-quiet-button" aria-pressed={isTable} onClick={() => setTable(!isTable)}>{isTable ? 'as a chart' : 'as a table'}</button>}>
      {isNone ? <p className="w-dim">Nothing was decided in the last 24 hours.</p>
        : isTable ? <HoursTable hours={overview.hours} /> : <Suspense fallback={<div className="w-chart" />}><HoursChart hours={overview.hours} /></Suspense>}
    </Part>
  )
}

type Finding = { readonly id: string; readonly kind: string; readonly identity: string | null; readonly raised_at: string }
type Incident = { readonly id: string; readonly why: string; readonly task: string | null; readonly identity: string | null; readonly opened_at: string }

function NeedsYou({ approvals, findings, incidents }: { readonly approvals: readonly ApprovalReply[]; readonly findings: readonly Finding[]; readonly incidents: readonly Incident[] }) {
  const isNone = approvals.length + findings.length + incidents.length === 0
  return (
    <Part title="Needs you">
      {isNone ? <p className="w-dim">Nothing waits, nothing is wrong that Writ knows of.</p> : (
        <ul className="w-needs">
          {approvals.slice(0, 6).map((one) => (
            <li key={one.id}>
              <Mark tone={one.risk === 'high' ? 'bad' : 'ask'}>{one.risk} risk</Mark>
              <span><Link to="/approvals/$id" params={{ id: one.id }}><Inert text={`${shortName(one.spiffe_id)} → ${one.action}`} most={80} /></Link> <span className="w-dim"><Inert text={one.resource.id} most={60} /></span></span>
              <Ago at={one.expires_at} />
            </li>
          ))}
          {incidents.slice(0, 6).map((one) => (
            <li key={one.id}>
              <Mark tone="bad">incident</Mark>
              <span>{one.task === null ? <Inert text={one.why} most={100} /> : <Link to="/tasks/$id" params={{ id: one.task }}><Inert text={one.why} most={100} /></Link>}</span>
              <Ago at={one.opened_at} />
            </li>
          ))}
          {findings.slice(0, 8).map((one) => (
            <li key={one.id}>
              <Mark tone="ask">finding</Mark>
              <span>{one.identity === null ? plain(one.kind) : <Link to="/identities/$id" params={{ id: one.identity }}>{plain(one.kind)}</Link>}</span>
              <Ago at={one.raised_at} />
            </li>
          ))}
        </ul>
      )}
    </Part>
  )
}

const STEPS: readonly (readonly [title: string, says: string, command: string])[] = [
  ['Register who acts', 'An identity for each agent, pipeline and service: two owners, a purpose, an end.', 'writ identity register --help'],
  ['Give it something to reach', 'A PostgreSQL that is governed from now on, or a server of tools.', 'writ mcp add files -- npx @modelcontextprotocol/server-filesystem .'],
  ['Let it work', 'One task, one credential that did not exist before, and the proof of its end.', 'writ run --for \'migrate schema\' --grant postgres:shop:ddl --ttl 10m -- ./migrate.sh'],
]

function FirstRun() {
  return (
    <Part title="Three steps to the first task">
      <ol className="w-steps">{STEPS.map(([title, says, command]) => <li key={title}><Empty title={title} command={command}>{says}</Empty></li>)}</ol>
    </Part>
  )
}

/** Of somebody who owns identities and has no role besides: theirs, and nothing else. */
function OwnHome() {
  const tasks = useAsk(listTasks, { query: { state: 'open', limit: 20 } }, { poll: true })
  return (
    <Page title="Home">
      {tasks.error !== null ? <ProblemNote error={tasks.error}><p className="w-hint">Whoever is an administrator here can give you a role.</p></ProblemNote> : (
        <Part title="Open tasks of your identities">
          {tasks.data === undefined || tasks.data.tasks.length === 0 ? <p className="w-dim">None of your identities is at work.</p> : (
            <ul className="w-needs">
              {tasks.data.tasks.map((one) => <li key={one.id}><Mark tone="busy">open</Mark><Link to="/tasks/$id" params={{ id: one.id }}>{shortName(one.spiffe_id)}</Link><Ago at={one.opened_at} /></li>)}
            </ul>
          )}
        </Part>
      )}
    </Page>
  )
}
