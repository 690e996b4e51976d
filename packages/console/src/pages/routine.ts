import type { ApprovalReply } from '@writ/contract/approvals'

/** Of fewer nobody can say that they are routine. */
export const ENOUGH_ALIKE = 5

type Asked = Pick<ApprovalReply, 'identity' | 'action' | 'resource'>
export const isAlike = (a: Asked, b: Asked): boolean => a.identity === b.identity && a.action === b.action && a.resource.type === b.resource.type && a.resource.id === b.resource.id
export const isAgreed = ({ state }: ApprovalReply): boolean => state === 'used' || state === 'approved'

/** Of a class: the newest one, and how many there were. */
export type Routine = { readonly newest: ApprovalReply; readonly count: number }

/** The class of requests that was answered yes most often, and never no; of calls of tools alone, for a permit can be bound to their arguments. */
export function mostRoutine(approvals: readonly ApprovalReply[]): Routine | undefined {
  const classes: { readonly of: ApprovalReply[]; isDenied: boolean }[] = []
  for (const one of approvals) {
    if (one.action !== 'call' || (!isAgreed(one) && one.state !== 'denied')) continue
    let found = classes.find(({ of }) => isAlike(of[0]!, one))
    if (found === undefined) classes.push(found = { of: [], isDenied: false })
    found.of.push(one)
    if (one.state === 'denied') found.isDenied = true
  }
  const best = classes.filter(({ of, isDenied }) => !isDenied && of.length >= ENOUGH_ALIKE).toSorted((a, b) => b.of.length - a.of.length)[0]
  return best && { newest: best.of.toSorted((a, b) => (a.id < b.id ? 1 : -1))[0]!, count: best.of.length }
}
