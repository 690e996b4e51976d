import { once } from 'node:events'
import Provider from 'oidc-provider'

/**
 * The peer of the token measure, in a process of its own: `oidc-provider` with its in-memory adapter, clients that authenticate with
 * `private_key_jwt`, and JWT access tokens that are bound by DPoP. Reads `{ jwks, clients: [{ id, key }] }` from its parent and answers
 * with its address.
 */
const [order] = await once(process, 'message')
const resource = { scope: 'work', accessTokenTTL: 300, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }

const provider = new Provider('http://127.0.0.1', {
  jwks: order.jwks,
  clients: order.clients.map(({ id, key }) => ({
    client_id: id, grant_types: ['client_credentials'], redirect_uris: [], response_types: [], scope: 'work', dpop_bound_access_tokens: true,
    token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256', id_token_signed_response_alg: 'ES256', jwks: { keys: [key] },
  })),
  scopes: ['work'],
  clientAuthMethods: ['private_key_jwt'],
  enabledJWA: { clientAuthSigningAlgValues: ['ES256'], dPoPSigningAlgValues: ['ES256'] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    dPoP: { enabled: true, requireNonce: () => false },
    resourceIndicators: { enabled: true, defaultResource: () => 'https://work.example', getResourceServerInfo: () => resource, useGrantedResource: () => true },
  },
})

const server = provider.listen(0, '127.0.0.1')
await once(server, 'listening')
process.send({ url: `http://127.0.0.1:${server.address().port}`, issuer: provider.issuer })
process.once('disconnect', () => process.exit(0))
