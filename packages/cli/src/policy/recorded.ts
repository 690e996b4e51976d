import type { EvaluatedDecisionReply } from '@writ/contract/decisions'
import { parseExactJson } from '@writ/contract/strict-json'
import type { Answer } from '@writ/policy/explanation'
import type { Question } from '@writ/policy/question'
import { readQuestion } from '@writ/policy/recorded-question'
import type { RecordedDecision } from '@writ/policy/replay'

/** A decision as the server tells it, as a replay takes it. */
export const recordOf = ({ id, answer, approvable, would_deny: wouldDeny, cause, question }: EvaluatedDecisionReply): RecordedDecision => ({
  id, answer: answeredByPolicy({ answer, approvable, wouldDeny }), byPolicy: cause === 'policy' || cause === 'error', question: question === null ? null : questionOf(question),
})

/** What the policies said: where one is only observed, they may have said no to what passed. */
function answeredByPolicy({ answer, approvable, wouldDeny }: { readonly answer: 'allow' | 'deny'; readonly approvable: boolean; readonly wouldDeny: boolean }): Answer {
  if (answer === 'allow' && !wouldDeny) return 'allow'
  return approvable ? 'approval_required' : 'deny'
}

/** What the server wrote itself. Null where it can't be read: then nobody can say what the answer would be. */
function questionOf(text: string): Question | null {
  const read = parseExactJson(text)
  return (read.ok ? readQuestion(read.value) : undefined) ?? null
}
