import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import type { Human } from '@writ/domain/approval'
import type { ApprovalId, DecisionId, IdentityId, LeaseId, PasskeyId, ServerInstanceId, TaskId } from '@writ/domain/id'
import type { Owner } from '@writ/domain/owner'
import { plus, seconds } from '@writ/domain/time'
import { DEFAULT_BUNDLE } from '@writ/policy/defaults'
import { pinTools } from '@writ/policy/pin-tools'
import { settle, type AskedChoice } from '../../src/approvals/choose.ts'
import { requestApproval } from '../../src/approvals/request.ts'
import { approveApproval, type ApproveInput, type GivenSignature, type Voter } from '../../src/approvals/vote.ts'
import { evaluate } from '../../src/evaluate/evaluate.ts'
import type { Continues } from '../../src/decide/continued.ts'
import type { Decided } from '../../src/decide/record-decision.ts'
import { enrolPasskey } from '../../src/people/passkeys.ts'
import { applyPolicies } from '../../src/policies/apply.ts'
import { checkFiles, type CheckedFiles } from '../../src/policies/check.ts'
import { sealerOf } from '../../src/keys/seal.ts'
import { hostEntropy } from '../../src/platform/entropy.ts'
import { findRoutes } from '../../src/store/approval-votes.ts'
import { findApproval, type Approval } from '../../src/store/approvals.ts'
import { findTask } from '../../src/store/tasks.ts'
import { openTask } from '../../src/tasks/open-task.ts'
import { beginInstance } from '../../src/tools/instances.ts'
import { addIdentity, done, OPERATOR } from '../laws/estate.ts'
import { definitionOf, hashOf } from '../laws/tool-steps.ts'
import type { StoreOfWrit } from '../store-of-writ.ts'

const REFUND = definitionOf('refund', 'Pays money back.')
export const PIN = hashOf(REFUND)

const ASK_FIRST = `@id("refunds-are-approved")
forbid (principal, action in Writ::Action::"call", resource == Writ::Tool::"shop/refund")
unless { context.approved };
`

/** The policies that ship, with the tools of a server that pays money back: what it writes needs a person's answer. */
export function refundPolicies(more: { readonly pin?: string; readonly effect?: 'write' | 'external'; readonly reversible?: boolean; readonly extra?: Readonly<Record<string, string>> } = {}): CheckedFiles {
  const input = { type: 'object', properties: { amount: { type: 'integer' }, order: { type: 'string' } } }
  const text = pinTools(undefined, [{
    server: 'shop', name: 'refund', effect: more.effect ?? 'write', reversible: more.reversible ?? true, labels: ['payments'], trust: null, pin: more.pin ?? PIN, public: ['amount'], description: null, input,
  }])
  const checked = text.ok ? checkFiles({ ...DEFAULT_BUNDLE, 'tools.json': text.value, 'refunds.cedar': ASK_FIRST, ...more.extra }) : text
  return checked.ok ? checked.value : assert.fail(JSON.stringify(checked.refusal))
}

export type Stage = { readonly identity: IdentityId; readonly task: TaskId; readonly instance: ServerInstanceId }

export type StageOrder = { readonly owner?: string; readonly onBehalfOf?: { readonly issuer: string; readonly subject: string }; readonly parent?: Stage; readonly budget?: number; /** In seconds. */ readonly lasts?: number }

export const applyRefund = (writ: StoreOfWrit, more: Parameters<typeof refundPolicies>[0] = {}) =>
  done(writ.store.change(applyPolicies, { files: refundPolicies(more), expected: null, reason: 'looked at', by: OPERATOR, now: writ.now() }))

const AUTHORITY = [{ type: 'mcp', resource: 'shop', action: 'refund', limits: {} }]

/** A task of an agent that may ask for refunds. */
export async function stageOf(writ: StoreOfWrit, order: StageOrder = {}): Promise<Stage> {
  const [identity, instance] = [await addIdentity(writ, { authority: AUTHORITY, technicalOwner: (order.owner ?? 'person:li@acme.example') as Owner }), writ.newId('serverInstance')]
  await done(writ.store.change(beginInstance, { instance, address: null, now: writ.now() }))
  return taskOf(writ, { identity, instance }, order)
}

