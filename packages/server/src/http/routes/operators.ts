import * as contract from '@writ/contract/operators'
import { mintId } from '@writ/domain/id'
import { unreachable } from '@writ/domain/outcome'
import { SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import { toIso } from '@writ/domain/time'
import { operatorKeyHash } from '../../authenticate/operator-key.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Entropy } from '../../platform/entropy.ts'
import type { Store } from '../../record/tx.ts'
import { addOperator, removeOperator, type OperatorRefusal } from '../../registry/operators.ts'
import { findOperator, listOperators, type Operator } from '../../store/operators.ts'
import { actorOf, route, type Route } from '../call.ts'
import { problem, type ProblemAnswer } from '../problem.ts'

export type OperatorRoutesNeeds = { readonly store: Store; readonly clock: Clock; readonly entropy: Entropy }

const KEY_REUSED = problem('idempotency-key-reused')

export function operatorRoutes({ store, clock, entropy }: OperatorRoutesNeeds): readonly Route[] {
  const show = async (id: string): Promise<contract.OperatorReply> => replyOf((await store.read((db) => findOperator(db, id)))!)
  return [
    route(contract.listOperators, async () => ({ reply: { operators: (await store.read(listOperators)).map(replyOf) } })),
    route(contract.addOperator, async ({ caller, body, once }) => {
      const now = clock.now()
      const key = toSecret(SECRET_PREFIX.operator, entropy.bytes(32))
      const input = { operator: mintId('operator', now, entropy.bytes(10)), name: body.name, keyHash: operatorKeyHash(key), by: actorOf(caller), now }
      const added = await store.changeOnce(addOperator, input, once)
      if (!added.ok) return added.refusal.kind === 'key_reused' ? KEY_REUSED : operatorProblem(added.refusal)
      const { value: id, repeated } = added.value
      if (repeated) return problem('conflict', { code: 'key_shown_once', detail: `this request has made operator ${id} before, whose key was shown then and is kept nowhere`, hint: `if it was lost: writ operator remove ${id}, and add another` })
      return { reply: { ...await show(id), key } }
    }),
    route(contract.removeOperator, async ({ caller, parameters, body, once }) => {
      const removed = await store.changeOnce(removeOperator, { reference: parameters.id!, reason: body.reason, by: actorOf(caller), now: clock.now() }, once)
      if (!removed.ok) return removed.refusal.kind === 'key_reused' ? KEY_REUSED : operatorProblem(removed.refusal)
      return { reply: await show(removed.value.value) }
    }),
  ]
}

const replyOf = ({ id, name, state, createdAt, removedAt }: Operator): contract.OperatorReply => ({
  id, name, state, created_at: toIso(createdAt), removed_at: removedAt === null ? null : toIso(removedAt),
})

function operatorProblem(refusal: OperatorRefusal): ProblemAnswer {
  const code = refusal.kind
  switch (refusal.kind) {
    case 'no_such_operator': return problem('not-found', { code, detail: 'there is no such operator', hint: 'writ operator list' })
    case 'already_removed': return problem('conflict', { code, detail: 'it is removed already' })
    case 'last_operator': return problem('conflict', { code, detail: 'this is the last operator: without it nobody could sign in', hint: 'add another first: writ operator add NAME' })
    case 'removed_meanwhile': return problem('unauthenticated')
    default: return unreachable(refusal)
  }
}
