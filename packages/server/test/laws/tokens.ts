import type { IdentityId, LeaseId, TaskId } from '@writ/domain/id'
import { issueToken } from '../../src/changes.ts'
import { makeFirstKey } from '../../src/issue/signing-keys.ts'
import { newTokenKey } from '../../src/keys/token-keys.ts'
import { endDueTokens, recordAcceptedToken, type EndedTokens } from '../../src/revoke/end-tokens.ts'
import { findTokenStanding, type Token } from '../../src/store/tokens.ts'
import { plus, seconds } from '@writ/domain/time'
import { storeOfWrit, type StoreName, type StoreOfWrit } from '../store-of-writ.ts'
import { done, WRIT } from './estate.ts'

/** A store that has a key to sign tokens with. */
export async function storeWithKey(store: StoreName, t: Parameters<typeof storeOfWrit>[1]): Promise<StoreOfWrit> {
  const of = await storeOfWrit(store, t)
  await done(of.store.change(makeFirstKey, { key: newTokenKey(of.keys.secrets), by: WRIT, now: of.now() }))
  return of
}

/** A token that may all that its open task may. */
export const tryToken = (of: StoreOfWrit, task: { readonly id: TaskId; readonly identity: IdentityId }, jkt = 'thumbprint-of-the-test') => of.store.change(issueToken, {
  identity: task.identity, evidence: { kind: 'private_key_jwt', issuer: null, subject: 'the test', credential: null, binding: null, expiresAt: of.now() }, task: { kind: 'open', id: task.id },
  authority: null, audience: 'https://writ.acme.example', jkt, inExchange: null, id: of.newId('lease'), uses: [], now: of.now(),
  once: { caller: task.identity, key: null, requestHash: 'h', now: of.now() },
})

export const tokenIn = async (...asked: Parameters<typeof tryToken>): Promise<Token> => (await done(tryToken(...asked))).value

/** What every door would say of it now. */
export const standingOf = async (of: StoreOfWrit, jti: LeaseId): Promise<string> => {
  const found = await of.store.read((db) => findTokenStanding(db, { jti, kid: null }, of.now()))
  return found.kind === 'live' ? 'live' : found.why
}

export const endSome = (of: StoreOfWrit, limit: number): Promise<EndedTokens> => done(of.store.change(endDueTokens, { now: of.now(), limit }))

/** Takes every due token to its end, as one server does. */
export async function endAllDue(of: StoreOfWrit, limit = 7): Promise<void> {
  for (let round = await endSome(of, limit); round.hasMore || round.accepted.length > 0; round = await endSome(of, limit)) {
    for (const token of round.accepted) await done(of.store.change(recordAcceptedToken, { token, incident: of.newId('incident'), retryAt: plus(of.now(), seconds(600)), now: of.now() }))
  }
}

export const tokenRows = (of: StoreOfWrit) => of.store.read((db) => db.selectFrom('access_token').selectAll().orderBy('id').execute())
