import { createHash } from 'node:crypto'
import * as contract from '@writ/contract/people'
import { mintId, type PasskeyId, type PersonId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { isSecret, SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import { milliseconds, plus, toIso } from '@writ/domain/time'
import type { PasskeyChallenges, ChallengeUse } from '../../authenticate/passkey-challenge.ts'
import { assertionOptions, claimedChallenge, enrolmentOptions, verifyPasskeyAssertion, verifyPasskeyEnrolment, type PasskeyCredential, type RelyingParty } from '../../authenticate/passkey.ts'
import type { RefusedOften } from '../../authenticate/refused-often.ts'
import type { PasskeyUse } from '../../authenticate/use-passkey.ts'
import { INVITATION_LIVES, invitePerson, isCodeOpen, registerByLink } from '../../people/by-link.ts'
import { enrolPasskey, mayEnrolNow, stepUp } from '../../people/passkeys.ts'
import { newSignIn, signInByPasskey, type SignedIn } from '../../people/sign-in.ts'
import type { Clock } from '../../platform/clock.ts'
import type { Entropy } from '../../platform/entropy.ts'
import type { Store } from '../../record/tx.ts'
import { BOOTSTRAP_LIVES_MS, offerBootstrap } from '../../registry/operators.ts'
import { countOperators } from '../../store/installation.ts'
import { findPasskey, findPasskeyByCredential, listPasskeys, type Passkey } from '../../store/passkeys.ts'
import { findPerson, isAnyPersonByLink } from '../../store/people.ts'
import { findSignIn } from '../../store/sign-ins.ts'
import { actorOf, route, type Answer, type Route } from '../call.ts'
import { problem, type ProblemAnswer } from '../problem.ts'
import { signInCookie } from '../sign-in-cookie.ts'
import { passkeyReply, peopleReplies, signInReply } from './people.ts'

export type SignInRoutesNeeds = {
  readonly store: Store
  readonly clock: Clock
  readonly entropy: Entropy
  readonly challenges: PasskeyChallenges
  /** Where browsers meet us. */
  readonly party: () => RelyingParty
  /** Codes and signatures that are not good count as any other evidence. */
  readonly often: RefusedOften
  /** Why a passkey was not taken is for the log alone. */
  readonly tellRefused: (refusal: { readonly kind: string }, traceId: string) => void
}

/** One answer for every reason there is. */
const BAD_PASSKEY = problem('unauthenticated', { code: 'bad_passkey', detail: 'nobody can be signed in by this', hint: 'begin again, with a passkey that was enrolled here' })
const NOT_CONFIRMED = problem('not-allowed', { code: 'not_confirmed', detail: 'this does not confirm that you are there', hint: 'begin again, with one of your own passkeys' })
const STEP_UP_NEEDED = problem('not-allowed', { code: 'step_up_needed', detail: 'this takes a passkey\'s confirmation of the last minutes, or a fresh sign-in where there is no passkey yet', hint: 'confirm with your passkey, and ask again' })

export const badCode = (): ProblemAnswer => problem('unauthenticated', { code: 'bad_bootstrap_code', detail: 'the code is unknown, used or too old', hint: 'restart `writ up`: it offers a new one as long as there is no operator and no administrator, and with --new-operator-link also later' })

export function signInRoutes(needs: SignInRoutesNeeds): readonly Route[] {
  return [...passkeyRoutes(needs), ...ownPasskeyRoutes(needs), ...linkRoutes(needs)]
}

function passkeyRoutes(needs: SignInRoutesNeeds): readonly Route[] {
  const { store, clock, challenges, party, often } = needs
  return [
    // It tells nothing and writes nothing: whoever proved themselves from here before has to get this far, however many guess here.
    route(contract.beginPasskeySignIn, async () => ({ reply: { options: assertionOptions({ challenge: challenges.make('sign in'), rpId: party().rpId, of: [] }) } })),
    route(contract.signInWithPasskey, async ({ body, from, traceId }) => {
      const claim = `passkey ${digestOf(body.response.id)}`
      if (often.isOver(from, claim)) return BAD_PASSKEY
      const found = await assertedBy(needs, { response: body.response, purpose: 'sign in' })
      const { secret, signIn } = newSignIn(needs, { kind: 'browser', how: 'passkey' })
      const done = found.ok ? await store.change(signInByPasskey, { ...found.value, signIn, now: clock.now() }) : found
      if (!done.ok) {
        often.refused(from, claim)
        needs.tellRefused(done.refusal, traceId)
        return BAD_PASSKEY
      }
      often.proved(from, claim)
      return { reply: await signedInReply(needs, done.value), headers: signInCookie(secret) }
    }),
    route(contract.beginStepUp, async ({ caller }) => {
      const known = (await store.read((db) => listPasskeys(db, caller.person))).map((one) => one.credentialId)
      return { reply: { options: assertionOptions({ challenge: challenges.make(`step up ${caller.signIn}`), rpId: party().rpId, of: known }) } }
    }),
    route(contract.stepUp, async ({ caller, body, from, traceId }) => {
      const claim = `step up ${caller.person}`
      if (often.isOver(from, claim)) return NOT_CONFIRMED
      const found = await assertedBy(needs, { response: body.response, purpose: `step up ${caller.signIn}` })
      const now = clock.now()
      const done = found.ok ? await store.change(stepUp, { ...found.value, signIn: caller.signIn, person: caller.person, now }) : found
      if (!done.ok) {
        often.refused(from, claim)
        needs.tellRefused(done.refusal, traceId)
        return NOT_CONFIRMED
      }
      return { reply: signInReply((await store.read((db) => findSignIn(db, done.value)))!, { caller, now }) }
    }),
  ]
}

function ownPasskeyRoutes(needs: SignInRoutesNeeds): readonly Route[] {
  const { store, clock, entropy, challenges, party } = needs
  return [
    route(contract.beginPasskey, async ({ caller }) => {
      if (!(await store.read((db) => mayEnrolNow(db, caller, clock.now())))) return STEP_UP_NEEDED
      const known = (await store.read((db) => listPasskeys(db, caller.person))).map((one) => one.credentialId)
      return { reply: { options: enrolmentOptions({ challenge: challenges.make(`enrol ${caller.signIn}`), rpId: party().rpId, handle: Buffer.from(caller.person), name: caller.name, known }) } }
    }),
    route(contract.enrolPasskey, async ({ caller, body, traceId }) => {
      const made = await madeHere(needs, { response: body.response, purpose: `enrol ${caller.signIn}` })
      const now = clock.now()
      const passkey: PasskeyId = mintId('passkey', now, entropy.bytes(10))
      const done = made.ok
        ? await store.change(enrolPasskey, { person: caller.person, signIn: caller.signIn, passkey: { id: passkey, credential: made.value.credential, name: body.name }, challenge: made.value.challenge, now })
        : made
      if (done.ok) return { reply: passkeyReply((await store.read((db) => findPasskey(db, done.value)))!) }
      needs.tellRefused(done.refusal, traceId)
      if (done.refusal.kind === 'step_up_needed') return STEP_UP_NEEDED
      return done.refusal.kind === 'already_enrolled' ? problem('already-exists', { code: 'already_enrolled', detail: 'this passkey is enrolled already' }) : NOT_CONFIRMED
    }),
  ]
}

function linkRoutes(needs: SignInRoutesNeeds): readonly Route[] {
  const { store, clock, entropy, challenges, party, often } = needs
  return [
    route(contract.invitePerson, async ({ caller, body }) => {
      const now = clock.now()
      if (caller.steppedUpAt === null || !(await store.read((db) => mayEnrolNow(db, caller, now)))) return STEP_UP_NEEDED
      const code = toSecret(SECRET_PREFIX.bootstrap, entropy.bytes(32))
      const endsAt = plus(now, INVITATION_LIVES)
      await store.change(invitePerson, { codeHash: sha256(code), name: body.name, email: body.email ?? null, roles: body.roles, by: caller.person, reason: body.reason, now, endsAt })
      return { reply: { code, link: `${party().origin}/first#${code}`, expires_at: toIso(endsAt) } }
    }),
    route(contract.offerFirstPerson, async ({ caller }): Promise<Answer<typeof contract.offerFirstPerson>> => {
      const [isAnybody, operators] = await store.read(async (db) => [await isAnyPersonByLink(db), await countOperators(db)] as const)
      if (isAnybody) return problem('conflict', { code: 'not_the_first', detail: 'somebody came by a link already', hint: 'let an administrator invite you: writ people invite' })
      const now = clock.now()
      const code = toSecret(SECRET_PREFIX.bootstrap, entropy.bytes(32))
      const expiresAt = plus(now, milliseconds(BOOTSTRAP_LIVES_MS))
      await store.change(offerBootstrap, { codeHash: sha256(code), now, expiresAt, beside: { operators, reason: 'for the first person' }, by: actorOf(caller) })
      return { reply: { code, link: `${party().origin}/first#${code}`, expires_at: toIso(expiresAt) } }
    }),
    route(contract.beginPersonByLink, async ({ body, from }) => {
      if (often.isOver(from, null)) return badCode()
      if (!isLinkCode(body.code) || !(await store.read((db) => isCodeOpen(db, sha256(body.code), clock.now())))) {
        often.refused(from, null)
        return badCode()
      }
      return { reply: { options: enrolmentOptions({ challenge: challenges.make(`link ${digestOf(body.code)}`), rpId: party().rpId, handle: entropy.bytes(16), name: body.name, known: [] }) } }
    }),
    route(contract.registerPersonByLink, async ({ body, from, traceId }) => {
      if (often.isOver(from, null)) return badCode()
      const made = isLinkCode(body.code) ? await madeHere(needs, { response: body.response, purpose: `link ${digestOf(body.code)}` }) : refuse({ kind: 'bad_code' as const })
      const now = clock.now()
      const { secret, signIn, newPerson } = newSignIn(needs, { kind: 'browser', how: 'passkey' })
      const done = made.ok ? await store.change(registerByLink, {
        codeHash: sha256(body.code), person: newPerson, name: body.name, challenge: made.value.challenge, signIn, now,
        passkey: { id: mintId('passkey', now, entropy.bytes(10)), credential: made.value.credential, name: 'passkey' },
      }) : made
      if (!done.ok) {
        often.refused(from, null)
        needs.tellRefused(done.refusal, traceId)
        return badCode()
      }
      return { reply: await signedInReply(needs, done.value), headers: signInCookie(secret) }
    }),
  ]
}

const isLinkCode = (code: string): boolean => isSecret(code) && code.startsWith(`${SECRET_PREFIX.bootstrap}_`)

type Asserted = { readonly use: PasskeyUse; readonly challenge: ChallengeUse }
type BadPasskey = { readonly kind: 'bad_passkey' | 'bad_challenge' | 'unknown_passkey' }

/** Which passkey has signed, and what is to be used up with that. */
async function assertedBy(
  { store, challenges, party }: SignInRoutesNeeds, { response, purpose }: { readonly response: contract.AssertionResponse; readonly purpose: string },
): Promise<Outcome<Asserted, BadPasskey>> {
  const claimed = claimedChallenge(response)
  const challenge = claimed === undefined ? undefined : challenges.check(purpose, claimed)
  if (claimed === undefined || challenge === undefined) return refuse({ kind: 'bad_challenge' })
  const passkey: Passkey | undefined = await store.read((db) => findPasskeyByCredential(db, response.id))
  if (passkey === undefined) return refuse({ kind: 'unknown_passkey' })
  const verified = await verifyPasskeyAssertion({
    ...party(), credential: { id: passkey.credentialId, publicKey: passkey.publicKey, counter: passkey.counter }, expectedChallenge: Buffer.from(claimed, 'base64url'), response, requireUserVerification: true,
  })
  return verified.ok ? ok({ use: { passkey: passkey.id, newCounter: verified.value.newCounter }, challenge }) : verified
}

type Made = { readonly credential: PasskeyCredential; readonly challenge: ChallengeUse }

async function madeHere(
  { challenges, party }: SignInRoutesNeeds, { response, purpose }: { readonly response: contract.EnrolmentResponse; readonly purpose: string },
): Promise<Outcome<Made, BadPasskey>> {
  const claimed = claimedChallenge(response)
  const challenge = claimed === undefined ? undefined : challenges.check(purpose, claimed)
  if (claimed === undefined || challenge === undefined) return refuse({ kind: 'bad_challenge' })
  const verified = await verifyPasskeyEnrolment({ ...party(), expectedChallenge: Buffer.from(claimed, 'base64url'), response })
  return verified.ok ? ok({ credential: verified.value, challenge }) : verified
}

async function signedInReply({ store, clock }: SignInRoutesNeeds, { person, signIn }: Pick<SignedIn, 'person' | 'signIn'>): Promise<contract.SignedInReply> {
  return store.read(async (db) => {
    const [found, made] = [(await findPerson(db, person satisfies PersonId))!, (await findSignIn(db, signIn))!]
    const [reply] = await peopleReplies(db, [found])
    return { person: reply!, sign_in: { ...signInReply(made, { caller: null, now: clock.now() }), own: true } }
  })
}

const sha256 = (text: string): Uint8Array => new Uint8Array(createHash('sha256').update(text).digest())
const digestOf = (text: string): string => createHash('sha256').update(text).digest('base64url')
