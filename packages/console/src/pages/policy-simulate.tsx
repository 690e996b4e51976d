import { Button } from '@mantine/core'
import { ANSWERS, type Answer } from '@writ/policy/explanation'
import type { ChangedDecision } from '@writ/policy/replay'
import { Link } from '@tanstack/react-router'
import { useEffect, useRef, useState } from 'react'
import { serverNow } from '../clock.ts'
import { commandOf, curlOf } from '../commands.ts'
import { listEvaluated } from '../endpoints.ts'
import { replayDraft, type Files, type Replayed, type ReplayProgress } from '../policy-replay.ts'
import { whoMay } from '../ui/action.tsx'
import { Inert } from '../ui/agent-words.tsx'
import { CopyAs } from '../ui/copy-as.tsx'
import { Id } from '../ui/copy.tsx'
import { Mark, type Tone } from '../ui/mark.tsx'
import { Part } from '../ui/page.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { utcText } from '../ui/spans.ts'
import { Switch } from '../ui/switch.tsx'
import { shortName } from '../ui/words.ts'
import { useReach } from '../who.ts'

const DAY_MS = 86_400_000
const WINDOWS: readonly (readonly [value: string, label: string])[] = [['1', '24 h'], ['7', '7 days'], ['30', '30 days']]
const SAID: Readonly<Record<Answer, readonly [tone: Tone, word: string]>> = { allow: ['good', 'allow'], approval_required: ['ask', 'approval'], deny: ['bad', 'deny'] }

type Run = { readonly files: Files; readonly progress: ReplayProgress | null; readonly end: Replayed | null; readonly error: unknown }

/** What these files would have answered to what was asked: worked out in this browser, and nothing is changed by it. */
export function Simulate({ files, off }: { readonly files: Files; readonly off: string | undefined }) {
  const [days, setDays] = useState('7')
  const [run, setRun] = useState<Run | null>(null)
  const going = useRef<AbortController>(null)
  useEffect(() => () => going.current?.abort(), [])
  const may = useReach('listEvaluated') === 'all'
  const isGoing = run !== null && run.end === null && run.error === undefined
  const why = may ? off : whoMay('listEvaluated')
  const begin = (): void => {
    const begun: Run = { files, progress: null, end: null, error: undefined }
    const control = new AbortController()
    going.current?.abort()
    going.current = control
    setRun(begun)
    const now = (more: Partial<Run>): void => setRun((before) => (before?.files === files && going.current === control ? { ...before, ...more } : before))
    void replayDraft({ files, since: serverNow() - Number(days) * DAY_MS, signal: control.signal, onProgress: (progress) => now({ progress }) }).then((end) => now({ end }), (error: unknown) => now({ error }))
  }
  const since = new Date(serverNow() - Number(days) * DAY_MS).toISOString().slice(0, 10)
  return (
    <Part title="Simulate" aside={<span className="w-dim">on what was decided; nothing is changed</span>}>
      <div className="w-simulate-bar">
        <Switch name="Decisions of the last" value={days} choices={WINDOWS} onChange={setDays} />
        <Button variant="default" size="compact-sm" disabled={why !== undefined || isGoing} onClick={begin}>Ask what was asked</Button>
        {isGoing && <Button variant="subtle" size="compact-sm" onClick={() => going.current?.abort()}>Cancel</Button>}
        {why !== undefined && <span className="w-dim">{why}</span>}
        <span className="w-spring" />
        <CopyAs commands={{ cli: commandOf('writ', 'policy', 'simulate', 'DIR', '--since', `${days}d`), curl: curlOf(listEvaluated, { query: { since: `${since}T00:00:00Z` } }, window.location.origin) }} />
      </div>
      {run !== null && <Outcome run={run} isOld={run.files !== files} />}
    </Part>
  )
}

function Outcome({ run: { progress, end, error }, isOld }: { readonly run: Run; readonly isOld: boolean }) {
  const [chosen, setChosen] = useState<readonly [was: Answer, now: Answer] | null>(null)
  if (error !== undefined) return <ProblemNote error={error} />
  if (end?.kind === 'unfit') return <p role="status"><Mark tone="bad">these files are not fit to be asked</Mark> <Inert text={end.complaints[0] === undefined ? '' : `${end.complaints[0].file}:${end.complaints[0].line}: ${end.complaints[0].message}`} most={300} /></p>
  const state = progress?.state
  const share = end?.kind === 'replayed' ? 1 : progress === null ? 0 : Math.min(1, progress.state.fed / Math.max(1, progress.total))
  return (
    <div className="w-simulated">
      {end === null && <progress max={1} value={share} aria-label="How far it is" />}
      <p role="status">
        {isOld && <Mark tone="ask">of the files as they were</Mark>} {end?.kind === 'cancelled' && <Mark tone="stopped">cancelled: {progress === null ? 'nothing was asked' : `only up to ${utcText(progress.upTo)}`}</Mark>}{' '}
        {state === undefined ? end === null ? 'loading what was decided…' : null : state.fed === 0 ? 'Nothing was decided in this time: not evaluated.' : saidOf(state)}
      </p>
      {state !== undefined && state.fed > 0 && (
        <>
          <Matrix matrix={state.matrix} chosen={chosen} onChoose={setChosen} />
          <Notes state={state} advisory={progress?.advisory ?? 0} />
          <Changes changed={state.changed} listed={state.listed} chosen={chosen} />
        </>
      )}
    </div>
  )
}

