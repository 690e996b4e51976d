import type { EventActor } from '@writ/domain/event'
import type { LeaseId } from '@writ/domain/id'
import { ok } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { lockTask } from '../store/tasks.ts'
import { findToken, stopToken } from '../store/tokens.ts'

type RevokeInput = { readonly token: LeaseId; readonly by: EventActor; /** The words of whoever revokes it. */ readonly reason?: string; readonly now: EpochMs }

/** Stops one token and no other; its task goes on. Answers whether it was live. */
export const revokeToken = change('token.revoke', async (tx: Tx, input: RevokeInput) => {
  const found = await findToken(tx.db, input.token)
  if (found === undefined) return ok(false)
  await lockTask(tx, found.task)
  if (!await stopToken(tx.db, input.token, input.now)) return ok(false)
  await append(tx, input.now, {
    type: 'lease.revoked', actor: input.by, task: found.task, identity: found.identity, lease: found.id,
    ...(input.reason === undefined ? { facts: { because: 'given_back' } } : { facts: {}, said: { reason: input.reason } }),
  })
  return ok(true)
})
