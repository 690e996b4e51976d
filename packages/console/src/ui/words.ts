import type { Tone } from './mark.tsx'

type Said = readonly [tone: Tone, word: string]

/** States and outcomes, in the words of the glossary and with the tone that they have everywhere. */
export const IDENTITY_STATES: Readonly<Record<string, Said>> = { active: ['good', 'active'], suspended: ['stopped', 'suspended'], retired: ['quiet', 'retired'] }
export const TASK_STATES: Readonly<Record<string, Said>> = { open: ['busy', 'open'], ending: ['ask', 'ending'], closed: ['quiet', 'closed'] }
export const CALL_STATUSES: Readonly<Record<string, Said>> = {
  in_flight: ['busy', 'in flight'], succeeded: ['good', 'done'], failed: ['bad', 'failed'], tool_error: ['bad', 'the tool failed'], cancelled: ['stopped', 'stopped'],
  unreachable: ['bad', 'no answer'], unknown: ['ask', 'outcome unknown'],
}
export const TOOL_STATES: Readonly<Record<string, Said>> = { pinned: ['good', 'pinned'], new: ['ask', 'new'], changed: ['bad', 'changed: blocked'], gone: ['quiet', 'gone'] }
export const LEASE_STATES: Readonly<Record<string, Said>> = { intended: ['busy', 'being made'], live: ['busy', 'live'], withdrawing: ['ask', 'withdrawing'], stuck: ['bad', 'stuck'], ended: ['quiet', 'ended'] }

export const STOP_STATES: Readonly<Record<string, Said>> = { containing: ['ask', 'containing'], contained: ['good', 'contained'], not_proved: ['bad', 'not proved'] }

const END_REASONS: Readonly<Record<string, string>> = {
  completed: 'its holder said that it is done', deadline: 'its deadline came', silence: 'nothing was heard of its holder', idle: 'it made no call for too long', budget_exhausted: 'its budget was used up',
  identity_suspended: 'its identity was suspended', identity_retired: 'its identity was retired', ended_by_person: 'a person ended it', parent_ended: 'the task above it ended', restored: 'the store was restored',
}

export const endReasonText = (reason: string): string => END_REASONS[reason] ?? reason

export const saidOf = (words: Readonly<Record<string, Said>>, state: string): Said => words[state] ?? ['quiet', state]

/** `spiffe://acme.example/desk/agent` -> `desk/agent`: what tells identities of one domain apart. */
export const shortName = (spiffeId: string): string => spiffeId.replace(/^spiffe:\/\/[^/]+\//, '')

/** `payments_small` -> `payments small`. */
export const plain = (word: string): string => word.replaceAll('_', ' ')