type State = ReplayProgress['state']
const digits = (count: number): string => count.toLocaleString('en')

const saidOf = ({ fed, changed, notEvaluated, notByPolicy }: State): string =>
  `${digits(fed - notEvaluated - notByPolicy)} decisions asked anew: ${changed === 0 ? 'no answer changes' : `${digits(changed)} ${changed === 1 ? 'answer changes' : 'answers change'}`}.`

type MatrixProps = { readonly matrix: State['matrix']; readonly chosen: readonly [Answer, Answer] | null; readonly onChoose: (cell: readonly [Answer, Answer] | null) => void }

/** Rows: what was answered; columns: what would be. Beside the diagonal stands what to look at. */
function Matrix({ matrix, chosen, onChoose }: MatrixProps) {
  return (
    <table className="w-table w-matrix">
      <caption className="w-sr">What was answered, and what would be</caption>
      <thead><tr><td />{ANSWERS.map((now) => <th key={now} scope="col" data-number>now {SAID[now][1]}</th>)}</tr></thead>
      <tbody>
        {ANSWERS.map((was) => (
          <tr key={was}>
            <th scope="row">was {SAID[was][1]}</th>
            {ANSWERS.map((now) => {
              const count = matrix[was][now]
              const isChosen = chosen?.[0] === was && chosen[1] === now
              return (
                <td key={now} data-number data-changes={was !== now && count > 0}>
                  {was === now || count === 0 ? digits(count) : <button type="button" aria-pressed={isChosen} aria-label={`${digits(count)} went from ${SAID[was][1]} to ${SAID[now][1]}: show them`} onClick={() => onChoose(isChosen ? null : [was, now])}>{digits(count)}</button>}
                </td>
              )
            })}
          </tr>
        ))}
      </tbody>
    </table>
  )
}

function Notes({ state: { notEvaluated, notByPolicy }, advisory }: { readonly state: State; readonly advisory: number }) {
  const notes = [
    ...(notEvaluated === 0 ? [] : [`${digits(notEvaluated)} not evaluated: what was asked is erased`]),
    ...(notByPolicy === 0 ? [] : [`${digits(notByPolicy)} left out: denied by grant, budget or state, which no policy outweighs`]),
    ...(advisory === 0 ? [] : [`${digits(advisory)} of all were advice`]),
  ]
  return notes.length === 0 ? null : <p className="w-dim">{notes.join('; ')}.</p>
}

function Changes({ changed, listed, chosen }: { readonly changed: number; readonly listed: readonly ChangedDecision[]; readonly chosen: readonly [Answer, Answer] | null }) {
  if (listed.length === 0) return null
  const shown = listed.filter(({ was, now }) => chosen === null || (was === chosen[0] && now === chosen[1]))
  return (
    <>
      <div className="w-scroll w-changed" tabIndex={0} role="region" aria-label="Decisions that change">
        <table className="w-table">
          <thead><tr>{['Decision', 'Was', 'Now', 'Who', 'Action', 'Resource', 'By'].map((head) => <th key={head} scope="col">{head}</th>)}</tr></thead>
          <tbody>
            {shown.map(({ id, was, now, principal, action, resource, by, errors }) => (
              <tr key={id}>
                <td><Link to="/decisions/$id" params={{ id }}><Id of={id} /></Link></td><td><Mark tone={SAID[was][0]}>{SAID[was][1]}</Mark></td><td><Mark tone={SAID[now][0]}>{SAID[now][1]}</Mark></td>
                <td><Inert text={shortName(principal.id)} most={60} /></td><td><Inert text={action} most={60} /></td><td><Inert text={resource.id} most={60} /></td>
                <td className="w-dim"><Inert text={errors[0] === undefined ? by.map(({ policy }) => policy).join(', ') || 'no permit applies' : `error: ${errors[0]}`} most={200} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {changed > listed.length && <p className="w-dim">The first {digits(listed.length)} of {digits(changed)}. <code>writ policy simulate DIR --all</code> lists all.</p>}
    </>
  )
}