/** One more task of it. */
export async function taskOf(writ: StoreOfWrit, { identity, instance }: Omit<Stage, 'task'>, { onBehalfOf, parent, budget = 200, lasts = 600 }: StageOrder = {}): Promise<Stage> {
  const task = writ.newId('task')
  const asked = { authority: AUTHORITY, length: seconds(lasts), budgetCalls: budget, idleTimeout: seconds(lasts), heartbeat: seconds(lasts), onBehalfOf: onBehalfOf ?? null }
  const holder = parent === undefined ? { holder: { workload: 'pod-1', openedBy: null, evidence: 'x509', issuer: 'acme' } as never } : {}
  await done(writ.store.change(openTask, { id: task, identity, parent: parent?.task ?? null, purpose: 'gives refunds', asked, now: writ.now(), ...holder }))
  return { identity, task, instance }
}

export type CallMore = { readonly arguments?: string; readonly claimed?: string; readonly listed?: string; readonly workload?: string | null; readonly task?: TaskId; readonly resource?: string; /** Whoever asks carries it out: not the gateway. */ readonly outside?: true; readonly lease?: LeaseId; readonly continues?: Continues }

export const ARGUMENTS = '{"amount":9007199254740991,"order":"551"}'

/** Tries the call, as the gateway does. */
export async function attempt(writ: StoreOfWrit, { identity, task, instance }: Stage, more: CallMore = {}): Promise<Decided> {
  writ.clock.advance(1)
  const question = {
    id: writ.newId('decision'), task: more.task ?? task, action: 'call', arguments: more.arguments ?? ARGUMENTS, claimed: more.claimed ?? '{}', subject: { type: 'agent', id: identity, properties: null },
    resource: { type: 'tool', id: more.resource ?? 'shop/refund', properties: null },
    ...(more.outside ? {} : { atGateway: { kind: 'call', instance, listed: more.listed ?? PIN, ...(more.continues === undefined ? {} : { continues: more.continues }) } as const }),
  }
  const input = { asked: [question], stopAt: 'never' as const, by: { kind: 'identity' as const, id: identity, lease: more.lease ?? null, workload: more.workload ?? null }, uses: [], traceId: 'a test', now: writ.now() }
  return (await done(writ.store.change(evaluate, input)))[0]!
}

export const tryRequest = (writ: StoreOfWrit, { identity }: Pick<Stage, 'identity'>, decision: DecisionId, more: object = {}) => writ.store.change(requestApproval, {
  id: writ.newId('approval'), decision, by: identity, within: null, lease: null, workload: null, intent: 'the parcel was lost', isExplicit: false, now: writ.now(), ...more,
})

/** A call that was denied, and the request for it. */
export async function requested(writ: StoreOfWrit, stage: Stage, more: CallMore = {}): Promise<ApprovalId> {
  const decided = await attempt(writ, stage, more)
  assert.deepEqual([decided.answer, decided.approvable], ['deny', true], decided.errors.join())
  return (await done(tryRequest(writ, stage, decided.id, more.workload === undefined ? {} : { workload: more.workload }))).approval.id
}

export const shownOf = async (writ: StoreOfWrit, id: ApprovalId): Promise<Approval> => (await writ.store.read((db) => findApproval(db, id)))!

export type TestPerson = Voter & { readonly sign: (envelopeSha256: string) => GivenSignature }

let people = 0

