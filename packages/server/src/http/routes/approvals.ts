import * as contract from '@writ/contract/approvals'
import type { AssertionResponse } from '@writ/contract/people'
import type { ApprovalId } from '@writ/domain/id'
import { ok, refuse, unreachable, type Outcome } from '@writ/domain/outcome'
import { epochMs, toIso } from '@writ/domain/time'
import { verifyPasskeyAssertion, type RelyingParty } from '../../authenticate/passkey.ts'
import { cancelApproval } from '../../approvals/end.ts'
import { cardOf, habitOf, humanOf, mayAnswer, type Looker } from '../../approvals/card.ts'
import { settle, type AskedChoice, type ChoiceRefusal, type Settled } from '../../approvals/choose.ts'
import { setApprovalRoutes } from '../../approvals/routes.ts'
import { allowed, whoCanDecide } from '../../approvals/say.ts'
import { approveApproval, denyApproval, type GivenSignature, type VoteRefusal, type Voter } from '../../approvals/vote.ts'
import type { ApprovalWaiters } from '../../approvals/waiting.ts'
import type { Sealer } from '../../keys/seal.ts'
import type { Clock } from '../../platform/clock.ts'
import type { PoliciesAside } from '../../policies/aside.ts'
import { unexplained } from '../../policies/explain-decision.ts'
import type { Db, Store } from '../../record/tx.ts'
import { findRoutes, listVotes } from '../../store/approval-votes.ts'
import { countAllWaiting, findApproval, listApprovals, type Approval, type ApprovalPage } from '../../store/approvals.ts'
import { findIdentity } from '../../store/identities.ts'
import { findPasskeyByCredential, listPasskeys } from '../../store/passkeys.ts'
import { findTask } from '../../store/tasks.ts'
import { actorOf, isOf, route, type HumanCaller, type PersonAtDoor, type Route } from '../call.ts'
import { badField, problem, type ProblemAnswer } from '../problem.ts'
import { approvalReply, cardReply, habitReply, ROUTES_DAMAGED, routesReply, WHY_NOT } from './approval-replies.ts'

export type ApprovalRoutesNeeds = {
  readonly store: Store
  readonly clock: Clock
  /** Opens what was asked for. */
  readonly questions: Pick<Sealer, 'unseal'>
  readonly aside: Pick<PoliciesAside, 'explain'>
  readonly waiters: Pick<ApprovalWaiters, 'wake'>
  /** Where browsers meet us. */
  readonly party: () => RelyingParty
}

const NO_APPROVAL = problem('not-found', { code: 'approval_not_found', detail: 'there is no such request, or it is not yours' })
const BAD_CURSOR = badField('cursor', 'is not one of ours')

