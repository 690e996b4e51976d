import type { EventType } from '@writ/domain/event'
import type { Owner } from '@writ/domain/owner'
import { seconds } from '@writ/domain/time'
import { cancelApproval, lapseApprovals } from '../../src/approvals/end.ts'
import { requestApproval } from '../../src/approvals/request.ts'
import { setApprovalRoutes } from '../../src/approvals/routes.ts'
import { approveApproval, denyApproval } from '../../src/approvals/vote.ts'
import { evaluate } from '../../src/evaluate/evaluate.ts'
import { signInPerson } from '../../src/people/sign-in.ts'
import { applyPolicies } from '../../src/policies/apply.ts'
import { setModeOf } from '../../src/policies/mode.ts'
import { changeIdentity } from '../../src/registry/change-identity.ts'
import { registerIdentity } from '../../src/registry/register.ts'
import { openTask } from '../../src/tasks/open-task.ts'
import { beginInstance } from '../../src/tools/instances.ts'
import { PIN, previewed, refundPolicies } from '../approvals/stage.ts'
import { draftOf, OPERATOR } from '../recorded.ts'
import type { StoreOfWrit } from '../store-of-writ.ts'

type Expected = { readonly tells: readonly EventType[] } | { readonly refuses: string }
type MakeStep<Step> = (of: { readonly name: string }, input: () => object, expect: Expected) => Step

