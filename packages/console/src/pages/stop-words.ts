import type { StopReply } from '@writ/contract/stops'
import { commandOf } from '../commands.ts'
import { shortName } from '../ui/words.ts'

export type StopKind = StopReply['target']['kind']
export type Touches = StopReply['touched']

type Target = { readonly kind: StopKind; readonly id: string }

export const counted = (count: number, one: string, more = `${one}s`): string => `${count.toLocaleString('en')} ${count === 1 ? one : more}`

/** What there is of each, in the order in which people ask for it; nothing of what there is none. */
export function touchedText({ tasks, logins, access_tokens: tokens, calls_in_flight: calls, approvals }: Touches): string {
  const parts = [
    [tasks, counted(tasks, 'task')], [logins, counted(logins, 'login')], [tokens, counted(tokens, 'access token')], [calls, `${counted(calls, 'call')} in flight`],
    [approvals, counted(approvals, 'approval or request for one', 'approvals and requests for one')],
  ] as const
  return parts.filter(([count]) => count > 0).map(([, text]) => text).join(' · ')
}

export const stopCommand = ({ kind, id }: Target, ...more: readonly string[]): string =>
  commandOf('writ', 'stop', kind === 'task' ? 'task' : 'identity', id, ...(kind === 'identity_tree' ? ['--tree'] : []), ...more)

/** `a task of desk/agent`. */
export function whatWasStopped({ target: { kind }, spiffe_id: spiffeId }: Pick<StopReply, 'target' | 'spiffe_id'>): string {
  const name = shortName(spiffeId)
  return kind === 'task' ? `a task of ${name}` : kind === 'identity' ? name : `${name} and whoever it has delegated to`
}