export function approvalRoutes(needs: ApprovalRoutesNeeds): readonly Route[] {
  const { store, clock } = needs
  const visible = async (caller: HumanCaller, id: string): Promise<Approval | undefined> => {
    const approval = await store.read((db) => findApproval(db, id))
    return approval !== undefined && isOf(caller, approval) ? approval : undefined
  }
  const shown = async (id: string, looker: Looker): Promise<contract.ApprovalReply> => store.read((db) => replyIn(db, id, { looker, now: clock.now() }))
  return [
    route(contract.listApprovals, async ({ caller, query }) => {
      const after = query.cursor === undefined ? undefined : cursorIn(query.cursor)
      if (query.cursor !== undefined && after === undefined) return BAD_CURSOR
      return { reply: await listed(needs, caller, { query, after }) }
    }),
    route(contract.showApproval, async ({ caller, parameters }) => {
      const approval = await visible(caller, parameters.id!)
      return approval === undefined ? NO_APPROVAL : { reply: await shownCard(needs, caller, approval) }
    }),
    route(contract.previewApproval, async ({ caller, parameters, body }) => {
      const approval = await visible(caller, parameters.id!)
      if (approval === undefined) return NO_APPROVAL
      if (approval.state !== 'waiting') return over(approval)
      const chosen = await settled(needs, approval, choiceIn(body.choice))
      if (!chosen.ok) return badChoice(chosen.refusal)
      const { envelope, envelopeSha256, choice, text } = chosen.value
      return { reply: { envelope, envelope_sha256: envelopeSha256, challenge: challengeOf(envelopeSha256), allows: allowed(choice), arguments: text } }
    }),
    route(contract.approveApproval, async ({ caller, parameters, body, once }) => {
      const [approval, voter] = [await visible(caller, parameters.id!), await voterOf(store, caller)]
      if (approval === undefined) return NO_APPROVAL
      const signature = body.assertion === undefined ? ok(null) : await signedBy(needs, voter, { assertion: body.assertion, envelopeSha256: body.envelope_sha256 })
      const input = { id: approval.id, voter, choice: choiceIn(body.choice), envelopeSha256: body.envelope_sha256, reason: body.reason ?? null, now: clock.now() }
      const done = signature.ok ? await store.changeOnce(approveApproval, { ...input, signature: signature.value }, once) : signature
      if (!done.ok) return done.refusal.kind === 'key_reused' ? problem('idempotency-key-reused') : refusedVote(done.refusal, approval)
      if (done.value.value !== 'waiting') needs.waiters.wake(approval.id)
      return { reply: await shown(approval.id, voter) }
    }),
    route(contract.denyApproval, async ({ caller, parameters, body, once }) => {
      const [approval, voter] = [await visible(caller, parameters.id!), await voterOf(store, caller)]
      if (approval === undefined) return NO_APPROVAL
      const done = await store.changeOnce(denyApproval, { id: approval.id, voter, reason: body.reason ?? null, now: clock.now() }, once)
      if (!done.ok) return done.refusal.kind === 'key_reused' ? problem('idempotency-key-reused') : refusedVote(done.refusal, approval)
      if (done.value.value !== 'waiting') needs.waiters.wake(approval.id)
      return { reply: await shown(approval.id, voter) }
    }),
    route(contract.cancelApproval, async ({ caller, parameters }) => {
      const done = await store.change(cancelApproval, { id: parameters.id!, by: caller.identity, within: caller.task, now: clock.now() })
      if (done.ok) return { reply: { id: parameters.id!, state: done.value } }
      return done.refusal.kind === 'no_such_approval' ? NO_APPROVAL : problem('conflict', { code: `approval_${done.refusal.state}`, detail: `the request is ${done.refusal.state} already` })
    }),
    route(contract.showApprovalRoutes, async () => ({ reply: routesReply(await store.read(findRoutes)) })),
    route(contract.setApprovalRoutes, async ({ caller, body, once }) => {
      const done = await store.changeOnce(setApprovalRoutes, { routes: body.routes, version: body.version, reason: body.reason, by: actorOf(caller), now: clock.now() }, once)
      if (done.ok) return { reply: routesReply(done.value.value) }
      return done.refusal.kind === 'key_reused' ? problem('idempotency-key-reused') : problem('conflict', { code: 'other_version', detail: `the routes are at version ${done.refusal.version} by now`, hint: 'look at them again' })
    }),
  ]
}

type Listing = { readonly query: { readonly limit: number; readonly mine?: 'true' | 'false' | undefined } & Partial<Record<'identity' | 'task', string | undefined>> & { readonly state?: ApprovalPage['state'] | undefined; readonly risk?: ApprovalPage['risk'] | undefined }; readonly after: ApprovalPage['after'] | undefined }

/** Those that are not theirs to decide are left out page by page, and no more pages than these are read for one answer. */
const MOST_PAGES = 10

