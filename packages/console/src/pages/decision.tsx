import { Link, useParams } from '@tanstack/react-router'
import { commandOf, curlOf } from '../commands.ts'
import { explainDecision, showDecision } from '../endpoints.ts'
import { useAsk } from '../queries.ts'
import { Inert } from '../ui/agent-words.tsx'
import { Id } from '../ui/copy.tsx'
import { Explanation } from '../ui/explanation.tsx'
import { Mark } from '../ui/mark.tsx'
import { Facts, Page, Part } from '../ui/page.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { Exactly } from '../ui/time.tsx'
import { outcomeOf } from './decision-rows.tsx'

/** One decision, and why it came out as it did. */
export function DecisionPage() {
  const { id } = useParams({ from: '/inside/decisions/$id' })
  const decision = useAsk(showDecision, { parameters: { id } })
  const explanation = useAsk(explainDecision, { parameters: { id } })
  if (decision.data === undefined) return decision.error === null ? <p className="w-loading" role="status">loading the decision…</p> : <ProblemNote error={decision.error} />
  const one = decision.data
  const [tone, word] = outcomeOf(one)
  return (
    <Page title="Decision" beside={<><Mark tone={tone}>{word}</Mark><Id of={one.id} /></>} commands={{ cli: commandOf('writ', 'explain', one.id), curl: curlOf(explainDecision, { parameters: { id } }, window.location.origin) }}>
      <div className="w-columns">
        <Part title="Why">{explanation.error !== null ? <ProblemNote error={explanation.error} /> : explanation.data === undefined ? <p className="w-loading" role="status">explaining…</p> : <Explanation of={explanation.data} />}</Part>
        <Part title="What was decided">
          <Facts of={[
            ['Action', <Inert key="a" text={one.action} most={200} />], ['Resource', <Inert key="r" text={one.resource.id} most={200} />], ['At', <Exactly key="t" at={one.at} />],
            ['Task', one.task === null ? 'none: advice' : <Link key="k" to="/tasks/$id" params={{ id: one.task }}><Id of={one.task} /></Link>],
            ['Identity', one.identity === null ? 'none' : <Link key="i" to="/identities/$id" params={{ id: one.identity }}><Id of={one.identity} /></Link>],
            ['Hung on', one.cause], ...(one.approval === null ? [] : [['Approved by', <Link key="p" to="/approvals/$id" params={{ id: one.approval }}><Id of={one.approval} /></Link>] as const]), ['Mode', one.mode], ['Policy version', one.policy_version], ['Policies', one.policies.join(', ') || 'none'], ['Event', <Id key="e" of={one.event} />],
          ]} />
        </Part>
      </div>
    </Page>
  )
}
