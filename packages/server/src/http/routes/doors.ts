import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import * as contract from '@writ/contract/registry'
import * as surface from '@writ/contract/surface'
import { textOf } from '@writ/domain/authority'
import { mintId, parseId } from '@writ/domain/id'
import type { Environment } from '@writ/domain/identity'
import { isSecret, SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import { epochMs, toIso } from '@writ/domain/time'
import type { IncomingHttpHeaders } from 'node:http'
import { operatorKeyHash } from '../../authenticate/operator-key.ts'
import type { RefusedOften } from '../../authenticate/refused-often.ts'
import type { Sealer } from '../../keys/seal.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Entropy } from '../../platform/entropy.ts'
import type { Store } from '../../record/tx.ts'
import { fireTrigger } from '../../registry/change-identity.ts'
import { redeemBootstrap } from '../../registry/operators.ts'
import { findIdentity } from '../../store/identities.ts'
import { findTriggerHook } from '../../store/installation.ts'
import { listPasskeys } from '../../store/passkeys.ts'
import { route, type Answer, type PersonAtDoor, type Route } from '../call.ts'
import type { ConsolePage } from '../console.ts'
import { explainProblem, problem, type ProblemAnswer } from '../problem.ts'
import { hookPlace } from './registry.ts'
import { badCode } from './sign-in.ts'

export type DoorRoutesNeeds = {
  readonly store: Store
  readonly secrets: Sealer
  readonly clock: Clock
  readonly entropy: Entropy
  readonly version: string
  readonly environment: Environment | null
  readonly wake: () => void
  /** Codes and signatures that are not good count as any other evidence. */
  readonly often: RefusedOften
  /** Where the bootstrap link leads: the console, which takes the code out of the address. */
  readonly firstPage: () => Promise<ConsolePage>
  /** Why tasks can not be opened now; undefined when they can. */
  readonly whyNotReady: () => Promise<string | undefined>
}

/** Standard Webhooks 1.0: a message older or newer than this is refused. */
const WEBHOOK_TOLERANCE_S = 300

export function doorRoutes(needs: DoorRoutesNeeds): readonly Route[] {
  const { store, clock, entropy, often } = needs
  const refusedFrom = (from: string, claim: string | null, answer: ProblemAnswer): ProblemAnswer => {
    often.refused(from, claim)
    return answer
  }
  return [
    route(contract.health, async () => ({ reply: { ok: true as const, version: needs.version } })),
    route(contract.ready, async () => {
      const why = await needs.whyNotReady()
      return why === undefined ? { reply: { ready: true as const, now: toIso(clock.now()) } } : problem('storage-unavailable', { code: 'not_ready', detail: why })
    }),
    route(contract.explainProblem, async ({ parameters }): Promise<Answer<typeof contract.explainProblem>> => {
      const text = explainProblem(parameters.type!)
      return text === undefined ? problem('not-found', { code: 'no_such_problem' }) : { raw: text, type: 'text/plain; charset=utf-8' }
    }),
    route(contract.whoAmI, async ({ caller }) => {
      const here = needs.environment === null ? {} : { environment: needs.environment }
      if (caller.kind === 'operator') return { reply: { kind: 'operator' as const, id: caller.operator, name: caller.name, ...here } }
      if (caller.kind === 'person') return { reply: { ...await personReply(needs, caller), ...here } }
      const { identity: id, spiffeId: name } = caller
      const identity = await store.read((db) => findIdentity(db, id))
      return { reply: { kind: 'identity' as const, id, name, ...(identity === undefined ? {} : { authority: identity.authority.map(textOf) }) } }
    }),
    route(surface.firstSignIn, async () => needs.firstPage()),
    route(contract.redeemBootstrap, async ({ body, from }) => {
      if (often.isOver(from, null)) return badCode()
      if (!isSecret(body.code) || !body.code.startsWith(`${SECRET_PREFIX.bootstrap}_`)) return refusedFrom(from, null, badCode())
      const now = clock.now()
      const key = toSecret(SECRET_PREFIX.operator, entropy.bytes(32))
      const operator = mintId('operator', now, entropy.bytes(10))
      const redeemed = await store.change(redeemBootstrap, { codeHash: sha256(body.code), operator, name: body.operator, keyHash: operatorKeyHash(key), now })
      return redeemed.ok ? { reply: { operator, key } } : refusedFrom(from, null, badCode())
    }),
    route(contract.fireTrigger, async ({ parameters, headers, rawBody, from }) => {
      const claim = `hook ${parameters.id!}`
      if (often.isOver(from, claim)) return badSignature()
      const identity = parseId('identity', parameters.id!)
      const hook = identity && await store.read((db) => findTriggerHook(db, identity))
      const signed = readSignature(headers)
      // A stranger's call costs the same whether or not the identity has a webhook.
      const secret = hook === undefined || identity === undefined ? 'nobody' : needs.secrets.unseal(hook.sealedSecret, hookPlace(identity))
      if (signed === undefined || !isSignedBy(secret, signed, rawBody) || identity === undefined || hook === undefined) return refusedFrom(from, claim, badSignature())
      often.proved(from, claim)
      const now = clock.now()
      if (Math.abs(now / 1000 - signed.timestamp) > WEBHOOK_TOLERANCE_S) return badSignature()
      const proof = { hash: sha256(`webhook\0${identity}\0${signed.id}`), expiresAt: epochMs(now + 2 * WEBHOOK_TOLERANCE_S * 1000) }
      const fired = await store.change(fireTrigger, { identity, message: signed.id, proof, now })
      needs.wake()
      return fired.ok ? { reply: { retired: fired.value } } : badSignature()
    }),
  ]
}

const badSignature = () => problem('unauthenticated', { code: 'bad_webhook_signature', hint: 'sign as Standard Webhooks 1.0 says, with the secret shown when the identity was registered' })

const sha256 = (text: string): Uint8Array => new Uint8Array(createHash('sha256').update(text).digest())

async function personReply({ store }: DoorRoutesNeeds, { person: id, name, email, groups, roles, signIn, steppedUpAt }: PersonAtDoor) {
  const passkeys = (await store.read((db) => listPasskeys(db, id))).length
  return {
    kind: 'person' as const, id, name, email, groups: [...groups], roles: [...roles], sign_in: signIn, passkeys, stepped_up_at: steppedUpAt === null ? null : toIso(steppedUpAt),
  }
}

type Signed = { readonly id: string; readonly timestamp: number; readonly signatures: readonly string[] }

function readSignature(headers: IncomingHttpHeaders): Signed | undefined {
  const [id, timestamp, signature] = [headers['webhook-id'], headers['webhook-timestamp'], headers['webhook-signature']]
  if (typeof id !== 'string' || !/^[\x21-\x7e]{1,200}$/.test(id) || typeof timestamp !== 'string' || !/^\d{1,12}$/.test(timestamp) || typeof signature !== 'string') return undefined
  return { id, timestamp: Number(timestamp), signatures: signature.split(' ').filter((one) => one.startsWith('v1,')).map((one) => one.slice(3)).slice(0, 5) }
}

function isSignedBy(secret: string, signed: Signed, rawBody: string): boolean {
  const wanted = createHmac('sha256', secret).update(`${signed.id}.${signed.timestamp}.${rawBody}`).digest()
  return signed.signatures.some((one) => {
    const given = Buffer.from(one, 'base64')
    return given.length === wanted.length && timingSafeEqual(given, wanted)
  })
}
