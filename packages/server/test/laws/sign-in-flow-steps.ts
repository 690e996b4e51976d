import type { EventType } from '@writ/domain/event'
import { epochMs } from '@writ/domain/time'
import { answerDeviceSignIn, beginDeviceSignIn, redeemDeviceSignIn } from '../../src/people/device-sign-in.ts'
import { beginProviderSignIn, takeProviderSignInUp } from '../../src/people/provider-sign-in.ts'
import { signInPerson } from '../../src/people/sign-in.ts'
import type { StoreOfWrit } from '../store-of-writ.ts'

type Expected = { readonly tells: readonly EventType[] } | { readonly refuses: string }
type MakeStep<Step> = (of: { readonly name: string }, input: () => object, expect: Expected) => Step

const bytes = (n: number): Uint8Array => new Uint8Array(32).fill(n)

/** A browser that goes to the provider and back, and command lines that wait to be let in. */
export function* signInFlowSteps<Step>(writ: StoreOfWrit, step: MakeStep<Step>): Generator<Step> {
  const tells = (...types: readonly EventType[]): Expected => ({ tells: types })
  const refuses = (kind: string): Expected => ({ refuses: kind })
  const now = () => writ.now()
  const newSignIn = (secret: number, kind: string) => ({ id: writ.newId('signIn'), secretHash: bytes(secret), kind, how: kind === 'cli' ? 'device' : 'oidc' })
  const going = () => ({ stateHash: bytes(1), browserHash: bytes(2), now: now() })
  yield step(beginProviderSignIn, () => ({ ...going(), returnTo: '/' }), tells())
  yield step(takeProviderSignInUp, () => ({ ...going(), browserHash: bytes(3) }), refuses('unknown_attempt'))
  for (const expected of [tells(), refuses('unknown_attempt')]) yield step(takeProviderSignInUp, going, expected)

  const [person, own] = [writ.newId('person'), newSignIn(201, 'browser')]
  const who = { issuer: 'https://flows.example', subject: 'lee', name: 'Lee', email: null, groups: [] }
  yield step(signInPerson, () => ({ who, newPerson: person, signIn: own, now: now() }), tells('person.registered', 'person.signed_in'))
  const asking = (device: number, userCode: string) => () => ({ deviceHash: bytes(device), userCode, askedFrom: '192.0.2.1', claimedDevice: 'lee@laptop', now: now() })
  const answering = (userCode: string, answer: string, signIn = own.id) => () => ({ userCode, answer, person, signIn, now: now() })
  const redeeming = (device: number, signIn = newSignIn(202, 'cli')) => () => ({ deviceHash: bytes(device), signIn, now: now() })
  yield step(beginDeviceSignIn, asking(1, 'BBBBBBBB'), tells())
  yield step(beginDeviceSignIn, asking(2, 'BBBBBBBB'), refuses('code_is_taken'))
  yield step(redeemDeviceSignIn, redeeming(2), refuses('unknown_device'))
  for (const _ of ['waits', 'is in a hurry']) yield step(redeemDeviceSignIn, redeeming(1), tells())
  yield step(answerDeviceSignIn, answering('CCCCCCCC', 'allow'), refuses('no_such_code'))
  yield step(answerDeviceSignIn, answering('BBBBBBBB', 'allow', writ.newId('signIn')), refuses('not_from_a_browser'))
  yield step(answerDeviceSignIn, answering('BBBBBBBB', 'allow'), tells('device.allowed'))
  yield step(answerDeviceSignIn, answering('BBBBBBBB', 'deny'), refuses('answered_already'))
  for (const expected of [tells('person.signed_in'), refuses('unknown_device')]) yield step(redeemDeviceSignIn, redeeming(1), expected)
  yield step(beginDeviceSignIn, asking(3, 'DDDDDDDD'), tells())
  yield step(answerDeviceSignIn, answering('DDDDDDDD', 'deny'), tells('device.denied'))
  yield step(redeemDeviceSignIn, redeeming(3), refuses('device_denied'))
  yield step(beginDeviceSignIn, asking(4, 'FFFFFFFF'), tells())
  yield step(redeemDeviceSignIn, () => ({ ...redeeming(4)(), now: epochMs(now() + 600_000) }), refuses('device_expired'))
}
