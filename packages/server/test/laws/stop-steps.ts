import type { EventType } from '@writ/domain/event'
import { seconds } from '@writ/domain/time'
import { changeIdentity } from '../../src/registry/change-identity.ts'
import { registerIdentity } from '../../src/registry/register.ts'
import { makeStop } from '../../src/stops/make.ts'
import { answerStop, settleStop } from '../../src/stops/settle.ts'
import { delegateTask } from '../../src/tasks/delegate-task.ts'
import { openTask } from '../../src/tasks/open-task.ts'
import { beginInstance, leaveInstance } from '../../src/tools/instances.ts'
import { draftOf, OPERATOR } from '../recorded.ts'
import type { StoreOfWrit } from '../store-of-writ.ts'

type Expected = { readonly tells: readonly EventType[] } | { readonly refuses: string }
type MakeStep<Step> = (of: { readonly name: string }, input: () => object, expect: Expected) => Step


/** The life of a stop: made, confirmed by each server, settled. */
export function* stopSteps<Step>(writ: StoreOfWrit, step: MakeStep<Step>): Generator<Step> {
  const tells = (...types: readonly EventType[]): Expected => ({ tells: types })
  const refuses = (kind: string): Expected => ({ refuses: kind })
  const [first, second] = [writ.newId('serverInstance'), writ.newId('serverInstance')]
  for (const instance of [first, second]) yield step(beginInstance, () => ({ instance, address: null, now: writ.now() }), tells())
  const authority = [{ type: 'mcp', resource: 'mail', action: 'look', limits: {} }]
  const [lead, hand] = ['leads', 'helps'].map((name) => ({ name, ids: { admission: writ.newId('admission'), identity: writ.newId('identity'), credential: writ.newId('credential') } }))
  for (const { name, ids } of [lead!, hand!]) {
    yield step(registerIdentity, () => ({ draft: draftOf({ name, authority }), ids, sealedHook: null, by: OPERATOR, now: writ.now() }), tells('admission.decided', 'identity.registered'))
  }
  const asked = { authority, length: seconds(600), budgetCalls: 10, idleTimeout: seconds(600), heartbeat: seconds(600), onBehalfOf: null }
  const opening = (task: string, parent: string | null = null) => () => ({ id: task, identity: lead!.ids.identity, parent, purpose: 'reads', asked, now: writ.now() })
  const [alone, above] = [writ.newId('task'), writ.newId('task')]
  yield step(openTask, opening(alone), tells('task.opened'))
  yield step(openTask, opening(above), tells('task.opened'))
  const below = writ.newId('task')
  yield step(delegateTask, () => ({
    id: below, parent: above, by: lead!.ids.identity, to: hand!.ids.identity, purpose: 'helps', asked: { ...asked, budgetCalls: 2 },
    decision: writ.newId('decision'), workload: null, traceId: 'a test', now: writ.now(),
  }), tells('decision.made', 'task.opened', 'task.delegated'))

  const [ofTask, ofTree] = [writ.newId('stop'), writ.newId('stop')]
  const stopping = (id: string, target: string, reference: string, own: readonly string[] | null = null) => () => ({ id, target, reference, own, reason: 'it misbehaves', by: OPERATOR, now: writ.now() })
  yield step(makeStop, stopping(ofTask, 'task', 'tsk_none'), refuses('no_such_task'))
  yield step(makeStop, stopping(ofTask, 'task', alone, ['nhi_other']), refuses('no_such_task'))
  yield step(makeStop, stopping(ofTask, 'identity', 'nhi_none'), refuses('no_such_identity'))
  yield step(makeStop, stopping(ofTree, 'identity_tree', lead!.ids.identity, [lead!.ids.identity]), refuses('not_yours'))
  yield step(makeStop, stopping(ofTask, 'task', alone), tells('stop.made', 'task.ended', 'task.closed'))
  yield step(makeStop, stopping(ofTree, 'identity_tree', lead!.ids.identity), tells(
    'stop.made', 'identity.suspended', 'task.ended', 'task.closed', 'task.ended', 'task.closed', 'identity.suspended',
  ))
  const answering = (stop: string, instance: string, own = instance) => () => ({ stop, instance, own, now: writ.now() })
  const settling = (stop: string) => () => ({ stop, now: writ.now() })
  yield step(answerStop, answering('stp_none', first), refuses('no_such_point'))
  yield step(answerStop, answering(ofTree, second, first), refuses('still_there'))
  yield step(answerStop, answering(ofTree, first), tells('stop.acknowledged'))
  yield step(answerStop, answering(ofTree, first), tells())
  yield step(settleStop, settling(ofTree), tells())
  yield step(settleStop, settling('stp_none'), refuses('no_such_stop'))
  yield step(leaveInstance, () => ({ instance: second, now: writ.now() }), tells())
  yield step(answerStop, answering(ofTree, second, first), tells('stop.acknowledged'))
  yield step(settleStop, settling(ofTree), tells('stop.settled'))
  yield step(settleStop, settling(ofTree), tells())
  yield step(leaveInstance, () => ({ instance: first, now: writ.now() }), tells())
  for (const { ids } of [lead!, hand!]) yield step(changeIdentity, () => ({ identity: ids.identity, change: 'retire', reason: 'the test says so', by: OPERATOR, now: writ.now() }), tells('identity.retired'))
}
