import assert from 'node:assert/strict'
import * as issuers from '@writ/contract/issuers'
import * as oauth from '@writ/contract/oauth'
import * as operators from '@writ/contract/operators'
import * as registry from '@writ/contract/registry'
import * as tasks from '@writ/contract/tasks'
import { dpopKey, issuerSigner, signWith } from './fakes/issuer.ts'
import { complete, GRANT, open, opened } from './governed-writ.ts'
import { assertedBy, callWith, claimsIn, introspect, JWT_BEARER_CLIENT, NEW_TASK, postForm, proofKey } from './oauth-client.ts'
import { REGISTRATION, type RunningWrit, type TestIdentity } from './running-writ.ts'
import { ISSUER, type SeveralWrits } from './several-writs.ts'

export type Scene = {
  readonly several: SeveralWrits
  /** Where it is stopped. */
  readonly here: RunningWrit
  /** Where it has to be refused. */
  readonly there: RunningWrit
  /** Good for names. */
  readonly number: number
}

/** One thing that is allowed until it is stopped. */
export type Stop = { readonly stop: () => Promise<{ readonly status: number }>; readonly isRefused: () => Promise<boolean> }

const AUDIENCE = 'writ-of-acme'
const BECAUSE = { body: { reason: 'it misbehaves' } }
const nameOf = (scene: Scene): string => `stopped-${scene.number}`

/** An unforeseen answer is no refusal: a test would take a fault for one. */
function refused({ status, text }: { readonly status: number; readonly text: string }): boolean {
  assert.ok([200, 201, 401, 403, 404, 409].includes(status), `${status} ${text}`)
  return status >= 400
}

type OnTask = Scene & { readonly by: TestIdentity; readonly task: string }

async function withTask(scene: Scene): Promise<OnTask> {
  const by = scene.several.through(scene.there, await scene.here.register(nameOf(scene)))
  return { ...scene, by, task: await opened(by) }
}

/** A task that ends says so to its holder; it may do nothing more. */
async function isOver(by: TestIdentity, task: string): Promise<boolean> {
  const got = await by.api(tasks.heartbeat, { parameters: { id: task }, body: { calls: 0 } })
  return refused(got) || got.reply.state !== 'open'
}

type WithToken = Scene & { readonly by: TestIdentity; readonly token: string; readonly task: string; readonly key: Awaited<ReturnType<typeof proofKey>> }

async function withToken(scene: Scene): Promise<WithToken> {
  const [by, key] = [await scene.here.register(nameOf(scene)), await proofKey()]
  const form = { grant_type: 'client_credentials', client_assertion_type: JWT_BEARER_CLIENT, client_assertion: by.assertion(), ...NEW_TASK }
  const got = await postForm(scene.there, '/oauth/token', form, { proof: key.proof({ htu: `${ISSUER}/oauth/token` }) })
  assert.equal(got.status, 200, got.text)
  return { ...scene, by, key, token: got.reply.access_token, task: got.reply.task }
}

const isDead = async ({ there, token }: WithToken): Promise<boolean> => (await introspect(there, token))['active'] === false

/** What the token opens at the other's own door. */
async function isShutOut({ there, token, key, task }: WithToken): Promise<boolean> {
  const path = `/v1/tasks/${task}/heartbeat`
  const { status, value } = await callWith(there, { token, path, body: { calls: 0 }, proof: key.proof({ htu: ISSUER + path, token }) })
  return refused({ status, text: JSON.stringify(value) })
}

type Federated = Scene & { readonly issuer: string; readonly identity: registry.IdentityReply; readonly show: () => Promise<boolean> }

/** A workload without a key of ours, and an issuer that nobody else is vouched for by. */
async function withEvidence(scene: Scene): Promise<Federated> {
  const [signer, key, url, sub] = [issuerSigner(), dpopKey(), `https://issuer-${scene.number}.example`, 'repo:acme/shop']
  const trusted = await scene.here.operator(issuers.trustIssuer, { body: { url, jwks: { keys: [signer.jwk] } } })
  assert.equal(trusted.status, 201, trusted.text)
  const bindings = [{ issuer: url, audience: AUDIENCE, claims: { sub } }]
  const got = await scene.here.operator(registry.registerIdentity, { body: { ...REGISTRATION, spiffe_id: `spiffe://acme.example/${nameOf(scene)}`, bindings } })
  assert.equal(got.status, 201, got.text)
  return {
    ...scene, issuer: trusted.reply.id, identity: got.reply.identity!,
    async show() {
      const token = signWith(signer, { iss: url, sub, aud: AUDIENCE })
      const answer = await fetch(`${scene.there.url}/v1/whoami`, { headers: { authorization: `DPoP ${token}`, dpop: key.proof('GET', `${ISSUER}/v1/whoami`, token) } })
      return refused({ status: answer.status, text: await answer.text() })
    },
  }
}

