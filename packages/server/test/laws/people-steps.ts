import type { EventType } from '@writ/domain/event'
import type { PersonId } from '@writ/domain/id'
import type { Role } from '@writ/domain/person'
import { epochMs } from '@writ/domain/time'
import { keepSignIn } from '../../src/authenticate/sign-in.ts'
import { blockPerson, unblockPerson } from '../../src/people/block.ts'
import { invitePerson, registerByLink } from '../../src/people/by-link.ts'
import { enrolPasskey, removePasskey, stepUp } from '../../src/people/passkeys.ts'
import { giveRole, removeRoleRule, setRoleRule, takeRole } from '../../src/people/roles.ts'
import { revokeSignIn, signInByPasskey, signInPerson, signOut } from '../../src/people/sign-in.ts'
import { addOperator, offerBootstrap, redeemBootstrap } from '../../src/registry/operators.ts'
import type { StoreOfWrit } from '../store-of-writ.ts'

type Expected = { readonly tells: readonly EventType[] } | { readonly refuses: string }
type MakeStep<Step> = (of: { readonly name: string }, input: () => object, expect: Expected) => Step

const bytes = (n: number): Uint8Array => new Uint8Array(32).fill(n)

/** A life of the people of an installation, with one operator whose key came by a link, and others. */
export function* peopleSteps<Step>(writ: StoreOfWrit, step: MakeStep<Step>): Generator<Step> {
  const tells = (...types: readonly EventType[]): Expected => ({ tells: types })
  const refuses = (kind: string): Expected => ({ refuses: kind })
  const now = () => writ.now()
  let next = 100
  const fresh = () => bytes(next++)
  const newSignIn = (how: string, kind = 'browser') => ({ id: writ.newId('signIn'), secretHash: fresh(), kind, how })
  const challenge = () => ({ hash: fresh(), until: epochMs(now() + 1000) })
  const newPasskey = () => ({ id: writ.newId('passkey'), credential: { id: `credential-${next++}`, publicKey: fresh(), counter: 0 }, name: 'a phone' })
  const [maya, noor, eve] = [writ.newId('person'), writ.newId('person'), writ.newId('person')]
  const said = (by: PersonId = maya) => ({ by: { kind: 'person', id: by } as const, reason: 'the test says so', now: now() })

  const before = { codeHash: fresh(), now: now(), expiresAt: epochMs(now() + 1000), beside: { operators: 1, reason: 'one more' } }
  yield step(offerBootstrap, () => before, tells('operator.bootstrap_offered'))
  yield step(redeemBootstrap, () => ({ codeHash: before.codeHash, operator: writ.newId('operator'), name: 'soon gone', keyHash: fresh(), now: now() }), tells('operator.key_issued'))
  const link = { codeHash: fresh(), now: now(), expiresAt: epochMs(now() + 1000), beside: { operators: 1, reason: 'for people' } }
  yield step(offerBootstrap, () => link, tells('operator.bootstrap_offered'))
  const first = newPasskey()
  const coming = { codeHash: link.codeHash, person: maya, name: 'Maya', passkey: first, challenge: challenge(), signIn: newSignIn('passkey'), now: now() }
  yield step(registerByLink, () => ({ ...coming, codeHash: fresh() }), refuses('bad_code'))
  yield step(registerByLink, () => coming, tells('person.registered', 'role.given', 'passkey.enrolled', 'person.signed_in', 'operator.removed'))
  yield step(registerByLink, () => coming, refuses('replayed'))
  yield step(registerByLink, () => ({ ...coming, challenge: challenge() }), refuses('bad_code'))
  yield step(redeemBootstrap, () => ({ codeHash: link.codeHash, operator: writ.newId('operator'), name: 'late', keyHash: fresh(), now: now() }), refuses('bad_code'))
  yield step(addOperator, () => ({ operator: writ.newId('operator'), name: 'ci', keyHash: fresh(), by: said().by, now: now() }), tells('operator.key_issued'))

  const invitation = { codeHash: fresh(), name: 'Noor', email: 'noor@acme.example', roles: ['reviewer'] as readonly Role[], by: maya, reason: 'she reviews', now: now(), endsAt: epochMs(now() + 1000) }
  yield step(invitePerson, () => invitation, tells('person.invited'))
  const invited = () => ({ codeHash: invitation.codeHash, person: noor, name: 'whoever', passkey: newPasskey(), challenge: challenge(), signIn: newSignIn('passkey'), now: now() })
  yield step(registerByLink, () => ({ ...invited(), passkey: first }), refuses('already_enrolled'))
  yield step(registerByLink, invited, tells('person.registered', 'role.given', 'passkey.enrolled', 'person.signed_in'))
  yield step(registerByLink, invited, refuses('bad_code'))

  const eves = (more: object = {}) => ({ issuer: 'https://idp.example', subject: 'eve', name: 'Eve', email: null, groups: ['finance'], ...more })
  const byProvider = newSignIn('oidc')
  const arriving = (who: object, signIn = newSignIn('oidc')) => () => ({ who, newPerson: eve, signIn, now: now() })
  yield step(signInPerson, arriving(eves(), byProvider), tells('person.registered', 'person.signed_in'))
  yield step(signInPerson, arriving(eves()), tells('person.signed_in'))
  yield step(signInPerson, arriving(eves({ email: 'eve@acme.example', groups: [] })), tells('person.changed', 'person.signed_in'))
  const onCli = newSignIn('device', 'cli')
  yield step(signInPerson, arriving({ person: eve }, onCli), tells('person.signed_in'))
  yield step(signInPerson, arriving({ person: 'psn_none' }), refuses('no_such_person'))

  const using = (newCounter: number) => () => ({ use: { passkey: first.id, newCounter }, challenge: challenge(), signIn: newSignIn('passkey'), now: now() })
  yield step(signInByPasskey, using(3), tells('person.signed_in'))
  yield step(signInByPasskey, using(3), refuses('counter_went_back'))
  const once = using(4)()
  yield step(signInByPasskey, () => once, tells('person.signed_in'))
  yield step(signInByPasskey, () => once, refuses('replayed'))
  const stepping = (person: PersonId, newCounter: number) => () => ({ signIn: coming.signIn.id, person, use: { passkey: first.id, newCounter }, challenge: challenge(), now: now() })
  yield step(stepUp, stepping(maya, 5), tells('person.stepped_up'))
  yield step(stepUp, stepping(eve, 6), refuses('passkey_of_another'))
  yield step(keepSignIn, () => ({ signIn: coming.signIn.id, idleUntil: epochMs(now() + 1_801_000) }), tells())

  const second = newPasskey()
  const enrolling = (person: PersonId, signIn: string, passkey = newPasskey()) => () => ({ person, signIn, passkey, challenge: challenge(), now: now() })
  yield step(enrolPasskey, enrolling(maya, coming.signIn.id, second), tells('passkey.enrolled'))
  yield step(enrolPasskey, enrolling(maya, coming.signIn.id, second), refuses('already_enrolled'))
  yield step(enrolPasskey, enrolling(eve, byProvider.id), tells('passkey.enrolled'))
  yield step(enrolPasskey, enrolling(eve, onCli.id), refuses('step_up_needed'))
  const losing = (passkey: string, of: PersonId | null) => () => ({ passkey, of, ...said() })
  yield step(removePasskey, losing(second.id, eve), refuses('no_such_passkey'))
  yield step(removePasskey, losing(second.id, maya), tells('passkey.removed'))
  yield step(removePasskey, losing(second.id, null), refuses('already_removed'))
  yield step(signInByPasskey, () => ({ ...using(1)(), use: { passkey: second.id, newCounter: 1 } }), refuses('passkey_removed'))

  const role = (person: string, which: Role) => () => ({ person, role: which, ...said() })
  yield step(giveRole, role(eve, 'auditor'), tells('role.given'))
  yield step(giveRole, role(eve, 'auditor'), refuses('has_it_already'))
  yield step(giveRole, role('psn_none', 'auditor'), refuses('no_such_person'))
  yield step(takeRole, role(eve, 'auditor'), tells('role.taken'))
  yield step(takeRole, role(eve, 'auditor'), refuses('does_not_have_it'))
  yield step(setRoleRule, () => ({ group: 'finance', roles: ['viewer'], ...said() }), tells('role_rule.set'))
  yield step(setRoleRule, () => ({ group: 'finance', roles: ['auditor'], ...said() }), tells('role_rule.set'))
  yield step(removeRoleRule, () => ({ group: 'finance', ...said() }), tells('role_rule.removed'))
  yield step(removeRoleRule, () => ({ group: 'finance', ...said() }), refuses('no_such_rule'))

  const ending = (of: PersonId | null) => () => ({ signIn: onCli.id, of, ...said() })
  yield step(revokeSignIn, ending(noor), refuses('no_such_sign_in'))
  yield step(revokeSignIn, ending(null), tells('sign_in.revoked'))
  yield step(revokeSignIn, ending(null), refuses('sign_in_is_over'))
  yield step(signOut, () => ({ signIn: byProvider.id, now: now() }), tells('person.signed_out'))
  yield step(signOut, () => ({ signIn: byProvider.id, now: now() }), tells())

  const about = (person: string, by: PersonId = maya) => () => ({ person, ...said(by) })
  yield step(blockPerson, about('psn_none'), refuses('no_such_person'))
  yield step(blockPerson, about(maya), refuses('yourself'))
  yield step(unblockPerson, about(eve), refuses('not_blocked'))
  yield step(addOperator, () => ({ operator: writ.newId('operator'), name: 'eve keeps it', keyHash: fresh(), by: said(eve).by, now: now() }), tells('operator.key_issued'))
  yield step(blockPerson, about(eve), tells('person.blocked', 'sign_in.revoked', 'sign_in.revoked', 'operator.removed'))
  yield step(blockPerson, about(eve), refuses('blocked_already'))
  yield step(signInPerson, arriving(eves({ groups: ['finance', 'more'] })), refuses('blocked'))
  yield step(signInPerson, arriving({ person: eve }), refuses('blocked'))
  yield step(blockPerson, about(noor), tells('person.blocked', 'sign_in.revoked'))
  yield step(unblockPerson, about(eve), tells('person.unblocked'))
  yield step(unblockPerson, about('psn_none'), refuses('no_such_person'))
  yield step(signInPerson, arriving(eves({ groups: [] })), tells('person.changed', 'person.signed_in'))
}
