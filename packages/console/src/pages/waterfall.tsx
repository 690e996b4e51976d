import type { DecisionReply } from '@writ/contract/decisions'
import type { ToolCallReply } from '@writ/contract/mcp-servers'
import type { TaskReply } from '@writ/contract/tasks'
import { Link } from '@tanstack/react-router'
import { explainDecision } from '../endpoints.ts'
import { useAsk } from '../queries.ts'
import { Inert } from '../ui/agent-words.tsx'
import { Explanation } from '../ui/explanation.tsx'
import { Mark, type Tone } from '../ui/mark.tsx'
import { useNow } from '../ui/now.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { spanText } from '../ui/spans.ts'
import { CALL_STATUSES, endReasonText, saidOf } from '../ui/words.ts'
import { outcomeOf } from './decision-rows.tsx'

/** One thing that a task asked for, and what became of it. */
export type Step = { readonly decision: DecisionReply; readonly call: ToolCallReply | undefined; readonly at: number; readonly until: number | undefined; readonly said: readonly [tone: Tone, word: string] }

/** In order of time: every decision, and the call that it let through. */
export function stepsOf(decisions: readonly DecisionReply[], calls: readonly ToolCallReply[]): readonly Step[] {
  const byDecision = new Map(calls.map((call) => [call.decision, call]))
  return decisions.map((decision): Step => {
    const call = byDecision.get(decision.id)
    const at = Date.parse(decision.at)
    const until = call === undefined ? at : call.finished_at === null ? undefined : Date.parse(call.finished_at)
    return { decision, call, at, until, said: saidOfStep(decision, call) }
  }).toSorted((a, b) => a.at - b.at || (a.decision.id < b.decision.id ? -1 : 1))
}

function saidOfStep(decision: DecisionReply, call: ToolCallReply | undefined): readonly [Tone, string] {
  const outcome = outcomeOf(decision)
  if (call === undefined || decision.answer === 'deny') return outcome
  const [tone, word] = saidOf(CALL_STATUSES, call.status)
  return call.status === 'succeeded' ? [outcome[0], `${outcome[1]}, ${word}`] : [tone, word]
}

/** Ends that somebody else made, in the middle of whatever ran. */
const STOPS: readonly (string | null)[] = ['ended_by_person', 'identity_suspended', 'identity_retired', 'parent_ended']

const stoppedAt = ({ end_reason: reason, ended_at: at }: TaskReply): number | undefined => (at !== null && STOPS.includes(reason) ? Date.parse(at) : undefined)

type WaterfallProps = { readonly task: TaskReply; readonly steps: readonly Step[]; readonly opened: string | undefined; readonly onOpen: (decision: string | undefined) => void }

const LEAST_SPAN_MS = 1000
const MOST_STEPS = 400

/** Each step where it stands in the time of the task. */
export function Waterfall({ task, steps, opened, onOpen }: WaterfallProps) {
  const now = useNow()
  const from = Date.parse(task.opened_at)
  const stopped = stoppedAt(task)
  const last = Math.max(...steps.map((step) => step.until ?? now), stopped ?? from, from)
  // To the last thing that happened: what came after it is empty.
  const length = Math.max(LEAST_SPAN_MS, last - from)
  const shareOf = (ms: number): number => Math.min(100, Math.max(0, ms / length * 100))
  return (
    <>
      <div className="w-waterfall" role="table" aria-label="What it did">
        <div role="row" className="w-waterfall-head"><span role="columnheader">After</span><span role="columnheader">Action</span><span role="columnheader" className="w-axis"><span>0</span><span>{spanText(length / 2)}</span><span>{spanText(length)}</span></span><span role="columnheader">Outcome</span></div>
        {steps.slice(0, MOST_STEPS).map((step) => {
          const { decision, call, at, until, said: [tone, word] } = step
          const isOpen = opened === decision.id
          return (
            <div key={decision.id} role="row" className="w-step" data-open={isOpen}>
              <span role="cell" className="w-step-at" title={decision.at}>{spanText(Math.max(0, at - from))}</span>
              <span role="cell" className="w-step-what"><button type="button" aria-expanded={isOpen} onClick={() => onOpen(isOpen ? undefined : decision.id)}><Inert text={decision.action} most={60} /></button> <span className="w-dim"><Inert text={decision.resource.id} most={80} /></span></span>
              <span role="cell" className="w-track"><span className="w-bar" data-tone={tone} data-approved={decision.approval !== null} style={{ left: `${shareOf(at - from)}%`, width: `${shareOf((until ?? now) - at)}%` }} /></span>
              <span role="cell"><Mark tone={tone}>{word}</Mark>{(call?.duration_ms ?? null) === null ? null : <span className="w-dim"> {spanText(call?.duration_ms ?? 0)}</span>}</span>
              {isOpen && <div role="cell" className="w-step-more"><More step={step} /></div>}
            </div>
          )
        })}
        {stopped !== undefined && (
          <div role="row" className="w-step">
            <span role="cell" className="w-step-at" title={task.ended_at ?? undefined}>{spanText(Math.max(0, stopped - from))}</span>
            <span role="cell" className="w-step-what w-dim">{endReasonText(task.end_reason ?? '')}</span>
            <span role="cell" className="w-track"><span className="w-bar" data-tone="stopped" style={{ left: `${Math.min(99, shareOf(stopped - from))}%` }} /></span>
            <span role="cell"><Mark tone="stopped">stopped</Mark></span>
          </div>
        )}
      </div>
      {steps.length > MOST_STEPS && <p className="w-dim">The first {MOST_STEPS} of {steps.length.toLocaleString('en')} steps. <code>writ audit tail</code> has all.</p>}
    </>
  )
}

function More({ step: { decision, call } }: { readonly step: Step }) {
  const explanation = useAsk(explainDecision, { parameters: { id: decision.id } })
  return (
    <>
      {explanation.error !== null ? <ProblemNote error={explanation.error} /> : explanation.data === undefined ? <p role="status">explaining…</p> : <Explanation of={explanation.data} />}
      {call !== undefined && <p className="w-dim">{call.server}: {call.bytes === null ? 'no result' : `${call.bytes.toLocaleString('en')} bytes of result`}{call.sha256 === null ? '' : <>, sha256 <code>{call.sha256.slice(0, 16)}…</code></>}</p>}
      {decision.approval !== null && <p>A person said yes to exactly this: <Link to="/approvals/$id" params={{ id: decision.approval }}>the approval</Link></p>}
      <p><Link to="/decisions/$id" params={{ id: decision.id }}>the whole decision</Link></p>
    </>
  )
}