/** Everything that an operator or a holder may stop, by what it is. */
export const STOPS: Readonly<Record<string, (scene: Scene) => Promise<Stop>>> = {
  async 'an identity that is suspended'(scene) {
    const by = await scene.here.register(nameOf(scene))
    return {
      stop: () => scene.here.operator(registry.suspendIdentity, { parameters: { id: by.id }, ...BECAUSE }),
      isRefused: async () => refused(await scene.several.through(scene.there, by).api(registry.whoAmI)),
    }
  },
  async 'an identity that is retired'(scene) {
    const by = await scene.here.register(nameOf(scene))
    return {
      stop: () => scene.here.operator(registry.retireIdentity, { parameters: { id: by.id }, ...BECAUSE }),
      isRefused: async () => refused(await open(scene.several.through(scene.there, by))),
    }
  },
  async 'a key that is revoked'(scene) {
    const by = await scene.here.register(nameOf(scene))
    const { credentials } = (await scene.here.operator(registry.showIdentity, { parameters: { id: by.id } })).reply
    return {
      stop: () => scene.here.operator(registry.revokeKey, { parameters: { id: by.id, key: credentials[0]!.id }, ...BECAUSE }),
      isRefused: async () => refused(await scene.several.through(scene.there, by).api(registry.whoAmI)),
    }
  },
  async 'a binding that is revoked'(scene) {
    const { identity, show } = await withEvidence(scene)
    const parameters = { id: identity.id, binding: identity.bindings[0]!.id }
    return { stop: () => scene.here.operator(registry.unbindIdentity, { parameters, ...BECAUSE }), isRefused: show }
  },
  async 'an issuer that is removed'(scene) {
    const { issuer, show } = await withEvidence(scene)
    return { stop: () => scene.here.operator(issuers.removeIssuer, { parameters: { id: issuer }, ...BECAUSE }), isRefused: show }
  },
  async 'an operator who is removed'(scene) {
    const { reply } = await scene.here.operator(operators.addOperator, { body: { name: nameOf(scene) } })
    return {
      stop: () => scene.here.operator(operators.removeOperator, { parameters: { id: reply.id }, ...BECAUSE }),
      isRefused: async () => refused(await scene.there.as(() => reply.key)(registry.whoAmI)),
    }
  },
  async 'a task that an operator ends'(scene) {
    const { by, task } = await withTask(scene)
    return { stop: () => scene.here.operator(tasks.endTask, { parameters: { id: task }, ...BECAUSE }), isRefused: () => isOver(by, task) }
  },
  async 'a task that its identity completes'(scene) {
    const { several, here, by, task } = await withTask(scene)
    return { stop: () => complete(several.through(here, by), task), isRefused: () => isOver(by, task) }
  },
  async 'a task below one that ends'(scene) {
    const { by, task } = await withTask(scene)
    const hand = scene.several.through(scene.there, await scene.here.register(`${nameOf(scene)}-hand`))
    const body = { identity: hand.id, purpose: 'a part of it', authorization_details: GRANT }
    const child = await by.api(tasks.delegateTask, { parameters: { id: task }, body })
    assert.equal(child.status, 201, child.text)
    return { stop: () => scene.here.operator(tasks.endTask, { parameters: { id: task }, ...BECAUSE }), isRefused: () => isOver(hand, child.reply.id) }
  },
  async 'an access token that its holder gives back'(scene) {
    const held = await withToken(scene)
    return { stop: () => postForm(held.here, oauth.revokeToken.path, { token: held.token, ...assertedBy(held.by) }), isRefused: () => isDead(held) }
  },
  async 'an access token that an operator revokes'(scene) {
    const held = await withToken(scene)
    const parameters = { id: String(claimsIn(held.token)['jti']) }
    return { stop: () => scene.here.operator(tasks.revokeLease, { parameters, ...BECAUSE }), isRefused: () => isShutOut(held) }
  },
  async 'an access token whose task ends'(scene) {
    const held = await withToken(scene)
    return { stop: () => scene.here.operator(tasks.endTask, { parameters: { id: held.task }, ...BECAUSE }), isRefused: () => isShutOut(held) }
  },
  async 'an access token whose identity is suspended'(scene) {
    const held = await withToken(scene)
    return { stop: () => scene.here.operator(registry.suspendIdentity, { parameters: { id: held.by.id }, ...BECAUSE }), isRefused: () => isDead(held) }
  },
}
