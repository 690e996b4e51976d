/** What is stopped: one task, an identity, or an identity with all that it has delegated to. */
export const STOP_TARGETS = ['task', 'identity', 'identity_tree'] as const
export type StopTarget = (typeof STOP_TARGETS)[number]

/**
 * containing: somebody has not confirmed yet. contained: everybody has, and every credential was refused when it was tried. not_proved: nothing is
 * awaited any more, and of something it is not known whether it ended.
 */
export const STOP_STATES = ['containing', 'contained', 'not_proved'] as const
export type StopState = (typeof STOP_STATES)[number]

/**
 * What is known of one running server: acknowledged: it says itself that it has nothing of it in flight. gone: it runs no more, and had nothing in
 * flight. lost: it runs no more, and what became of its calls nobody can tell.
 */
export const SERVER_ANSWERS = ['acknowledged', 'gone', 'lost'] as const
export type ServerAnswer = (typeof SERVER_ANSWERS)[number]

/** How much a stop touches, or would. */
export type Touched = {
  /** Identities that are suspended by it. */
  readonly identities: number
  /** Tasks that end by it, and those that had ended before and still have something to withdraw. */
  readonly tasks: number
  readonly logins: number
  readonly tokens: number
  readonly callsInFlight: number
  readonly approvals: number
}
