import assert from 'node:assert/strict'
import type { EventType } from '@writ/domain/event'
import type { IdentityId } from '@writ/domain/id'
import { seconds } from '@writ/domain/time'
import { DEFAULT_BUNDLE } from '@writ/policy/defaults'
import { pinTools } from '@writ/policy/pin-tools'
import { evaluate } from '../../src/evaluate/evaluate.ts'
import { applyPolicies } from '../../src/policies/apply.ts'
import { checkFiles, type CheckedFiles } from '../../src/policies/check.ts'
import { changeIdentity } from '../../src/registry/change-identity.ts'
import { registerIdentity } from '../../src/registry/register.ts'
import { openTask } from '../../src/tasks/open-task.ts'
import { addMcpServer } from '../../src/tools/add.ts'
import { readDefinition, readList } from '../../src/tools/definition.ts'
import { finishCalls } from '../../src/tools/finish-call.ts'
import { beginInstance, keepInstance, leaveInstance } from '../../src/tools/instances.ts'
import { retireMcpServer } from '../../src/tools/retire.ts'
import { rotateMcpSecret } from '../../src/tools/rotate-secret.ts'
import { see, settleTools } from '../../src/tools/see.ts'
import { loseCalls } from '../../src/tools/unknown-calls.ts'
import { draftOf, OPERATOR } from '../recorded.ts'
import type { StoreOfWrit } from '../store-of-writ.ts'

type Expected = { readonly tells: readonly EventType[] } | { readonly refuses: string }
type MakeStep<Step> = (of: { readonly name: string }, input: () => object, expect: Expected) => Step

export const mailServer = (writ: StoreOfWrit, name = 'mail') => ({
  id: writ.newId('mcpServer'), name, settings: { transport: 'http' as const, url: 'https://mail.example/mcp', ca: null }, sealedSecret: null, environment: null, state: 'active' as const,
  addedBy: OPERATOR.id, addedAt: writ.now(), secretSetAt: null,
})

/** The text of a definition that only reads. */
export const definitionOf = (name: string, description: string): string =>
  JSON.stringify({ name, description, inputSchema: { type: 'object', properties: { id: { type: 'string' } } }, annotations: { readOnlyHint: true, openWorldHint: false } })

export function hashOf(definition: string): string {
  const read = readDefinition(definition)
  return read.ok ? read.value.hash : assert.fail(read.refusal)
}

/** The policies that ship, and this tool pinned in them. */
export function pinning(server: string, name: string, pin: string, open: readonly string[] = []): CheckedFiles {
  const input = { type: 'object', properties: { id: { type: 'string' } } }
  const text = pinTools(undefined, [{ server, name, effect: 'read', reversible: true, labels: [], trust: null, pin, public: open, description: null, input }])
  const checked = text.ok ? checkFiles({ ...DEFAULT_BUNDLE, 'tools.json': text.value }) : text
  return checked.ok ? checked.value : assert.fail(JSON.stringify(checked.refusal))
}

