import type { ExactValue } from '@writ/domain/exact'
import type { Outcome } from '@writ/domain/outcome'
import type { Answer } from './explanation.ts'
import type { Question } from './question.ts'
import { readQuestion } from './recorded-question.ts'
import type { RecordedDecision } from './replay.ts'

/** A decision as the server tells it to whoever replays: `question` is exact JSON. */
export type ToldDecision = {
  readonly id: string
  readonly answer: 'allow' | 'deny'
  readonly approvable: boolean
  readonly would_deny: boolean
  readonly cause: string
  readonly question: string | null
}

type ReadExact = (text: string) => Outcome<ExactValue, unknown>

/** The same as a replay takes it; `read` reads JSON and rounds no number of it. */
export const recordOf = (told: ToldDecision, read: ReadExact): RecordedDecision => ({
  id: told.id, answer: answeredByPolicy(told), byPolicy: told.cause === 'policy' || told.cause === 'error', question: told.question === null ? null : questionIn(told.question, read),
})

/** What the policies said: where one is only observed, they may have said no to what passed. */
function answeredByPolicy({ answer, approvable, would_deny: wouldDeny }: ToldDecision): Answer {
  if (answer === 'allow' && !wouldDeny) return 'allow'
  return approvable ? 'approval_required' : 'deny'
}

/** What the server wrote itself. Null where it can't be read: then nobody can say what the answer would be. */
function questionIn(text: string, read: ReadExact): Question | null {
  const found = read(text)
  return (found.ok ? readQuestion(found.value) : undefined) ?? null
}
