import { ROLES } from '@writ/domain/person'
import { z } from 'zod'
import { endpoint } from './endpoint.ts'
import { freeText, nothing, page, reason } from './words.ts'

export const role = z.enum(ROLES)

/** A group as the organisation's provider calls it. */
const group = freeText(200)

export const person = z.object({
  id: z.string(),
  name: z.string(),
  email: z.string().nullable(),
  /** Who vouches for them: the provider's issuer; `writ` of one who is known by a passkey alone. */
  issuer: z.string(),
  groups: z.array(z.string()),
  /** What they may be now: by their groups, and given to them. */
  roles: z.array(role),
  /** Those that were given to them and not to a group. */
  given_roles: z.array(role),
  passkeys: z.number(),
  registered_at: z.string(),
  signed_in_at: z.string().nullable(),
  /** Since when nobody signs in as them; null of whoever may. */
  blocked_at: z.string().nullable(),
})
export type PersonReply = z.infer<typeof person>

export const listPeople = endpoint({
  method: 'GET', path: '/v1/people', who: 'operator', summary: 'List people', query: page, reply: z.object({ people: z.array(person), next: z.string().nullable() }), problems: ['invalid-fields'],
})
export const showPerson = endpoint({ method: 'GET', path: '/v1/people/{id}', who: 'operator', summary: 'One person', reply: person, problems: ['not-found'] })

export const giveRole = endpoint({
  method: 'POST', path: '/v1/people/{id}/roles', who: 'operator', summary: 'Give a role to one person', body: z.strictObject({ role, reason: freeText(500) }), reply: person,
  problems: ['invalid-fields', 'not-found', 'conflict', 'idempotency-key-reused'],
})
export const takeRole = endpoint({
  method: 'POST', path: '/v1/people/{id}/roles/take', who: 'operator', summary: 'Take back a role that was given to one person; the last administrator stays where nobody else could sign in',
  body: z.strictObject({ role, reason: freeText(500) }), reply: person, problems: ['invalid-fields', 'not-found', 'conflict', 'idempotency-key-reused'],
})

export const blockPerson = endpoint({
  method: 'POST', path: '/v1/people/{id}/block', who: 'operator', summary: 'Let nobody sign in as a person from now on, whatever their provider says, and end where they have signed in and the operator keys that they made; not yourself, and not the last administrator',
  body: reason, reply: person, problems: ['not-found', 'conflict', 'idempotency-key-reused'],
})
export const unblockPerson = endpoint({
  method: 'POST', path: '/v1/people/{id}/unblock', who: 'operator', summary: 'Let a person sign in again who was blocked', body: reason, reply: person, problems: ['not-found', 'conflict', 'idempotency-key-reused'],
})

export const roleRule = z.object({ group: z.string(), roles: z.array(role), set_by: z.string(), set_at: z.string() })
export type RoleRuleReply = z.infer<typeof roleRule>

export const listRoleRules = endpoint({
  method: 'GET', path: '/v1/role-rules', who: 'operator', summary: 'Which groups bring which roles', reply: z.object({ rules: z.array(roleRule) }), problems: [],
})
export const setRoleRule = endpoint({
  method: 'PUT', path: '/v1/role-rules', who: 'operator', summary: 'Say which roles a group brings, in place of all that it brought; from now on, also for those who have signed in',
  body: z.strictObject({ group, roles: z.array(role).min(1).max(ROLES.length), reason: freeText(500) }), reply: roleRule, problems: ['invalid-fields', 'idempotency-key-reused'],
})
export const removeRoleRule = endpoint({
  method: 'POST', path: '/v1/role-rules/remove', who: 'operator', summary: 'A group brings no role any more', body: z.strictObject({ group, reason: freeText(500) }), reply: nothing,
  problems: ['invalid-fields', 'not-found', 'idempotency-key-reused'],
})

export const SIGN_IN_KINDS = ['browser', 'cli'] as const
export const signIn = z.object({
  id: z.string(),
  person: z.string(),
  /** Where its secret is: in a browser's cookie, or with the command line. */
  kind: z.enum(SIGN_IN_KINDS),
  /** How the person proved to be there. */
  how: z.enum(['oidc', 'passkey', 'device']),
  /** Whether it is the one that asks. */
  own: z.boolean(),
  state: z.enum(['live', 'ended', 'revoked']),
  made_at: z.string(),
  /** When it ends unless it is used. */
  idle_until: z.string(),
  ends_at: z.string(),
  stepped_up_at: z.string().nullable(),
})
export type SignInReply = z.infer<typeof signIn>