async function listed({ store, clock }: ApprovalRoutesNeeds, caller: HumanCaller, { query, after }: Listing) {
  const { limit, state, identity, task, risk } = query
  const now = clock.now()
  return store.read(async (db) => {
    const looker = caller.kind === 'person' ? await humanOf(db, caller.person) : null
    const filter = {
      ...(state === undefined ? {} : { state }), ...(identity === undefined ? {} : { identity }), ...(task === undefined ? {} : { task }), ...(risk === undefined ? {} : { risk }),
      ...(caller.kind === 'person' && caller.own !== null ? { identities: [...caller.own.identities] as never } : {}),
    }
    const approvals: contract.ApprovalReply[] = []
    let from = after
    let last: Approval | undefined
    for (let pages = 0; pages < MOST_PAGES && approvals.length < limit; pages++) {
      const rows = await listApprovals(db, { ...filter, limit, ...(from === undefined ? {} : { after: from }) })
      for (const row of rows) {
        last = row
        const reply = await replyIn(db, row.id, { looker, now, approval: row })
        if (query.mine !== 'true' || reply.you_may) approvals.push(reply)
        if (approvals.length === limit) break
      }
      if (rows.length < limit) {
        if (approvals.length < limit) last = undefined
        break
      }
      from = last && { id: last.id, expiresAt: last.expiresAt }
    }
    return { approvals, next: last === undefined ? null : cursorOf(last), waiting: await countAllWaiting(db), habit: looker === null ? null : habitReply(await habitOf(db, looker.person)) }
  })
}

const cursorOf = ({ id, expiresAt }: Approval): string => `${expiresAt}.${id}`

function cursorIn(cursor: string): { readonly id: string; readonly expiresAt: number } | undefined {
  const [, at, id] = /^(\d{1,16})\.(apr_[0-9a-z]{26})$/.exec(cursor) ?? []
  return at === undefined || id === undefined ? undefined : { id, expiresAt: Number(at) }
}

type Replying = { readonly looker: Looker; readonly now: ReturnType<Clock['now']>; readonly approval?: Approval }

async function replyIn(db: Db, id: string, { looker, now, approval: known }: Replying): Promise<contract.ApprovalReply> {
  const approval = known ?? (await findApproval(db, id))!
  const [identity, votes] = [(await findIdentity(db, approval.identity))!, await listVotes(db, [approval.id])]
  return approvalReply(approval, { identity, votes, mayAnswer: (await mayAnswer(db, approval, { looker, votes, now })).ok })
}

async function shownCard({ store, clock, questions, aside, party }: ApprovalRoutesNeeds, caller: HumanCaller, approval: Approval): Promise<contract.ApprovalCardReply> {
  const { card, keys } = await store.read(async (db) => {
    const looker = caller.kind === 'person' ? await humanOf(db, caller.person) : null
    return { card: await cardOf(db, approval, { questions, looker, now: clock.now() }), keys: looker === null ? [] : await listPasskeys(db, looker.person) }
  })
  const { question, decision, envelopeSha256, may } = card
  const explained = question === null ? null : await aside.explain(await unexplained(store, decision, question))
  const isSigned = approval.route.signed && envelopeSha256 !== null
  return cardReply(card, {
    explanation: explained && { ...explained, errors: [...explained.errors] },
    signing: isSigned && caller.kind === 'person' ? { challenge: challengeOf(envelopeSha256), rpId: party().rpId, credentials: keys.map((one) => one.credentialId) } : null,
    // Told before the card is filled in, and not after.
    you: may.ok && isSigned && keys.length === 0 ? refuse('no_passkey' as const) : may,
  })
}

/** The envelope's SHA-256 itself, as WebAuthn has challenges. */
const challengeOf = (envelopeSha256: string): string => Buffer.from(envelopeSha256, 'hex').toString('base64url')

async function voterOf(store: Store, { person }: PersonAtDoor): Promise<Voter> {
  return (await store.read((db) => humanOf(db, person)))!
}

function choiceIn(choice: contract.ApprovalChoice): AskedChoice {
  if (choice.scope !== 'task') return choice
  return { scope: 'task', bound: { ...choice.bound, until: epochMs(Date.parse(choice.bound.until)) } }
}

async function settled({ store, questions, clock }: ApprovalRoutesNeeds, approval: Approval, choice: AskedChoice): Promise<Outcome<Settled, ChoiceRefusal>> {
  const about = await store.read(async (db) => ({
    deadline: (await findTask(db, approval.task))!.deadline, routes: (await findRoutes(db)).routes, identityClass: (await findIdentity(db, approval.identity))!.class,
  }))
  return settle(approval, choice, { ...about, questions, now: clock.now() })
}