/** Somebody who has signed in and has a passkey. */
export async function personOf(writ: StoreOfWrit, more: Partial<Human> & { readonly name?: string } = {}): Promise<TestPerson> {
  const n = ++people
  const [id, signIn, passkey] = [writ.newId('person'), writ.newId('signIn'), writ.newId('passkey')]
  const person = { person: id, name: `person ${n}`, email: `p${n}@acme.example`, issuer: 'https://idp.example', subject: `s${n}`, groups: ['payments'], roles: ['reviewer'], ...more } as Voter
  const now = writ.now()
  // One whom the provider gives another name is somebody else to the store.
  await writ.sql('insert into person (id, issuer, subject, name, email, group_names, registered_at, signed_in_at) values ($1, $2, $3, $4, $5, $6, $7, $8)',
    [id, person.issuer ?? 'writ', more.subject === undefined ? person.subject ?? id : `${person.subject} ${n}`, person.name, person.email, JSON.stringify(person.groups), now, now])
  await writ.sql('insert into sign_in (id, person_id, secret_hash, kind, how, made_at, idle_until, ends_at) values ($1, $2, $3, $4, $5, $6, $7, $8)',
    [signIn, id, createHash('sha256').update(signIn).digest(), 'browser', 'oidc', now, plus(now, seconds(600)), plus(now, seconds(6000))])
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  await done(writ.store.change(enrolPasskey, {
    person: id, signIn, passkey: { id: passkey, credential: { id: `cred-${passkey}`, publicKey: coseOf(publicKey), counter: 0 }, name: 'a key' },
    challenge: { hash: createHash('sha256').update(passkey).digest(), until: plus(now, seconds(60)) }, now,
  }))
  return { ...person, sign: (envelope) => signatureOf(privateKey, passkey, envelope) }
}

/** RFC 9052 §7: a public key of P-256, as an authenticator writes it. */
export function coseOf(key: KeyObject): Uint8Array {
  const { x, y } = key.export({ format: 'jwk' }) as { readonly x: string; readonly y: string }
  return Buffer.concat([Buffer.from([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]), Buffer.from(x, 'base64url'), Buffer.from([0x22, 0x58, 0x20]), Buffer.from(y, 'base64url')])
}

export function signatureOf(key: KeyObject, passkey: PasskeyId, envelopeSha256: string, flags = 0x05): GivenSignature {
  const clientData = Buffer.from(JSON.stringify({ type: 'webauthn.get', challenge: Buffer.from(envelopeSha256, 'hex').toString('base64url'), origin: 'http://localhost' }))
  const authenticatorData = Buffer.concat([createHash('sha256').update('localhost').digest(), Buffer.from([flags, 0, 0, 0, 0])])
  const signature = sign('sha256', Buffer.concat([authenticatorData, createHash('sha256').update(clientData).digest()]), key)
  const response = { clientDataJSON: clientData.toString('base64url'), authenticatorData: authenticatorData.toString('base64url'), signature: signature.toString('base64url') }
  return { passkey, newCounter: 0, assertion: JSON.stringify({ id: `cred-${passkey}`, rawId: `cred-${passkey}`, type: 'public-key', response }) }
}

/** What a yes to this choice would be an approval of, as the card shows it. */
export async function previewed(writ: StoreOfWrit, id: ApprovalId, choice: AskedChoice = { scope: 'once' }) {
  const approval = await shownOf(writ, id)
  const task = (await writ.store.read((db) => findTask(db, approval.task)))!
  const { routes } = await writ.store.read(findRoutes)
  return settle(approval, choice, { questions: sealerOf(writ.keys.forChanges.question, hostEntropy), deadline: task.deadline, routes, identityClass: 'autonomous', now: writ.now() })
}

/** A yes to what the card shows. */
export async function approve(writ: StoreOfWrit, id: ApprovalId, voter: TestPerson, more: Partial<ApproveInput> & { readonly isSigned?: boolean } = {}) {
  const { isSigned = false, ...rest } = more
  const choice = more.choice ?? { scope: 'once' as const }
  const shown = await previewed(writ, id, choice)
  const envelopeSha256 = shown.ok ? shown.value.envelopeSha256 : '0'.repeat(64)
  const { sign: signer, ...who } = voter
  return writ.store.change(approveApproval, { id, voter: who, choice, envelopeSha256, reason: 'checked with the carrier', signature: isSigned ? signer(envelopeSha256) : null, now: writ.now(), ...rest })
}

export const stateOf = async (writ: StoreOfWrit, id: ApprovalId) => (await shownOf(writ, id)).state
