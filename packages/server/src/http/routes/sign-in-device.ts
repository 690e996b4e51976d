import { createHash } from 'node:crypto'
import * as contract from '@writ/contract/sign-in'
import { unreachable } from '@writ/domain/outcome'
import { isSecret, SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import { toIso } from '@writ/domain/time'
import { networkOf, type RefusedOften } from '../../authenticate/refused-often.ts'
import { rolesOf } from '../../authenticate/person-roles.ts'
import { SIGN_IN_IDLES, SIGN_IN_LIVES } from '../../authenticate/sign-in.ts'
import { answerDeviceSignIn, beginDeviceSignIn, DEVICE_PACE, redeemDeviceSignIn, type DeviceAnswerRefusal, type RedeemRefusal } from '../../people/device-sign-in.ts'
import { newSignIn, type SignedIn } from '../../people/sign-in.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Entropy } from '../../platform/entropy.ts'
import type { PerMinute } from '../../platform/per-minute.ts'
import type { Store } from '../../record/tx.ts'
import { findPerson } from '../../store/people.ts'
import { findDeviceByCode } from '../../store/sign-in-flows.ts'
import { findSignIn } from '../../store/sign-ins.ts'
import { route, type Route } from '../call.ts'
import { problem, type ProblemAnswer } from '../problem.ts'
import { signInReply } from './people.ts'

export type DeviceRoutesNeeds = {
  readonly store: Store
  readonly clock: Clock
  readonly entropy: Entropy
  readonly consoleOrigin: () => string
  /** What each address has begun in a minute, and how much it may. */
  readonly begun: PerMinute
  readonly mostBegun: number
  /** Codes that are not good count as any other evidence. */
  readonly often: RefusedOften
}

/** RFC 8628 §6.1: letters that are hard to confuse and make no words. */
const LETTERS = 'BCDFGHJKLMNPQRSTVWXZ'
const CODE_LENGTH = 8
const MOST_TRIES = 5

export function deviceRoutes(needs: DeviceRoutesNeeds): readonly Route[] {
  const { store, clock, often } = needs
  return [
    route(contract.beginDeviceSignIn, async ({ body, from }) => begin(needs, { device: body.device ?? null, from })),
    route(contract.redeemDeviceSignIn, async ({ body, from }) => {
      if (often.isOver(from, null)) return redeemProblem({ kind: 'unknown_device' })
      const isOurs = isSecret(body.device_code) && body.device_code.startsWith(`${SECRET_PREFIX.device}_`)
      const { secret, signIn } = newSignIn(needs, { kind: 'cli', how: 'device' })
      const done = isOurs ? await store.change(redeemDeviceSignIn, { deviceHash: hashOf(body.device_code), signIn, now: clock.now() }) : undefined
      if (done?.ok !== true) {
        const refusal = done?.refusal ?? { kind: 'unknown_device' }
        if (refusal.kind === 'unknown_device') often.refused(from, null)
        return redeemProblem(refusal)
      }
      if (done.value.state !== 'signed_in') return notYet(done.value)
      return { reply: await signedInReply(needs, done.value.signedIn, secret) }
    }),
    ...confirmRoutes(needs),
  ]
}

/** RFC 8628 §5.1: whoever is signed in may still not try codes at will. */
function confirmRoutes({ store, clock, often }: DeviceRoutesNeeds): readonly Route[] {
  const known = async <T>({ from, person }: { readonly from: string; readonly person: string }, look: () => Promise<T | undefined>): Promise<T | ProblemAnswer> => {
    const claim = `device ${person}`
    if (often.isOver(from, claim)) return problem('too-many-requests', { code: 'too_many_codes', detail: 'too many codes that stand for nothing; wait a minute' })
    const found = await look()
    if (found === undefined) often.refused(from, claim)
    return found ?? answerProblem({ kind: 'no_such_code' })
  }
  return [
    route(contract.showDeviceSignIn, async ({ caller, body, from }) => known({ from, person: caller.person }, async () => {
      const asked = await store.read((db) => findDeviceByCode(db, readCode(body.user_code)))
      if (asked === undefined || asked.state !== 'waiting' || clock.now() >= asked.endsAt) return undefined
      return {
        reply: {
          user_code: shown(asked.userCode), asked_from: asked.askedFrom, claimed_device: asked.claimedDevice, asked_at: toIso(asked.begunAt), ends_at: toIso(asked.endsAt), roles: [...caller.roles],
          lives_seconds: SIGN_IN_LIVES / 1000, idles_seconds: SIGN_IN_IDLES / 1000,
        },
      }
    })),
    route(contract.confirmDeviceSignIn, async ({ caller, body, from }) => known({ from, person: caller.person }, async () => {
      const input = { userCode: readCode(body.user_code), answer: body.answer, person: caller.person, signIn: caller.signIn, now: clock.now() }
      const done = await store.change(answerDeviceSignIn, input)
      if (done.ok) return { reply: {} }
      return done.refusal.kind === 'no_such_code' ? undefined : answerProblem(done.refusal)
    })),
  ]
}

async function begin({ store, clock, entropy, consoleOrigin, begun, mostBegun }: DeviceRoutesNeeds, { device, from }: { readonly device: string | null; readonly from: string }) {
  const network = networkOf(from)
  if (begun.countOf(network) >= mostBegun) {
    return { ...problem('too-many-requests', { code: 'too_many_sign_ins', detail: 'too many have begun to sign in from this address' }), headers: { 'retry-after': String(begun.secondsLeft(network)) } }
  }
  begun.add(network, 1)
  const deviceCode = toSecret(SECRET_PREFIX.device, entropy.bytes(32))
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    const [now, userCode] = [clock.now(), newCode(entropy)]
    const made = await store.change(beginDeviceSignIn, { deviceHash: hashOf(deviceCode), userCode, askedFrom: from, claimedDevice: device, now })
    if (!made.ok) continue
    const page = `${consoleOrigin()}/device`
    return {
      reply: {
        device_code: deviceCode, user_code: shown(userCode), verification_uri: page, verification_uri_complete: `${page}#${shown(userCode)}`,
        expires_in: Math.floor((made.value - now) / 1000), interval: DEVICE_PACE / 1000,
      },
    }
  }
  throw new Error('no code is free')
}

