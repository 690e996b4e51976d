import type * as contract from '@writ/contract/approvals'
import type { ApprovalChoice, MayDecideReason } from '@writ/domain/approval'
import type { Identity } from '@writ/domain/identity'
import type { Outcome } from '@writ/domain/outcome'
import { toIso } from '@writ/domain/time'
import { alikeOf, type Card, type Habit } from '../../approvals/card.ts'
import { whoCanDecide } from '../../approvals/say.ts'
import type { ApprovalRoutes, Vote } from '../../store/approval-votes.ts'
import type { Approval } from '../../store/approvals.ts'

/** What somebody who may not answer is told. */
export const WHY_NOT: Readonly<Record<MayDecideReason, string>> = {
  not_a_person: 'only a person who has signed in can answer', not_a_reviewer: 'you are not a reviewer', not_in_group: 'you are not in the group that is asked',
  on_behalf_of_you: 'it is done on your behalf', you_own_the_agent: 'you answer for an agent that asks', you_could_act_as_it: 'you put in place what an agent that asks proves itself with, or made the operator key that did, and so could act as it', answered_already: 'you have answered, by this or another account',
  over: 'it waits for nobody any more', no_passkey: 'this takes a passkey, and you have none here',
}

/** Nobody is asked by routes that Writ did not record. */
export const ROUTES_DAMAGED = { code: 'routes_damaged', detail: 'who is asked about what is not as Writ recorded it', hint: 'have the approval routes looked at, and set again' } as const

export type Shown = { readonly identity: Pick<Identity, 'spiffeId' | 'class'>; readonly votes: readonly Vote[]; readonly mayAnswer: boolean }

export function approvalReply(approval: Approval, { identity, votes, mayAnswer }: Shown): contract.ApprovalReply {
  const { route } = approval
  return {
    id: approval.id, kind: approval.kind, state: approval.state, why: approval.why, identity: approval.identity, spiffe_id: identity.spiffeId, identity_class: identity.class,
    task: approval.task, root_task: approval.root, action: approval.action, resource: { ...approval.resource }, risk: approval.risk, effect: approval.effect, reversible: approval.reversible,
    labels: [...approval.labels], arguments_sha256: approval.argumentsSha256, requested_at: toIso(approval.requestedAt), expires_at: toIso(approval.expiresAt), quorum: route.quorum,
    yes: votes.filter(({ answer }) => answer === 'approve').length, group: route.group, signed: route.signed, alike: alikeOf(approval),
    decided_at: approval.decidedAt === null ? null : toIso(approval.decidedAt), used_at: approval.usedAt === null ? null : toIso(approval.usedAt), you_may: mayAnswer,
  }
}

export type Signing = { readonly challenge: string; readonly rpId: string; readonly credentials: readonly string[] }

/** `explanation`: null once what was asked is erased. */
export function cardReply(card: Card, { explanation, signing, you }: { readonly explanation: contract.ApprovalCardReply['explanation']; readonly signing: Signing | null; readonly you: Outcome<null, MayDecideReason> }): contract.ApprovalCardReply {
  const { approval, votes, chain, history, bound } = card
  const { route } = approval
  return {
    ...approvalReply(approval, { identity: card.identity, votes, mayAnswer: you.ok }),
    arguments: card.arguments, choice: approval.choice === null ? null : choiceReply(approval.choice, card.edited), edited_arguments: card.edited,
    chain: chain.map(({ task, identity }) => ({
      task: task.id, identity: identity.id, spiffe_id: identity.spiffeId, technical_owner: identity.technicalOwner, business_owner: identity.businessOwner, purpose: task.purpose, deadline: toIso(task.deadline),
    })),
    on_behalf_of: approval.onBehalfOf === null ? null : { ...approval.onBehalfOf }, intent: card.intent, explanation, decision: approval.decision, policy_version: approval.policyVersion,
    tool_pin: approval.toolPin, history: { used: history.used ?? 0, denied: history.denied ?? 0, lapsed: history.lapsed ?? 0 },
    votes: votes.map((vote) => ({ person: vote.person, name: vote.name, answer: vote.answer, reason: vote.reason, at: toIso(vote.at), signed: vote.signature !== null })),
    bound: bound === null ? null : { arguments: { ...bound.arguments }, calls: bound.calls, until: toIso(bound.until) },
    calls: approval.callsMost === null || approval.choice?.scope !== 'task' ? null : { used: approval.callsUsed, most: approval.callsMost },
    who_can_decide: { say: whoCanDecide(route), role: 'reviewer', group: route.group, quorum: route.quorum, people: card.people.map((one) => ({ ...one })) },
    you: you.ok ? { may: true, why_not: null, say: null } : { may: false, why_not: you.refusal, say: WHY_NOT[you.refusal] },
    envelope_sha256: card.envelopeSha256, envelope: card.envelope,
    signing: signing === null ? null : { challenge: signing.challenge, rp_id: signing.rpId, credentials: [...signing.credentials] },
  }
}

function choiceReply(choice: ApprovalChoice, edited: string | null): contract.ApprovalCardReply['choice'] {
  switch (choice.scope) {
    case 'once': return { scope: 'once' }
    case 'edited': return { scope: 'edited', arguments: edited ?? '' }
    case 'task': return { scope: 'task', bound: { arguments: { ...choice.bound.arguments }, calls: choice.bound.calls, until: toIso(choice.bound.until) } }
  }
}

export const habitReply = ({ answered, approveRate, medianSeconds, proposePolicy }: Habit) =>
  ({ answered, approve_rate: approveRate, median_seconds: medianSeconds, propose_policy: proposePolicy })

export const routesReply = ({ version, routes, reason, setBy, setAt }: ApprovalRoutes) =>
  ({ version, routes: routes.map((one) => ({ ...one, when: { ...one.when } })), reason, set_by: setBy, set_at: setAt === null ? null : toIso(setAt) })
