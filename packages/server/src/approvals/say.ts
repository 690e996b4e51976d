import type { ApprovalChoice, ApprovalRoute } from '@writ/domain/approval'
import { toIso } from '@writ/domain/time'

/** Who can decide, in one line for whoever waits: roles and groups, and nobody's name. */
export function whoCanDecide({ group, quorum, signed }: Pick<ApprovalRoute, 'group' | 'quorum' | 'signed'>): string {
  const who = group === null ? 'reviewer' : `reviewer of the group \`${group}\``
  const many = quorum === 1 ? `any ${who}` : `${quorum} different persons, each a ${who}`
  return `${many}${signed ? ', with a passkey' : ''}; nobody who stands behind this task`
}

/** What a yes allows, in one line. */
export function allowed(choice: ApprovalChoice): string {
  switch (choice.scope) {
    case 'once': return 'this very call, once'
    case 'edited': return 'this call with the lowered arguments, once'
    case 'task': {
      const { arguments: args, calls, until } = choice.bound
      const each = Object.entries(args).map(([name, one]) => ('most' in one ? `${name} <= ${one.most}` : 'is' in one ? `${name} = ${one.is}` : `any ${name}`))
      return `up to ${calls} ${calls === 1 ? 'call' : 'calls'} of this task until ${toIso(until)}, with ${each.length === 0 ? 'no argument' : each.join(', ')}`
    }
  }
}
