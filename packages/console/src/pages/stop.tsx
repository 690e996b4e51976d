import type { StopPointReply, StopWithPointsReply } from '@writ/contract/stops'
import { Link, useParams } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { commandOf, curlOf } from '../commands.ts'
import { showStop } from '../endpoints.ts'
import { useLiveState } from '../live.ts'
import { useAsk } from '../queries.ts'
import { Inert } from '../ui/agent-words.tsx'
import { Id } from '../ui/copy.tsx'
import { Mark, NotEvaluated } from '../ui/mark.tsx'
import { useNow } from '../ui/now.tsx'
import { Facts, Page, Part } from '../ui/page.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { spanText } from '../ui/spans.ts'
import { Ago, Exactly } from '../ui/time.tsx'
import { saidOf, shortName, STOP_STATES } from '../ui/words.ts'
import { LinkedId } from './event-words.tsx'
import { counted, touchedText, whatWasStopped } from './stop-words.ts'
import './stops.css'

/** One stop: what it was, and who has confirmed it. It is contained only when everybody has. */
export function StopPage() {
  const { id } = useParams({ from: '/inside/stops/$id' })
  const isLive = useLiveState().kind === 'live'
  const found = useAsk(showStop, { parameters: { id } }, { poll: !isLive })
  const stop = found.data
  if (stop === undefined) return found.error === null ? <p className="w-loading" role="status">loading the stop…</p> : <ProblemNote error={found.error} />
  return (
    <Page
      title={`Stopped: ${whatWasStopped(stop)}`} beside={<Id of={stop.id} />}
      commands={{ cli: commandOf('writ', 'stop', 'show', stop.id, ...(stop.state === 'containing' ? ['--wait'] : [])), curl: curlOf(showStop, { parameters: { id } }, window.location.origin) }}
    >
      <State of={stop} />
      <Part title="Servers"><Servers of={stop} /></Part>
      <Part title="Credentials"><Credentials of={stop} /></Part>
      <div className="w-columns">
        <Part title="Who, and why"><What of={stop} /></Part>
        <Part title="What it touched"><Touched of={stop} /></Part>
      </div>
    </Page>
  )
}

const SAYS: Readonly<Record<StopWithPointsReply['state'], string>> = {
  containing: 'everything of it is refused already; what was in flight, and each credential, is still awaited below',
  contained: 'every server has confirmed that nothing of it is in flight, and every credential was refused when it was tried',
  not_proved: 'nothing is awaited any more, and of something it is not known whether it has ended',
}

function State({ of: { state, confirmed, of, at, after_ms: after } }: { readonly of: StopWithPointsReply }) {
  const [tone, word] = saidOf(STOP_STATES, state)
  return (
    <section className="w-part" aria-label="State">
      <div className="w-stop-head">
        <span role="status"><span className="w-figure">{confirmed} of {of}</span> confirmed</span>
        <Mark tone={tone}>{word} {after === null ? <Waiting since={at} /> : state === 'contained' ? `in ${spanText(after)}` : `after ${spanText(after)}`}</Mark>
        <span className="w-dim" role="status">{SAYS[state]}</span>
      </div>
    </section>
  )
}

type ServerPoint = Extract<StopPointReply, { readonly kind: 'server' }>
type CredentialPoint = Exclude<StopPointReply, ServerPoint>

const Table = ({ heads, says, children }: { readonly heads: readonly string[]; readonly says: string; readonly children: ReactNode }) => (
  <div className="w-scroll" tabIndex={0} role="region" aria-label={says}><table className="w-table"><thead><tr>{heads.map((head) => <th key={head} scope="col">{head}</th>)}</tr></thead><tbody>{children}</tbody></table></div>
)

function Servers({ of: { points } }: { readonly of: StopWithPointsReply }) {
  const servers = points.filter((one): one is ServerPoint => one.kind === 'server')
  return (
    <Table says="Servers" heads={['Server', 'Answer', 'Nothing of it in flight since', 'After', 'In flight then']}>
      {servers.map((one) => (
        <tr key={one.id}>
          <th scope="row">{one.address === null ? <Id of={one.id} /> : <code title={one.id}>{one.address}</code>}</th>
          <td><Answer of={one} /></td>
          <td>{one.state === 'lost' ? <NotEvaluated why="it runs no more, and nobody can tell what became of its calls" /> : one.state === 'pending' ? <span className="w-dim">not yet, <Waiting since={one.at} /></span> : <Exactly at={one.at} />}</td>
          <td>{one.after_ms === null ? <span className="w-dim">–</span> : spanText(one.after_ms)}</td>
          <td>{counted(one.calls, 'call')}{one.calls_lost > 0 && <>, {one.calls_lost} of them <NotEvaluated why="nobody can tell what became of them" /></>}</td>
        </tr>
      ))}
    </Table>
  )
}