type Signed = { readonly assertion: AssertionResponse; readonly envelopeSha256: string }

/** As the browser made it, here, for this envelope, by a passkey of this person. */
async function signedBy({ store, party }: ApprovalRoutesNeeds, { person }: Voter, { assertion, envelopeSha256 }: Signed): Promise<Outcome<GivenSignature, { readonly kind: 'bad_signature' }>> {
  const passkey = await store.read((db) => findPasskeyByCredential(db, assertion.id))
  if (passkey?.person !== person) return refuse({ kind: 'bad_signature' })
  const { credentialId: id, publicKey, counter } = passkey
  const verified = await verifyPasskeyAssertion({
    ...party(), credential: { id, publicKey, counter }, expectedChallenge: Buffer.from(envelopeSha256, 'hex'), response: assertion, requireUserVerification: true,
  })
  if (!verified.ok) return refuse({ kind: 'bad_signature' })
  const { clientDataJSON, authenticatorData, signature } = assertion.response
  return ok({ passkey: passkey.id, newCounter: verified.value.newCounter, assertion: JSON.stringify({ id: assertion.id, response: { clientDataJSON, authenticatorData, signature } }) })
}

const over = ({ state, why }: Pick<Approval, 'state' | 'why'>): ProblemAnswer =>
  problem('conflict', { code: `approval_${state}`, detail: `the request is ${state}${why === null || why === state ? '' : ` (${why})`}: it waits for nobody's answer` })

function refusedVote(refusal: VoteRefusal, { id, route: asked }: Approval & { readonly id: ApprovalId }): ProblemAnswer {
  const code = refusal.kind
  switch (refusal.kind) {
    case 'no_such_approval': return NO_APPROVAL
    case 'over': return over(refusal)
    case 'may_not': return problem('not-allowed', { code: refusal.why, detail: WHY_NOT[refusal.why], hint: `who can decide: ${whoCanDecide(asked)}` })
    case 'other_envelope': return problem('conflict', { code, detail: 'what you were shown is not what this would approve', hint: `look at ${id} again` })
    case 'other_choice': return problem('conflict', { code, detail: 'somebody has approved something else of it already', hint: 'approve what the card shows, or deny it' })
    case 'changed': return problem('conflict', { code: refusal.what === 'policies' ? 'policies_changed' : 'task_over', detail: refusal.what === 'policies' ? 'other policies are in force than when it was asked for' : 'its task is over' })
    case 'damaged': return problem('conflict', { code: 'approval_damaged', detail: 'this request is not as Writ recorded it: it can not be approved', hint: 'have the log looked at: writ verify' })
    case 'routes_damaged': return problem('conflict', ROUTES_DAMAGED)
    case 'reason_needed': return badField('reason', 'has to be given where a signature is')
    case 'signature_needed': return badField('assertion', 'has to be given: this is approved by a passkey, over the hash of what is shown')
    case 'bad_signature': return problem('not-allowed', { code, detail: 'this is no signature of a passkey of yours over what was shown' })
    case 'bad_arguments': case 'not_narrower': case 'bound_too_narrow': case 'bound_too_long': case 'bound_of_another_route': case 'erased': return badChoice(refusal)
    default: return unreachable(refusal)
  }
}

function badChoice(refusal: ChoiceRefusal): ProblemAnswer {
  switch (refusal.kind) {
    case 'bad_arguments': return badField('choice.arguments', 'must be one JSON object')
    case 'not_narrower': return badField('choice.arguments', 'may hold lower whole numbers than were asked for, and nothing else may differ')
    case 'bound_too_narrow': return badField('choice.bound', 'must let through the call that it is about')
    case 'bound_too_long': return badField('choice.bound.until', `must be in the future, and not after the task ends at ${toIso(refusal.most)}`)
    case 'bound_of_another_route': return badField('choice.bound', `is as much as the route \`${refusal.route}\` asks others about`)
    case 'erased': return problem('conflict', { code: 'erased', detail: 'what was asked for has been erased' })
    default: return unreachable(refusal)
  }
}
