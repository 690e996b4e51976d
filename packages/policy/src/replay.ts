import type { Engine } from './engine.ts'
import { answerOf, type Answer, ANSWERS } from './explanation.ts'
import type { EntityRef, PolicyPlace, Question } from './question.ts'

/** A decision as the record has it. */
export type RecordedDecision = {
  readonly id: string
  /** What the policies answered then; in observe mode not what the caller was told. */
  readonly answer: Answer
  /** Whether the policies decided. A grant, a budget or a state that denied would deny under any draft. */
  readonly byPolicy: boolean
  /** What was evaluated; null when it was erased. */
  readonly question: Question | null
}

/** One decision that the draft would make differently. */
export type ChangedDecision = {
  readonly id: string
  readonly was: Answer
  readonly now: Answer
  readonly principal: EntityRef
  readonly action: string
  readonly resource: EntityRef
  /** The policies of the draft that decide now. */
  readonly by: readonly PolicyPlace[]
  readonly errors: readonly string[]
}

/** How many decisions went from the first answer (row) to the second (column). */
export type ChangeMatrix = Readonly<Record<Answer, Readonly<Record<Answer, number>>>>

export type ReplayState = {
  readonly matrix: ChangeMatrix
  /** How many records were fed, whatever became of them. */
  readonly fed: number
  /** How many have another answer now. */
  readonly changed: number
  /** The first of them, for a person to look at. */
  readonly listed: readonly ChangedDecision[]
  /** Their question was erased: nobody can say what the draft would answer. */
  readonly notEvaluated: number
  /** Denied by something that no policy outweighs. */
  readonly notByPolicy: number
}

export type Replay = {
  feed(record: RecordedDecision): void
  /** How it stands after what was fed so far. */
  state(): ReplayState
}

const byAnswer = <T>(of: () => T): Record<Answer, T> => Object.fromEntries(ANSWERS.map((answer) => [answer, of()])) as Record<Answer, T>

/** Asks a draft what was asked before. One record at a time, so that whoever feeds can show how far it is. */
export function openReplay(draft: Engine, mostListed = 1000): Replay {
  const counts = byAnswer(() => byAnswer(() => 0))
  const listed: ChangedDecision[] = []
  let fed = 0
  let changed = 0
  let notEvaluated = 0
  let notByPolicy = 0
  return {
    feed({ id, answer: was, byPolicy, question }) {
      fed += 1
      if (!byPolicy) {
        notByPolicy += 1
        return
      }
      if (question === null) {
        notEvaluated += 1
        return
      }
      const verdict = draft.decide(question)
      const now = answerOf(verdict)
      counts[was][now] += 1
      if (was === now) return
      changed += 1
      if (listed.length >= mostListed) return
      const { principal, action, resource } = question
      listed.push({ id, was, now, principal: principal.uid, action, resource: resource.uid, by: verdict.by, errors: verdict.errors })
    },
    state: () => ({ matrix: structuredClone(counts), fed, changed, listed: [...listed], notEvaluated, notByPolicy }),
  }
}
