import type { DecisionReply } from '@writ/contract/decisions'
import { Link } from '@tanstack/react-router'
import { Inert } from '../ui/agent-words.tsx'
import { Id } from '../ui/copy.tsx'
import { Mark, type Tone } from '../ui/mark.tsx'
import { Ago } from '../ui/time.tsx'

/** How a decision came out: what could be approved is no plain no, and what somebody approved no plain yes. */
export function outcomeOf(decision: Pick<DecisionReply, 'answer' | 'would_deny' | 'approvable' | 'approval'>): readonly [tone: Tone, word: string] {
  if (decision.would_deny) return ['ask', 'observed']
  if (decision.answer === 'allow') return ['good', decision.approval === null ? 'allowed' : 'approved']
  return decision.approvable ? ['ask', 'needs approval'] : ['bad', 'denied']
}

export function DecisionRows({ decisions, none }: { readonly decisions: readonly DecisionReply[]; readonly none: string }) {
  if (decisions.length === 0) return <p className="w-dim">{none}</p>
  return (
    <div className="w-scroll" tabIndex={0} role="region" aria-label="Decisions">
      <table className="w-table">
        <thead><tr>{['Decision', 'Answer', 'Action', 'Resource', 'By', 'When'].map((head) => <th key={head} scope="col">{head}</th>)}</tr></thead>
        <tbody>
          {decisions.map((one) => {
            const [tone, word] = outcomeOf(one)
            return (
              <tr key={one.id}>
                <td><Link to="/decisions/$id" params={{ id: one.id }}><Id of={one.id} /></Link></td><td><Mark tone={tone}>{word}</Mark></td><td><Inert text={one.action} most={80} /></td><td><Inert text={one.resource.id} most={80} /></td>
                <td className="w-dim">{one.policies.join(', ') || one.cause}</td><td><Ago at={one.at} /></td>
              </tr>
            )
          })}
        </tbody>
      </table>
    </div>
  )
}