function Answer({ of: { state } }: { readonly of: ServerPoint }) {
  if (state === 'acknowledged') return <Mark tone="good">acknowledged</Mark>
  if (state === 'gone') return <Mark tone="good" title="it runs no more, and had nothing of it in flight">gone, with nothing in flight</Mark>
  return state === 'lost' ? <Mark tone="bad" title="it runs no more">lost</Mark> : <Mark tone="ask">awaited</Mark>
}

function Waiting({ since }: { readonly since: string }) {
  const now = useNow()
  return <>for {spanText(Math.max(0, Math.floor((now - Date.parse(since)) / 1000) * 1000))}</>
}

function Credentials({ of: { points, touched } }: { readonly of: StopWithPointsReply }) {
  const found = points.filter((one): one is CredentialPoint => one.kind !== 'server')
  const all = touched.logins + touched.access_tokens
  if (found.length === 0) return <p className="w-dim">It held none that was live.</p>
  return (
    <>
      <Table says="Credentials" heads={['Credential', 'Where', 'End']}>
        {found.map((one) => <tr key={one.id}><th scope="row"><Id of={one.id} /></th><td>{one.kind === 'login' ? <>login on <Inert text={one.backend ?? 'a back end'} most={80} /></> : 'access token'}</td><td><End of={one} /></td></tr>)}
      </Table>
      {all > found.length && <p className="w-dim">{found.length.toLocaleString('en')} of {all.toLocaleString('en')}, those first that are awaited. The certificates of its tasks have them all.</p>}
    </>
  )
}

function End({ of: { state, incident, since } }: { readonly of: CredentialPoint }) {
  if (state === 'proved') return <Mark tone="good">refused when it was tried again</Mark>
  if (state === 'never_issued') return <Mark tone="good">never issued</Mark>
  if (state === 'not_evaluated') return <NotEvaluated why="that it is refused could not be tried" />
  if (state === 'incident') return <><Mark tone="bad">not withdrawn</Mark> <span className="w-dim">incident {incident === null ? '' : <Id of={incident} />}</span></>
  return <Mark tone="ask">awaited {since !== null && <Waiting since={since} />}</Mark>
}

function What({ of }: { readonly of: StopWithPointsReply }) {
  const { target, reason, by, at, identity } = of
  return (
    <>
      <Facts of={[
        ['Reason', <Inert key="r" text={reason} most={500} />], ['By', <>{by.kind} <LinkedId id={by.id} /></>], ['Refused since', <><Exactly at={at} />, <Ago at={at} /></>],
        ['Target', target.kind === 'task' ? <>task <LinkedId id={target.id} /></> : <>identity <LinkedId id={target.id} />{target.kind === 'identity_tree' ? ', and whoever it has delegated to' : ''}</>],
        ['Identity', <Link key="i" to="/identities/$id" params={{ id: identity }} title={of.spiffe_id}>{shortName(of.spiffe_id)}</Link>],
      ]} />
      <p className="w-dim w-stop-after">{target.kind === 'task' ? 'Its identity can open another task: stop that to prevent it.' : 'Suspended until a responder resumes it, on its own page. What has ended stays ended.'}</p>
    </>
  )
}

const MOST_TASKS = 100

function Touched({ of: { touched, tasks, target } }: { readonly of: StopWithPointsReply }) {
  const text = touchedText(touched)
  return (
    <>
      <p>{text === '' ? 'Nothing of it ran any more.' : text}{target.kind !== 'task' && <>; {touched.identities === 0 ? 'nobody was suspended who was not already' : `${counted(touched.identities, 'identity', 'identities')} suspended`}</>}</p>
      {tasks.length > 0 && (
        <>
          <h3>Tasks</h3>
          <ul className="w-stop-tasks">{tasks.slice(0, MOST_TASKS).map((one) => <li key={one}><Link to="/tasks/$id" params={{ id: one }}><Id of={one} /></Link></li>)}{tasks.length > MOST_TASKS && <li className="w-dim">and {(tasks.length - MOST_TASKS).toLocaleString('en')} more</li>}</ul>
        </>
      )}
    </>
  )
}