/** The life of an MCP server, of its tools, and of calls that go to it. */
export function* toolSteps<Step>(writ: StoreOfWrit, step: MakeStep<Step>): Generator<Step> {
  const tells = (...types: readonly EventType[]): Expected => ({ tells: types })
  const refuses = (kind: string): Expected => ({ refuses: kind })
  const said = { by: OPERATOR, reason: 'the test says so' }
  const server = mailServer(writ)
  const adding = () => ({ server: { ...mailServer(writ), id: server.id }, secrets: [], by: OPERATOR })
  yield step(addMcpServer, adding, tells('mcp_server.added'))
  yield step(addMcpServer, () => ({ ...adding(), server: mailServer(writ) }), refuses('already_exists'))
  const rotating = (id: string) => () => ({ server: id, sealed: 'sealed', secrets: ['authorization'], by: OPERATOR, now: writ.now() })
  yield step(rotateMcpSecret, rotating(server.id), tells('mcp_server.changed'))
  yield step(rotateMcpSecret, rotating('mcp_none'), refuses('no_such_server'))

  const [hidden, rewritten] = [definitionOf('look', 'Looks.\u200b'), definitionOf('look', 'Looks, and sends.')]
  const seeing = (...definitions: readonly string[]) => () => {
    const { tools, leftOut, unreadable } = readList(definitions, [])
    return { server: server.id, tools, leftOut, unreadable, now: writ.now() }
  }
  yield step(see, seeing(hidden), tells('tools.seen', 'finding.raised'))
  yield step(see, seeing(hidden), tells())
  yield step(see, () => ({ ...seeing(hidden)(), server: 'mcp_none' }), refuses('no_such_server'))
  yield step(applyPolicies, () => ({ files: pinning('mail', 'look', hashOf(hidden)), expected: null, now: writ.now(), ...said }), tells('policy.applied'))
  const settling = (name: string) => () => ({ server: name, now: writ.now() })
  yield step(settleTools, settling('mail'), tells('finding.resolved'))
  yield step(settleTools, settling('mail'), tells())
  yield step(settleTools, settling('nothing'), refuses('no_such_server'))

  const instance = writ.newId('serverInstance')
  const being = () => ({ instance, address: null, now: writ.now() })
  yield step(beginInstance, being, tells())
  yield step(keepInstance, being, tells())
  const reader = { admission: writ.newId('admission'), identity: writ.newId('identity'), credential: writ.newId('credential') }
  const authority = [{ type: 'mcp', resource: 'mail', action: 'look', limits: {} }]
  yield step(registerIdentity, () => ({ draft: draftOf({ name: 'reader', authority }), ids: reader, sealedHook: null, by: OPERATOR, now: writ.now() }), tells('admission.decided', 'identity.registered'))
  const task = writ.newId('task')
  const asked = { authority, length: seconds(600), budgetCalls: 10, idleTimeout: seconds(600), heartbeat: seconds(600), onBehalfOf: null }
  yield step(openTask, () => ({ id: task, identity: reader.identity, parent: null, purpose: 'reads', asked, now: writ.now() }), tells('task.opened'))

  const calling = () => callOf(writ, { task, identity: reader.identity, instance, listed: hashOf(hidden) })
  const [first, second, third] = [calling(), calling(), calling()]
  const finishing = (...decisions: readonly string[]) => () =>
    ({ ends: decisions.map((decision) => ({ decision, outcome: 'succeeded', result: { bytes: 2, sha256: 'ab' }, durationMs: 3, labels: [], at: writ.now() })), now: writ.now() })
  yield step(evaluate, () => first.input, tells('decision.made'))
  yield step(evaluate, () => third.input, tells('decision.made'))
  yield step(finishCalls, finishing(first.decision, 'dec_none', third.decision), tells('call.finished', 'call.finished'))
  yield step(finishCalls, finishing(first.decision, 'dec_none'), tells())
  const losing = () => ({ limit: 10, now: writ.now() })
  yield step(evaluate, () => second.input, tells('decision.made'))
  yield step(loseCalls, losing, tells())
  yield step(leaveInstance, being, tells())
  yield step(loseCalls, losing, tells('call.finished'))
  yield step(finishCalls, finishing(second.decision), tells('call.finished'))

  yield step(see, seeing(rewritten), tells('tools.seen', 'finding.raised'))
  const retiring = (name: string) => () => ({ server: name, now: writ.now(), ...said })
  yield step(retireMcpServer, retiring('mail'), tells('mcp_server.retired', 'finding.resolved'))
  yield step(retireMcpServer, retiring('mail'), refuses('no_such_server'))
  yield step(changeIdentity, () => ({ identity: reader.identity, change: 'retire', now: writ.now(), ...said }), tells('identity.retired', 'task.ended', 'task.closed'))
}

export type CallOrder = { readonly arguments?: string; readonly task: string | null; readonly identity: IdentityId; readonly instance: string; readonly listed: string }

/** As the gateway asks for a call of `mail/look`. */
export function callOf(writ: StoreOfWrit, { task, identity, instance, listed, arguments: given = '{"id":"1"}' }: CallOrder) {
  const decision = writ.newId('decision')
  const question = {
    id: decision, task, action: 'call', arguments: given, claimed: '{}', subject: { type: 'agent', id: identity, properties: null },
    resource: { type: 'tool', id: 'mail/look', properties: null }, atGateway: { kind: 'call', instance, listed },
  }
  return { decision, input: { asked: [question], stopAt: 'never', by: { kind: 'identity', id: identity, lease: null, workload: null }, uses: [], traceId: 'a test', now: writ.now() } }
}
