/**
 * What a decision hung on. `grant`, `budget` and `state` are denials that no policy can lift; `error`: the question could not be evaluated
 * (law 5); everything else is the policies' own answer.
 */
export const DECISION_CAUSES = ['policy', 'grant', 'budget', 'state', 'error'] as const
export type DecisionCause = (typeof DECISION_CAUSES)[number]

/** INV-15: in `observe` a denial by policy alone lets through, and is recorded as what it would have been. */
export const MODES = ['enforce', 'observe'] as const
export type Mode = (typeof MODES)[number]

/** A mark on what a task has read: how sensitive it was, or how little its source can be trusted. */
export type Label = string

/** What came from a source that anybody may write to. */
export const UNTRUSTED: Label = 'untrusted'

/** The purpose of a task that names none. */
export const NO_PURPOSE = 'none'

export const ANSWERS = ['allow', 'deny'] as const
export type Answer = (typeof ANSWERS)[number]

/** What has a mode of its own. A server is a back end, or a server of tools. */
export const MODE_SUBJECTS = ['identity', 'server'] as const
export type ModeSubject = (typeof MODE_SUBJECTS)[number]

/** What a call of a tool does to the world (POL-2). */
export const EFFECTS = ['read', 'write', 'external'] as const
export type Effect = (typeof EFFECTS)[number]
