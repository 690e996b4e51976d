import { parseExactJson } from '@writ/contract/strict-json'
import { exactText, type ExactValue } from '@writ/domain/exact'
import { parseId, type Id, type IdKind } from '@writ/domain/id'
import type { Continues } from '../decide/continued.ts'
import type { Decided } from '../decide/record-decision.ts'
import { isRecord } from './json-rpc.ts'

/** What a call goes on with: the state of its server, and the approval that let it through. Out of our hands it is sealed. */
export type GoingOn = { readonly state: string; readonly continues?: Continues | undefined }

/** No state of a server's begins so: those of the newer generation begin with a letter of ours, those of the older one are base64url. */
const STATE = 'writ-goes-on:'

export function stateOf({ state, continues }: GoingOn): string {
  return continues === undefined ? state : `${STATE}${exactText({ ...continues, round: BigInt(continues.round), state })}`
}

export function goingOnIn(text: string): GoingOn {
  if (!text.startsWith(STATE)) return { state: text }
  const read = parseExactJson(text.slice(STATE.length))
  const { state, round, ...ids } = read.ok && isRecord(read.value) ? read.value : {}
  if (typeof state !== 'string' || typeof round !== 'bigint') throw unreadable()
  const { approval, first, last, lease } = ids
  return { state, continues: { approval: idIn('approval', approval), first: idIn('decision', first), last: idIn('decision', last), lease: idIn('lease', lease), round: Number(round) } }
}

function idIn<K extends IdKind>(kind: K, value: ExactValue | undefined): Id<K> {
  const id = typeof value === 'string' ? parseId(kind, value) : undefined
  if (id === undefined) throw unreadable()
  return id
}

const unreadable = (): Error => new Error('a state of ours can not be read')

/** With what the call goes on once its client has answered; undefined where no approval let it through. */
export function continuesAfter({ id, approval }: Decided, lease: Continues['lease'], before: Continues | undefined): Continues | undefined {
  if (approval?.kind === 'ran') return { approval: approval.id, first: id, last: id, lease, round: 0 }
  return approval?.kind === 'goes_on' && before !== undefined ? { ...before, last: id, round: before.round + 1 } : undefined
}