export const listSignIns = endpoint({
  method: 'GET', path: '/v1/sign-ins', who: 'person', summary: 'Where you have signed in, newest first', reply: z.object({ sign_ins: z.array(signIn) }), problems: [],
})
export const listSignInsOf = endpoint({
  method: 'GET', path: '/v1/people/{id}/sign-ins', who: 'operator', summary: 'Where a person has signed in, newest first', reply: z.object({ sign_ins: z.array(signIn) }), problems: ['not-found'],
})
export const revokeSignIn = endpoint({
  method: 'POST', path: '/v1/sign-ins/{id}/revoke', who: 'operator', summary: 'Refuse a sign-in from now on, on every server: an own one, or anybody\'s by an administrator',
  body: reason, reply: signIn, problems: ['not-found', 'conflict'],
})
export const signOut = endpoint({ method: 'POST', path: '/v1/sign-out', who: 'person', summary: 'End this sign-in', body: nothing, reply: nothing, problems: [] })

export const passkey = z.object({
  id: z.string(),
  person: z.string(),
  name: z.string(),
  /** As the authenticator calls it, in base64url. */
  credential_id: z.string(),
  /** The event that tells of its enrolment: its receipt is what a signed approval is checked against. */
  event: z.string(),
  enrolled_at: z.string(),
  used_at: z.string().nullable(),
})
export type PasskeyReply = z.infer<typeof passkey>

const base64url = z.string().regex(/^[A-Za-z0-9_-]+$/).max(8192)
const credentialName = z.object({ type: z.literal('public-key'), id: z.string() })

/** WebAuthn Level 3 §5.1 `PublicKeyCredentialCreationOptionsJSON`, for `PublicKeyCredential.parseCreationOptionsFromJSON`. */
export const enrolmentOptions = z.object({
  rp: z.object({ id: z.string(), name: z.string() }),
  user: z.object({ id: z.string(), name: z.string(), displayName: z.string() }),
  challenge: z.string(),
  pubKeyCredParams: z.array(z.object({ type: z.literal('public-key'), alg: z.number() })),
  timeout: z.number(),
  excludeCredentials: z.array(credentialName),
  authenticatorSelection: z.object({ residentKey: z.literal('required'), requireResidentKey: z.literal(true), userVerification: z.literal('required') }),
  attestation: z.literal('none'),
})
export type EnrolmentOptions = z.infer<typeof enrolmentOptions>

/** WebAuthn Level 3 §5.1 `PublicKeyCredentialRequestOptionsJSON`. */
export const assertionOptions = z.object({
  challenge: z.string(), rpId: z.string(), timeout: z.number(), allowCredentials: z.array(credentialName), userVerification: z.literal('required'),
})
export type AssertionOptions = z.infer<typeof assertionOptions>

/** WebAuthn Level 3 §5.1 `RegistrationResponseJSON`; browsers put more into it than anybody needs. */
export const enrolmentResponse = z.looseObject({
  id: base64url, rawId: base64url, type: z.literal('public-key'),
  response: z.looseObject({ clientDataJSON: base64url, attestationObject: base64url }),
})
export type EnrolmentResponse = z.infer<typeof enrolmentResponse>

/** WebAuthn Level 3 §5.1 `AuthenticationResponseJSON`. */
export const assertionResponse = z.looseObject({
  id: base64url, rawId: base64url, type: z.literal('public-key'),
  response: z.looseObject({ clientDataJSON: base64url, authenticatorData: base64url, signature: base64url }),
})
export type AssertionResponse = z.infer<typeof assertionResponse>

const passkeyName = freeText(100).default('passkey')

