import { milliseconds, seconds, type Milliseconds } from './time.ts'

/** What an identity is, by how much it decides alone (CLS-2). */
export const IDENTITY_CLASSES = ['chatbot', 'script', 'autonomous', 'assisted'] as const
export type IdentityClass = (typeof IDENTITY_CLASSES)[number]

/** The controls that a class brings with it. */
export type Profile = {
  /** The longest a task may live, from opening to deadline. */
  readonly longestTask: Milliseconds
  /** How many generations of child tasks may hang below a task. */
  readonly delegationDepth: number
  /** How many trees of tasks it may begin in an hour unless its registration says otherwise: a budget that could be had anew at will would bound nothing. */
  readonly tasksPerHour: number
  /** Whether an act that writes outside needs a person's answer unless policy says otherwise. */
  readonly approvalByDefault: boolean
  /** Whether two workloads may share the identity, each with a key of its own (CLS-5). */
  readonly mayBeShared: boolean
  /** Whether what it shows has to be bound to a key that it proves to hold, so that a thief of a token gets nothing (RFC 9449). */
  readonly senderConstrained: boolean
}

const HOUR = seconds(3600)

/** Data, not code: a class changes its controls by changing a row here. */
export const PROFILES: Readonly<Record<IdentityClass, Profile>> = {
  chatbot: { tasksPerHour: 1000, longestTask: HOUR, delegationDepth: 1, approvalByDefault: true, mayBeShared: false, senderConstrained: false },
  script: { tasksPerHour: 1000, longestTask: milliseconds(4 * HOUR), delegationDepth: 0, approvalByDefault: false, mayBeShared: true, senderConstrained: true },
  autonomous: { tasksPerHour: 100, longestTask: HOUR, delegationDepth: 3, approvalByDefault: true, mayBeShared: false, senderConstrained: true },
  assisted: { tasksPerHour: 1000, longestTask: HOUR, delegationDepth: 1, approvalByDefault: true, mayBeShared: false, senderConstrained: false },
}

/** R28: a task that names no length lives this long. */
export const DEFAULT_TASK_LENGTH = seconds(300)
