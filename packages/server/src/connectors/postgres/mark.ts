import type { Reassigned } from '@writ/domain/lease'

/**
 * The comment on a lease's role. Its first line says whose it is: a role without it is not ours, and is never withdrawn. Its second
 * line, once there is one, lists what was already handed over, so that a withdrawal that is cut short and tried again loses none of it.
 */
const FIRST_LINE = /^writ lease (\S+)$/

export function markOf(bearer: string, handedOver: readonly Reassigned[] = []): string {
  const first = `writ lease ${bearer}`
  return handedOver.length === 0 ? first : `${first}\n${JSON.stringify(handedOver)}`
}

export type Mark = { readonly bearer: string; readonly handedOver: readonly Reassigned[] }

/** Undefined for a comment that is not ours. */
export function parseMark(comment: string | null): Mark | undefined {
  const [first = '', second] = (comment ?? '').split('\n', 2)
  const bearer = FIRST_LINE.exec(first)?.[1]
  if (bearer === undefined) return undefined
  return { bearer, handedOver: second === undefined ? [] : JSON.parse(second) as readonly Reassigned[] }
}
