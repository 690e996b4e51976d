import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import * as contract from '@writ/contract/registry'
import * as surface from '@writ/contract/surface'
import { textOf } from '@writ/domain/authority'
import { mintId, parseId } from '@writ/domain/id'
import { isSecret, SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import { epochMs, toIso } from '@writ/domain/time'
import type { IncomingHttpHeaders } from 'node:http'
import { operatorKeyHash } from '../../authenticate/operator-key.ts'
import type { Sealer } from '../../keys/seal.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Entropy } from '../../platform/entropy.ts'
import type { Store } from '../../record/tx.ts'
import { fireTrigger } from '../../registry/change-identity.ts'
import { redeemBootstrap } from '../../registry/operators.ts'
import { findIdentity } from '../../store/identities.ts'
import { findTriggerHook } from '../../store/installation.ts'
import { route, type Answer, type Route } from '../call.ts'
import { explainProblem, problem } from '../problem.ts'
import { hookPlace } from './registry.ts'

export type DoorRoutesNeeds = {
  readonly store: Store
  readonly secrets: Sealer
  readonly clock: Clock
  readonly entropy: Entropy
  readonly version: string
  readonly wake: () => void
  /** Why tasks can not be opened now; undefined when they can. */
  readonly whyNotReady: () => Promise<string | undefined>
}

/** Standard Webhooks 1.0: a message older or newer than this is refused. */
const WEBHOOK_TOLERANCE_S = 300

export function doorRoutes(needs: DoorRoutesNeeds): readonly Route[] {
  const { store, clock, entropy } = needs
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
      if (caller.kind === 'operator') return { reply: { kind: 'operator' as const, id: caller.operator, name: caller.name } }
      const { identity: id, spiffeId: name } = caller
      const identity = await store.read((db) => findIdentity(db, id))
      return { reply: { kind: 'identity' as const, id, name, ...(identity === undefined ? {} : { authority: identity.authority.map(textOf) }) } }
    }),
    route(surface.firstSignIn, async () => ({ raw: 'This link signs in the first operator. Run `writ login` and paste the whole link.\n', type: 'text/plain; charset=utf-8' })),
    route(contract.redeemBootstrap, async ({ body }) => {
      if (!isSecret(body.code) || !body.code.startsWith(`${SECRET_PREFIX.bootstrap}_`)) return badCode()
      const now = clock.now()
      const key = toSecret(SECRET_PREFIX.operator, entropy.bytes(32))
      const operator = mintId('operator', now, entropy.bytes(10))
      const redeemed = await store.change(redeemBootstrap, { codeHash: sha256(body.code), operator, name: body.operator, keyHash: operatorKeyHash(key), now })
      return redeemed.ok ? { reply: { operator, key } } : badCode()
    }),
    route(contract.fireTrigger, async ({ parameters, headers, rawBody }) => {
      const identity = parseId('identity', parameters.id!)
      const hook = identity && await store.read((db) => findTriggerHook(db, identity))
      const signed = readSignature(headers)
      // A stranger's call costs the same whether or not the identity has a webhook.
      const secret = hook === undefined || identity === undefined ? 'nobody' : needs.secrets.unseal(hook.sealedSecret, hookPlace(identity))
      if (signed === undefined || !isSignedBy(secret, signed, rawBody) || identity === undefined || hook === undefined) return badSignature()
      const now = clock.now()
      if (Math.abs(now / 1000 - signed.timestamp) > WEBHOOK_TOLERANCE_S) return badSignature()
      const proof = { hash: sha256(`webhook\0${identity}\0${signed.id}`), expiresAt: epochMs(now + 2 * WEBHOOK_TOLERANCE_S * 1000) }
      const fired = await store.change(fireTrigger, { identity, message: signed.id, proof, now })
      needs.wake()
      return fired.ok ? { reply: { retired: fired.value } } : badSignature()
    }),
  ]
}

const badCode = () => problem('unauthenticated', { code: 'bad_bootstrap_code', detail: 'the code is unknown, used or older than 15 minutes', hint: 'restart `writ up`: it offers a new one as long as there is no operator, and with --new-operator-link also later' })
const badSignature = () => problem('unauthenticated', { code: 'bad_webhook_signature', hint: 'sign as Standard Webhooks 1.0 says, with the secret shown when the identity was registered' })

const sha256 = (text: string): Uint8Array => new Uint8Array(createHash('sha256').update(text).digest())

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