/** The life of requests for approval: asked for, answered either way, used, taken back, and come to their time. */
export function* approvalSteps<Step extends object>(writ: StoreOfWrit, step: MakeStep<Step>): Generator<Step> {
  const tells = (...types: readonly EventType[]): Expected => ({ tells: types })
  const refuses = (kind: string): Expected => ({ refuses: kind })
  const now = () => writ.now()
  const [instance, task, person] = [writ.newId('serverInstance'), writ.newId('task'), writ.newId('person')]
  const ids = { admission: writ.newId('admission'), identity: writ.newId('identity'), credential: writ.newId('credential') }
  const authority = [{ type: 'mcp', resource: 'shop', action: 'refund', limits: {} }]
  // An observed server asks nobody.
  yield step(setModeOf, () => ({ of: { kind: 'server', reference: 'shop' }, mode: 'enforce', until: null, reason: 'it is meant now', by: OPERATOR, now: now() }), tells('mode.changed'))
  yield step(applyPolicies, () => ({ files: refundPolicies(), expected: null, by: OPERATOR, reason: 'the test says so', now: now() }), tells('policy.applied'))
  yield step(beginInstance, () => ({ instance, address: null, now: now() }), tells())
  yield step(registerIdentity, () => ({ draft: draftOf({ name: 'refunder', authority, technicalOwner: 'person:li@acme.example' as Owner }), ids, sealedHook: null, by: OPERATOR, now: now() }), tells('admission.decided', 'identity.registered'))
  const asked = { authority, length: seconds(600), budgetCalls: 10, idleTimeout: seconds(600), heartbeat: seconds(600), onBehalfOf: null }
  yield step(openTask, () => ({ id: task, identity: ids.identity, parent: null, purpose: 'gives refunds', asked, now: now() }), tells('task.opened'))
  const signIn = { id: writ.newId('signIn'), secretHash: new Uint8Array(32).fill(77), kind: 'browser', how: 'oidc' }
  const who = { issuer: 'https://idp.example', subject: 'reviewer', name: 'Rae', email: 'rae@acme.example', groups: [] }
  yield step(signInPerson, () => ({ who, newPerson: person, signIn, now: now() }), tells('person.registered', 'person.signed_in'))
  const voter = { ...who, person, roles: ['reviewer'] }

  const calling = (amount: number) => {
    const decision = writ.newId('decision')
    const question = {
      id: decision, task, action: 'call', arguments: `{"amount":${amount},"order":"1"}`, claimed: '{}', subject: { type: 'agent', id: ids.identity, properties: null },
      resource: { type: 'tool', id: 'shop/refund', properties: null }, atGateway: { kind: 'call', instance, listed: PIN },
    }
    return { decision, input: () => ({ asked: [question], stopAt: 'never', by: { kind: 'identity', id: ids.identity, lease: null, workload: null }, uses: [], traceId: 'a test', now: now() }) }
  }
  const [first, second, third, fourth] = [calling(1), calling(2), calling(3), calling(4)]
  const requesting = (decision: string, more: object = {}) => {
    const id = writ.newId('approval')
    return { id, input: () => ({ id, decision, by: ids.identity, within: null, lease: null, workload: null, intent: 'lost', isExplicit: false, now: now(), ...more }) }
  }
  for (const one of [first, second, third, fourth]) yield step(evaluate, one.input, tells('decision.made'))
  const [used, denied, cancelled, moot] = [requesting(first.decision), requesting(second.decision), requesting(third.decision), requesting(fourth.decision)]
  yield step(requestApproval, requesting('dec_none').input, refuses('no_such_denial'))
  yield step(requestApproval, requesting(first.decision, { by: writ.newId('identity') }).input, refuses('no_such_denial'))
  for (const one of [used, denied, cancelled, moot]) yield step(requestApproval, one.input, tells('approval.requested'))
  yield step(requestApproval, requesting(first.decision).input, tells())

  const approving = (more: object = {}) => () => ({ id: used.id, voter, choice: { scope: 'once' }, reason: null, signature: null, now: now(), envelopeSha256: '0'.repeat(64), ...more })
  yield step(approveApproval, approving(), refuses('other_envelope'))
  yield step(approveApproval, approving({ voter: { ...voter, email: 'li@acme.example' } }), refuses('may_not'))
  yield step(approveApproval, approving({ id: 'apr_none' }), refuses('no_such_approval'))
  // What is shown is known only once it has been asked for.
  const looked = async (): Promise<string> => {
    const settled = await previewed(writ, used.id)
    return settled.ok ? settled.value.envelopeSha256 : ''
  }
  yield { ...step(approveApproval, approving(), tells('approval.voted', 'approval.approved')), run: async () => writ.store.change(approveApproval, { ...approving()(), envelopeSha256: await looked() } as never) }
  yield step(approveApproval, approving(), refuses('over'))
  const denying = () => ({ id: denied.id, voter, reason: 'no', now: now() })
  yield step(denyApproval, denying, tells('approval.voted', 'approval.denied'))
  yield step(denyApproval, denying, refuses('over'))
  yield step(evaluate, calling(1).input, tells('decision.made', 'approval.used'))
  yield step(evaluate, calling(1).input, tells('decision.made'))
  const cancelling = (id: string) => () => ({ id, by: ids.identity, within: null, now: now() })
  yield step(cancelApproval, cancelling('apr_none'), refuses('no_such_approval'))
  yield step(cancelApproval, cancelling(cancelled.id), tells('approval.cancelled'))
  yield step(cancelApproval, cancelling(cancelled.id), tells())
  yield step(cancelApproval, cancelling(denied.id), refuses('over'))
  const lapsing = (withMoot: boolean) => () => ({ now: now(), limit: 10, withMoot })
  yield step(lapseApprovals, lapsing(false), tells())
  yield step(changeIdentity, () => ({ identity: ids.identity, change: 'retire', by: OPERATOR, reason: 'the test says so', now: now() }), tells('identity.retired', 'task.ended', 'task.closed'))
  yield step(lapseApprovals, lapsing(true), tells('approval.cancelled'))
  const routes = [{ name: 'large', when: {}, group: null, quorum: 2, seconds: 60, signed: false }]
  const routing = () => ({ routes, version: 0, reason: 'two pairs of eyes', by: OPERATOR, now: now() })
  yield step(setApprovalRoutes, routing, tells('approval_routes.set'))
  yield step(setApprovalRoutes, routing, refuses('other_version'))
}
