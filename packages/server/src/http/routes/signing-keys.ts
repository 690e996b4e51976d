import * as contract from '@writ/contract/oauth'
import { toIso, type EpochMs } from '@writ/domain/time'
import { DPOP_ALGS } from '../../authenticate/dpop.ts'
import { publishKey, replaceKeys } from '../../issue/signing-keys.ts'
import type { Sealer } from '../../keys/seal.ts'
import { JWKS_MAX_AGE, newTokenKey, type TokenKeys } from '../../keys/token-keys.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Store } from '../../record/tx.ts'
import { listSigningKeys, type SigningKey } from '../../store/signing-keys.ts'
import { actorOf, route, type Route } from '../call.ts'
import { problem } from '../problem.ts'

export type SigningKeyNeeds = {
  readonly store: Store
  readonly secrets: Pick<Sealer, 'seal'>
  readonly keys: TokenKeys
  readonly clock: Clock
  readonly issuer: () => string
}

/** What is public about the tokens, and what operators do with the keys that sign them. */
export function signingKeyRoutes({ store, secrets, keys, clock, issuer }: SigningKeyNeeds): readonly Route[] {
  return [
    route(contract.jwks, async () => ({ reply: keys.jwks() as { keys: { kid: string }[] }, headers: { 'cache-control': `public, max-age=${JWKS_MAX_AGE}` } })),
    route(contract.metadata, async () => ({ reply: metadataOf(issuer()), headers: { 'cache-control': 'public, max-age=300' } })),
    route(contract.listSigningKeys, async () => ({ reply: replyOf(await store.read(listSigningKeys)) })),
    route(contract.rotateSigningKeys, async ({ caller }) => {
      const shown = await store.change(publishKey, { key: newTokenKey(secrets), by: actorOf(caller), now: clock.now() })
      await keys.refresh()
      return { reply: replyOf(shown.ok ? shown.value : []) }
    }),
    route(contract.replaceSigningKeys, async ({ caller, body }) => {
      const replaced = await store.change(replaceKeys, { key: newTokenKey(secrets), by: actorOf(caller), reason: body.reason, now: clock.now() })
      await keys.refresh()
      return replaced.ok ? { reply: replyOf(replaced.value) } : problem('conflict', { code: 'replaced_meanwhile', detail: 'somebody else has just replaced the keys', hint: 'look at them: `writ keys list`' })
    }),
  ]
}

/** RFC 8414 §2, with what RFC 9396 §10 and RFC 9449 §5.1 add. There is no authorization endpoint: nobody is sent anywhere. */
function metadataOf(issuer: string): { readonly issuer: string } & Readonly<Record<string, unknown>> {
  const methods = ['private_key_jwt', 'spiffe_jwt']
  const algs = [...DPOP_ALGS]
  return {
    issuer,
    token_endpoint: issuer + contract.issueToken.path,
    jwks_uri: issuer + contract.jwks.path,
    introspection_endpoint: issuer + contract.introspect.path,
    revocation_endpoint: issuer + contract.revokeToken.path,
    response_types_supported: [],
    grant_types_supported: [...contract.GRANT_TYPES],
    // `none`: an assertion that is itself the grant needs no client beside it (RFC 7521 §4.1).
    token_endpoint_auth_methods_supported: [...methods, 'none'],
    token_endpoint_auth_signing_alg_values_supported: algs,
    introspection_endpoint_auth_methods_supported: methods,
    introspection_endpoint_auth_signing_alg_values_supported: algs,
    revocation_endpoint_auth_methods_supported: methods,
    revocation_endpoint_auth_signing_alg_values_supported: algs,
    dpop_signing_alg_values_supported: algs,
    authorization_details_types_supported: ['postgres', 'mcp'],
  }
}

function replyOf(keys: readonly SigningKey[]): { keys: contract.SigningKeyReply[] } {
  const iso = (at: EpochMs | null): string | null => (at === null ? null : toIso(at))
  return {
    keys: keys.map((key) => ({
      kid: key.kid, alg: 'ES256' as const, state: key.state, published_at: toIso(key.publishedAt), activated_at: iso(key.activatedAt), retired_at: iso(key.retiredAt), revoked_at: iso(key.revokedAt),
    })),
  }
}
