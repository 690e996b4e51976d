import { Misconfigured } from './errors.ts'

/** A task that waits for a person while nobody holds it. There is no secret in it: whoever goes on has to prove that it is theirs. */
const FORM = /^writ-suspended\.1\.(tsk_[0-9a-z]{26})\.(apr_[0-9a-z]{26})$/

export const suspendedToken = (task: string, approval: string): string => `writ-suspended.1.${task}.${approval}`

export function taskOfSuspended(token: string): string {
  const task = FORM.exec(token)?.[1]
  if (task === undefined) throw new Misconfigured('this is not what `task.suspend()` answered', { code: 'malformed_suspended' })
  return task
}
