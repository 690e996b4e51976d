/** The comment on a lease's role says whose it is. A role without it is not ours, and is never withdrawn. */
export const MARK = 'writ lease '

export const markOf = (bearer: string): string => `${MARK}${bearer}`

/** Whose role it is; undefined for a comment that is not ours. */
export function bearerOf(comment: string | null): string | undefined {
  return comment?.startsWith(MARK) ? comment.slice(MARK.length) : undefined
}
