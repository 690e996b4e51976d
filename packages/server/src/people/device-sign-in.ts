import type { PersonId, SignInId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { plus, seconds, type EpochMs } from '@writ/domain/time'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { lockPerson } from '../store/people.ts'
import { insertDeviceSignIn, lockDevice, lockDeviceByCode, markDeviceAnswered, markDeviceAsked, markDeviceTaken, type DeviceSignIn } from '../store/sign-in-flows.ts'
import { findSignIn, isLive } from '../store/sign-ins.ts'
import { recordSignIn, type NewSignIn, type SignedIn } from './sign-in.ts'

/** So long may somebody take to confirm. */
export const DEVICE_SIGN_IN_LIVES = seconds(600)
/** RFC 8628 §3.2: how long the command line waits between two questions, and §3.5: how much longer each time that it does not. */
export const DEVICE_PACE = seconds(5)
export const DEVICE_SLOWER_BY = seconds(5)
const SLOWEST_PACE = seconds(60)
/** A question that was underway when the last one was answered, and a timer that rings early. */
const PACE_SLACK_MS = 500

type BeginInput = { readonly deviceHash: Uint8Array; readonly userCode: string; readonly askedFrom: string; readonly claimedDevice: string | null; readonly now: EpochMs }

/** No event: nothing is known of anybody yet. */
export const beginDeviceSignIn = change('device_sign_in.begin', async (tx: Tx, { now, ...asked }: BeginInput): Promise<Outcome<EpochMs, { readonly kind: 'code_is_taken' }>> => {
  const endsAt = plus(now, DEVICE_SIGN_IN_LIVES)
  return await insertDeviceSignIn(tx.db, { ...asked, begunAt: now, endsAt, paceMs: DEVICE_PACE }) ? ok(endsAt) : refuse({ kind: 'code_is_taken' })
})

type AnswerInput = { readonly userCode: string; readonly answer: 'allow' | 'deny'; readonly person: PersonId; readonly signIn: SignInId; readonly now: EpochMs }
export type DeviceAnswerRefusal = { readonly kind: 'no_such_code' | 'answered_already' | 'not_from_a_browser' }

/** From a browser alone: else a command line could let in the next one, and would never have to go. */
export const answerDeviceSignIn = change('device_sign_in.answer', async (tx: Tx, { userCode, answer, person, signIn, now }: AnswerInput): Promise<Outcome<null, DeviceAnswerRefusal>> => {
  const device = await lockDeviceByCode(tx, userCode)
  if (device === undefined || now >= device.endsAt) return refuse({ kind: 'no_such_code' })
  if (device.state !== 'waiting') return refuse({ kind: 'answered_already' })
  if ((await findSignIn(tx.db, signIn))?.kind !== 'browser') return refuse({ kind: 'not_from_a_browser' })
  await markDeviceAnswered(tx.db, device.deviceHash, { state: answer === 'allow' ? 'allowed' : 'denied', by: signIn, now })
  await append(tx, now, {
    type: answer === 'allow' ? 'device.allowed' : 'device.denied', actor: { kind: 'person', id: person }, facts: { person, sign_in: signIn },
    said: { asked_from: device.askedFrom, ...(device.claimedDevice === null ? {} : { device: device.claimedDevice }) },
  })
  return ok(null)
})

type RedeemInput = { readonly deviceHash: Uint8Array; readonly signIn: NewSignIn; readonly now: EpochMs }

/** RFC 8628 §3.5, as far as it is worth asking again. */
export type Redeemed = { readonly state: 'waiting' | 'too_soon'; readonly paceMs: number } | { readonly state: 'signed_in'; readonly signedIn: SignedIn }
/** `unknown_device`: nobody asked by this code, or it was redeemed. */
export type RedeemRefusal = { readonly kind: 'unknown_device' | 'device_expired' | 'device_denied' }

export const redeemDeviceSignIn = change('device_sign_in.redeem', async (tx: Tx, { deviceHash, signIn, now }: RedeemInput): Promise<Outcome<Redeemed, RedeemRefusal>> => {
  const device = await lockDevice(tx, deviceHash)
  if (device === undefined || device.state === 'taken') return refuse({ kind: 'unknown_device' })
  if (device.state === 'denied') return refuse({ kind: 'device_denied' })
  if (now >= device.endsAt) return refuse({ kind: 'device_expired' })
  if (device.state === 'waiting') return ok(await askedAgain(tx, device, now))
  const by = (await findSignIn(tx.db, device.answeredBy!))!
  // Whoever let it in was thrown out meanwhile, and so is what they let in.
  if (!isLive(by, now)) return refuse({ kind: 'device_denied' })
  const person = (await lockPerson(tx, by.person))!
  if (person.blockedAt !== null) return refuse({ kind: 'device_denied' })
  await markDeviceTaken(tx.db, deviceHash)
  await recordSignIn(tx, { person, signIn, now })
  return ok({ state: 'signed_in', signedIn: { person: person.id, signIn: signIn.id, isNew: false } })
})

async function askedAgain(tx: Tx, { deviceHash, paceMs, begunAt, askedAgainAt }: DeviceSignIn, now: EpochMs): Promise<Redeemed> {
  const isTooSoon = askedAgainAt !== null && now - askedAgainAt < paceMs - PACE_SLACK_MS
  const pace = isTooSoon ? Math.min(SLOWEST_PACE, paceMs + DEVICE_SLOWER_BY) : paceMs
  await markDeviceAsked(tx.db, deviceHash, { paceMs: pace, now: now < begunAt ? begunAt : now })
  return { state: isTooSoon ? 'too_soon' : 'waiting', paceMs: pace }
}