const hashOf = (deviceCode: string): Uint8Array => new Uint8Array(createHash('sha256').update(deviceCode).digest())

/** Each letter as likely as any other: bytes that would favour some are drawn again. */
function newCode(entropy: Entropy): string {
  let code = ''
  while (code.length < CODE_LENGTH) {
    for (const byte of entropy.bytes(2 * CODE_LENGTH)) if (byte < 256 - (256 % LETTERS.length) && code.length < CODE_LENGTH) code += LETTERS[byte % LETTERS.length]!
  }
  return code
}

const shown = (code: string): string => `${code.slice(0, 4)}-${code.slice(4)}`

/** As somebody types it. */
const readCode = (text: string): string => text.toUpperCase().replaceAll(/[\s\p{Pd}]/gu, '')

async function signedInReply({ store }: DeviceRoutesNeeds, { person, signIn }: SignedIn, secret: string) {
  return store.read(async (db) => {
    const [found, made] = [(await findPerson(db, person))!, (await findSignIn(db, signIn))!]
    return { secret, sign_in: { ...signInReply(made, { caller: null, now: made.madeAt }), own: true }, person: { id: found.id, name: found.name, roles: [...await rolesOf(db, found)] } }
  })
}

const notYet = ({ state, paceMs }: { readonly state: 'waiting' | 'too_soon'; readonly paceMs: number }): ProblemAnswer => ({
  ...problem('not-yet', state === 'waiting' ? { code: 'authorization_pending', detail: 'nobody has confirmed it yet' } : { code: 'slow_down', detail: 'this was too soon: wait longer from now on' }),
  headers: { 'retry-after': String(Math.ceil(paceMs / 1000)) },
})

function redeemProblem(refusal: RedeemRefusal): ProblemAnswer {
  switch (refusal.kind) {
    case 'unknown_device': return problem('unauthenticated', { code: 'invalid_grant', detail: 'this code stands for nothing, or was used', hint: 'begin again: writ login' })
    case 'device_expired': return problem('unauthenticated', { code: 'expired_token', detail: 'nobody confirmed it in time', hint: 'begin again: writ login' })
    case 'device_denied': return problem('not-allowed', { code: 'access_denied', detail: 'whoever was asked said no' })
    default: return unreachable(refusal.kind)
  }
}

function answerProblem(refusal: DeviceAnswerRefusal): ProblemAnswer {
  switch (refusal.kind) {
    case 'no_such_code': return problem('not-found', { code: 'no_such_code', detail: 'this code stands for nothing, was used, or is too old', hint: 'compare it with the terminal; `writ login` shows another one' })
    case 'answered_already': return problem('conflict', { code: 'answered_already', detail: 'somebody has answered it' })
    case 'not_from_a_browser': return problem('not-allowed', { code: 'not_from_a_browser', detail: 'a command line lets no other one in: confirm it in a browser' })
    default: return unreachable(refusal.kind)
  }
}
