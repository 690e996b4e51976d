import type { ExplanationReply } from '@writ/contract/decisions'
import type { ReactNode } from 'react'
import { Inert } from './agent-words.tsx'
import { CopyButton } from './copy.tsx'
import { Mark, type Tone } from './mark.tsx'

const VERDICTS: Readonly<Record<ExplanationReply['verdict'], readonly [tone: Tone, word: string]>> = {
  allow: ['good', 'allowed'], approval_required: ['ask', 'needs approval'], deny: ['bad', 'denied'],
}

type Actual = Readonly<Record<string, string>>

/** What happened, why, what came closest, and what now: the same four lines as on the command line. */
export function Explanation({ of }: { readonly of: ExplanationReply }) {
  const [tone, word] = VERDICTS[of.verdict]
  return (
    <dl className="w-facts w-explanation">
      <Line name="what"><Mark tone={tone}>{word}</Mark> <Inert text={of.asked} most={400} /></Line>
      <Line name="why">{why(of)}</Line>
      {of.nearest !== null && <Line name="nearest"><Place of={of.nearest} />, failed at <code><Inert text={of.nearest.failed} most={300} /></code><Values of={of.nearest.actual} /></Line>}
      {of.with_approval !== null && <Line name="with approval"><Place of={of.with_approval} /> allows it once a person has said yes</Line>}
      {of.would_allow !== null && <Line name="would allow"><Inert text={of.would_allow} most={400} /></Line>}
      <Line name="what now"><Inert text={of.next.say} most={400} />{of.next.cli !== null && <span className="w-command"><code><Inert text={of.next.cli} most={300} /></code><CopyButton text={of.next.cli} says="Copy the command" /></span>}</Line>
    </dl>
  )
}

function Line({ name, children }: { readonly name: string; readonly children: ReactNode }) {
  return <div><dt>{name}</dt><dd>{children}</dd></div>
}

function why(of: ExplanationReply): ReactNode {
  if (of.errors.length > 0) return <>the policies could not be asked: <Inert text={of.errors.join('; ')} most={400} /></>
  if (of.state !== null) return <Inert text={of.state} most={400} />
  if (of.grant !== null) return <>the task’s grant does not hold <code><Inert text={of.grant.asked} most={200} /></code>{of.grant.nearest !== null && <>; nearest <code><Inert text={of.grant.nearest} most={200} /></code>{of.grant.failed !== null && <>, failed at <code><Inert text={of.grant.failed} most={200} /></code></>}</>}</>
  if (of.forbidden_by !== null) return <><Place of={of.forbidden_by} /> forbids it{of.forbidden_by.held !== null && <>: <code><Inert text={of.forbidden_by.held} most={300} /></code></>}<Values of={of.forbidden_by.actual} />{of.forbidden_by.unless !== null && <>, unless <code><Inert text={of.forbidden_by.unless} most={300} /></code></>}</>
  return of.rule === null ? 'no policy permits it' : <><Place of={of.rule} /> {of.verdict === 'allow' ? 'permits it' : 'decided'}</>
}

const Place = ({ of }: { readonly of: { readonly policy: string; readonly file: string; readonly line: number } }) => <>policy <strong><Inert text={of.policy} most={100} /></strong> <span className="w-dim">{of.file}:{of.line}</span></>

function Values({ of }: { readonly of: Actual }) {
  const entries = Object.entries(of)
  return entries.length === 0 ? null : <> ({entries.map(([path, value], i) => <span key={path}>{i > 0 && ', '}<code><Inert text={path} most={80} /></code> is <code><Inert text={value} most={120} /></code></span>)})</>
}
