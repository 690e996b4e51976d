import type { SpiffeId } from '@writ/domain/spiffe-id'
import type { EpochMs } from '@writ/domain/time'
import type { TokenKeys } from '../keys/token-keys.ts'
import type { Clock } from '../platform/clock.ts'
import type { Db, Store } from '../record/tx.ts'
import { listLiveKeys } from '../store/identities.ts'
import { findOperatorByKey } from '../store/installation.ts'
import { findTokenStanding } from '../store/tokens.ts'
import { accessToken } from './access-token.ts'
import { authentication, type Authentication } from './authenticate.ts'
import type { DpopNonces } from './dpop-nonce.ts'
import { dpop } from './dpop.ts'
import { federated } from './federated.ts'
import type { IssuerKeys } from './issuer-keys.ts'
import { proofRoom, useOnce } from './one-time.ts'
import { authenticateOperator } from './operator-key.ts'
import { privateKeyJwt, type RegisteredKey } from './private-key-jwt.ts'
import { authenticateSignIn } from './sign-in.ts'

export type EvidenceNeeds = { readonly store: Store; readonly keysOfIssuers: IssuerKeys; readonly clock: Clock; readonly nonces: DpopNonces; readonly nonceRequired: boolean; readonly notBefore: EpochMs | null; readonly issuer: () => string; readonly tokenKeys: TokenKeys }

/** Evidence to caller, from the parts that there are. */
export function authenticationOf({ store, keysOfIssuers, clock, nonces, nonceRequired, notBefore, issuer, tokenKeys }: EvidenceNeeds): Authentication {
  const parts = {
    clock, nonces, nonceRequired, notBefore,
    /** Known once the server listens. */
    get issuer() {
      return issuer()
    },
    keysOf: (spiffeId: SpiffeId) => store.read((db) => registeredKeysOf(db, spiffeId)),
    verificationKeyOf: tokenKeys.verificationKeyOf,
    standingOf: (token: Parameters<typeof findTokenStanding>[1], now: EpochMs) => store.read((db) => findTokenStanding(db, token, now)),
  }
  return authentication({
    operator: (key) => authenticateOperator(key, { operatorOf: (keyHash) => store.read((db) => findOperatorByKey(db, keyHash)) }),
    signIn: (secret, shown) => authenticateSignIn(secret, shown, { store, clock }),
    privateKeyJwt: privateKeyJwt(parts),
    federated: federated({ store, clock, keys: keysOfIssuers, notBefore }),
    accessToken: accessToken(parts),
    dpop: dpop(parts),
    roomFor: proofRoom({ store, clock }),
    async useOnce(uses) {
      const used = await store.change(useOnce, { uses })
      return used.ok ? undefined : used.refusal.of
    },
  })
}

async function registeredKeysOf(db: Db, spiffeId: SpiffeId): Promise<readonly RegisteredKey[]> {
  return (await listLiveKeys(db, spiffeId)).map(({ id, alg, jwk, ...key }) => ({ ...key, credential: id, alg: alg as RegisteredKey['alg'], jwk: jwk as RegisteredKey['jwk'] }))
}