export const listPasskeys = endpoint({ method: 'GET', path: '/v1/passkeys', who: 'person', summary: 'Your passkeys', reply: z.object({ passkeys: z.array(passkey) }), problems: [] })
export const listPasskeysOf = endpoint({
  method: 'GET', path: '/v1/people/{id}/passkeys', who: 'operator', summary: 'The passkeys of a person', reply: z.object({ passkeys: z.array(passkey) }), problems: ['not-found'],
})
export const beginPasskey = endpoint({
  method: 'POST', path: '/v1/passkeys/begin', who: 'person', summary: 'What to make a new passkey from; needs a passkey\'s confirmation of the last minutes, or a sign-in of the last minutes where there is none yet',
  body: nothing, reply: z.object({ options: enrolmentOptions }), problems: ['not-allowed'],
})
export const enrolPasskey = endpoint({
  method: 'POST', path: '/v1/passkeys', who: 'person', summary: 'Enrol the passkey that was made', body: z.strictObject({ name: passkeyName, response: enrolmentResponse }), reply: passkey, status: 201,
  problems: ['invalid-fields', 'not-allowed', 'already-exists'],
})
export const removePasskey = endpoint({
  method: 'POST', path: '/v1/passkeys/{id}/remove', who: 'operator', summary: 'Take no signature of a passkey from now on: of an own one, or of anybody\'s by an administrator', body: reason, reply: passkey,
  problems: ['not-found', 'conflict'],
})

export const signedIn = z.object({ person, sign_in: signIn })
export type SignedInReply = z.infer<typeof signedIn>

export const beginPasskeySignIn = endpoint({
  method: 'POST', path: '/v1/sign-in/passkey/begin', who: 'anyone', summary: 'What a passkey has to sign to sign in', body: nothing, reply: z.object({ options: assertionOptions }), problems: ['unauthenticated'],
})
/** The reply sets the cookie. */
export const signInWithPasskey = endpoint({
  method: 'POST', path: '/v1/sign-in/passkey', who: 'anyone', summary: 'Sign in with a passkey', body: z.strictObject({ response: assertionResponse }), reply: signedIn, status: 201,
  problems: ['invalid-fields', 'unauthenticated'],
})

export const beginStepUp = endpoint({
  method: 'POST', path: '/v1/step-up/begin', who: 'person', summary: 'What one of your passkeys has to sign to confirm that you are there', body: nothing, reply: z.object({ options: assertionOptions }), problems: [],
})
export const stepUp = endpoint({
  method: 'POST', path: '/v1/step-up', who: 'person', summary: 'Confirm by a passkey that you are there', body: z.strictObject({ response: assertionResponse }), reply: signIn,
  problems: ['invalid-fields', 'not-allowed'],
})

/** The code is shown in this reply and kept nowhere. */
export const invitePerson = endpoint({
  method: 'POST', path: '/v1/invitations', who: 'person', summary: 'Offer a one-time link by which one more person enrols a passkey, where no provider knows them',
  body: z.strictObject({ name: freeText(100), email: z.email().max(254).optional(), roles: z.array(role).min(1).max(ROLES.length), reason: freeText(500) }),
  reply: z.object({ code: z.string(), link: z.string(), expires_at: z.string() }), status: 201, problems: ['invalid-fields', 'not-allowed'],
})

const code = z.string().max(200)

/** The code is shown in this reply and kept nowhere. */
export const offerFirstPerson = endpoint({
  method: 'POST', path: '/v1/bootstrap/person/link', who: 'operator', summary: 'Offer the one-time link that makes the first person, an administrator, as long as nobody has come by a link', body: nothing,
  reply: z.object({ code: z.string(), link: z.string(), expires_at: z.string() }), status: 201, problems: ['conflict'],
})
export const beginPersonByLink = endpoint({
  method: 'POST', path: '/v1/bootstrap/person/begin', who: 'anyone', summary: 'What to make the passkey of a new person from, by the code of a one-time link',
  body: z.strictObject({ code, name: freeText(100) }), reply: z.object({ options: enrolmentOptions }), problems: ['invalid-fields', 'unauthenticated'],
})
/** The reply sets the cookie. With the first person every operator key dies that came from a link. */
export const registerPersonByLink = endpoint({
  method: 'POST', path: '/v1/bootstrap/person', who: 'anyone', summary: 'Trade the code of a one-time link for a person with a passkey; the link of `writ up` makes an administrator',
  body: z.strictObject({ code, name: freeText(100), response: enrolmentResponse }), reply: signedIn, status: 201, problems: ['invalid-fields', 'unauthenticated'],
})
