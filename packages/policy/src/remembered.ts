/** The answers that were asked for last: a function of their keys, whoever asks and whenever. */
export type Remembered<Answer> = { of(key: string, ask: () => Answer): Answer }

/** A long question is not asked twice, and would take the place of many. */
const LONGEST_KEY = 2_000

/** `isKept`: of an answer that may be another one the next time. */
export function remembered<Answer>(most: number, isKept: (answer: Answer) => boolean): Remembered<Answer> {
  /** In the order of their last use. */
  const answers = new Map<string, Answer>()
  return {
    of(key, ask) {
      const known = answers.get(key)
      if (known !== undefined) {
        answers.delete(key)
        answers.set(key, known)
        return known
      }
      const answer = ask()
      if (key.length > LONGEST_KEY || !isKept(answer)) return answer
      const [oldest] = answers.keys()
      if (answers.size >= most && oldest !== undefined) answers.delete(oldest)
      answers.set(key, answer)
      return answer
    },
  }
}
