import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { describe, test } from 'node:test'
import type { EventType } from '@writ/domain/event'
import type { BundleFiles } from '@writ/policy/bundle'
import { DEFAULT_BUNDLE } from '@writ/policy/defaults'
import { epochMs, seconds } from '@writ/domain/time'
import { CHANGES, issueToken } from '../../src/changes.ts'
import { parseRegisteredKey } from '../../src/authenticate/registered-key.ts'
import { showEvidence } from '../../src/authenticate/evidence-key.ts'
import { useOnce } from '../../src/authenticate/one-time.ts'
import { warmPolicies } from '../../src/decide/warm.ts'
import { evaluate } from '../../src/evaluate/evaluate.ts'
import { abandonLease, activateLease, intendLease } from '../../src/issue/issue-lease.ts'
import { revokeToken } from '../../src/issue/revoke-token.ts'
import { makeFirstKey, publishKey, replaceKeys, turnKeys } from '../../src/issue/signing-keys.ts'
import { forget } from '../../src/jobs/forget.ts'
import { tryRoom } from '../../src/jobs/room.ts'
import { findOrphan, withdrawOrphan } from '../../src/jobs/orphans.ts'
import { newTokenKey } from '../../src/keys/token-keys.ts'
import { applyPolicies, installPolicies, rollBackPolicies } from '../../src/policies/apply.ts'
import { checkFiles, type CheckedFiles } from '../../src/policies/check.ts'
import { eraseDecision } from '../../src/policies/erase-evaluated.ts'
import { setModeOf } from '../../src/policies/mode.ts'
import { install } from '../../src/record/install.ts'
import { applyManifest } from '../../src/registry/apply-manifest.ts'
import { bindIdentity, unbindIdentity } from '../../src/registry/bindings.ts'
import { changeIdentity, fireTrigger, retireDueIdentities, transferIdentity } from '../../src/registry/change-identity.ts'
import { resolveFinding } from '../../src/registry/findings.ts'
import { changeIssuer, removeIssuer, trustIssuer } from '../../src/registry/issuers.ts'
import { addKey, registerIdentity, revokeKey } from '../../src/registry/register.ts'
import { beginBackup, recordBackup } from '../../src/registry/take-backup.ts'
import { addBackend, keepNextSecret, keepSecret, recordBackendTest, removeBackend, takeNextSecret } from '../../src/registry/watched.ts'
import { claimLeases, endLease, failWithdrawal, holdLeases, stopLease, surveyLease } from '../../src/revoke/lease-changes.ts'
import { endTask } from '../../src/revoke/end-task.ts'
import { endDueTokens, recordAcceptedToken } from '../../src/revoke/end-tokens.ts'
import { delegateTask } from '../../src/tasks/delegate-task.ts'
import { endDueTasks, heartbeat } from '../../src/tasks/keep-task.ts'
import { openTask } from '../../src/tasks/open-task.ts'
import { widenTask } from '../../src/tasks/widen-task.ts'
import { noteAskedTooOften } from '../../src/watch/asks-too-often.ts'
import { permits } from '../laws/estate.ts'
import { approvalSteps } from '../laws/approval-steps.ts'
import { operatorSteps } from '../laws/operator-steps.ts'
import { peopleSteps } from '../laws/people-steps.ts'
import { stopSteps } from '../laws/stop-steps.ts'
import { noticeSteps } from '../laws/notice-steps.ts'
import { signInFlowSteps } from '../laws/sign-in-flow-steps.ts'
import { toolSteps } from '../laws/tool-steps.ts'
import { draftOf, OPERATOR } from '../recorded.ts'
import { everyRow, storeForSuite, STORES, type StoreOfWrit } from '../store-of-writ.ts'

/** One change: the events it tells, in order; or the refusal's kind, with which nothing at all is written. */
type Step = { readonly change: string; readonly run: () => Promise<{ readonly ok: boolean; readonly refusal?: unknown }> } &
  ({ readonly tells: readonly EventType[] } | { readonly refuses: string })

/** What a change may touch without an event: clocks, counters and marks of work under way. None of it says what anyone may do. */
const UNRECORDED_TABLES = new Set(['idempotency', 'proof_used', 'evidence_key', 'log', 'checkpoint', 'tile', 'event', 'event_said', 'server_instance', 'notice', 'lent_lease', 'provider_sign_in', 'device_sign_in'])
const UNRECORDED_COLUMNS: Readonly<Record<string, readonly string[]>> = {
  task: ['calls_used', 'last_heard_at', 'last_call_at', 'due_at'], lease: ['due_at', 'survey'], backend: ['next_sealed_secret'], identity: ['last_used_at', 'due_at'], mcp_tool: ['last_seen'],
  notice_target: ['told_up_to', 'last_sent_at', 'trouble'], sign_in: ['idle_until'],
}

type Everything = Awaited<ReturnType<typeof everyRow>>

function stateIn(all: Everything): unknown {
  return [...all].filter(([table]) => !UNRECORDED_TABLES.has(table)).map(([table, rows]) => [
    table, rows.map((row) => Object.fromEntries(Object.entries(row).filter(([column]) => UNRECORDED_COLUMNS[table]?.includes(column) !== true))),
  ])
}

const typesIn = (all: Everything): readonly string[] => all.get('event')!.toSorted((a, b) => Number(a['seq']) - Number(b['seq'])).map((row) => String(row['type']))

/** Makes the database refuse every event, as a full disk or a broken constraint would. */
async function refuseEvents(writ: StoreOfWrit): Promise<void> {
  if (writ.name === 'sqlite') return void await writ.sql('create trigger no_event before insert on event begin select raise(abort, \'rule no_event\'); end')
  await writ.sql('create or replace function no_event() returns trigger language plpgsql as $$ begin raise exception \'no event\'; end $$; create trigger no_event before insert on event for each row execute function no_event()')
}

const takeEvents = (writ: StoreOfWrit) => writ.sql(writ.name === 'sqlite' ? 'drop trigger no_event' : 'drop trigger no_event on event')

/** Takes it on a store that holds `before`; answers what it holds after. */
async function take(writ: StoreOfWrit, step: Step, before: Everything): Promise<Everything> {
  if ('refuses' in step) {
    const outcome = await step.run()
    assert.equal((outcome.refusal as { kind?: string } | undefined)?.kind, step.refuses, step.change)
    assert.deepEqual(await everyRow(writ), before, `${step.change} was refused and wrote something`)
    return before
  }
  if (step.tells.length > 0) {
    await refuseEvents(writ)
    await assert.rejects(step.run(), `${step.change} went on without its event`)
    await takeEvents(writ)
    assert.deepEqual(await everyRow(writ), before, `${step.change} could not be recorded, and left something behind`)
  }
  const outcome = await step.run()
  assert.ok(outcome.ok, `${step.change}: ${JSON.stringify(outcome.refusal)}`)
  const after = await everyRow(writ)
  assert.deepEqual(typesIn(after).slice(typesIn(before).length), step.tells, step.change)
  if (step.tells.length === 0) assert.deepEqual(stateIn(after), stateIn(before), `${step.change} changed a state and told nobody`)
  return after
}

const newKey = () => {
  const parsed = parseRegisteredKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }))
  return parsed.ok ? parsed.value : assert.fail(parsed.refusal.kind)
}

function filesOf(files: BundleFiles): CheckedFiles {
  const checked = checkFiles(files)
  return checked.ok ? checked.value : assert.fail(JSON.stringify(checked.refusal))
}

/** A life of an estate in which every change occurs. Ids are made as the journey goes, and every input is plain data. */
function* journey(writ: StoreOfWrit): Generator<Step> {
  const { store } = writ
  const newId: StoreOfWrit['newId'] = (of) => writ.newId(of)
  const said = { by: OPERATOR, reason: 'the test says so' }
  const step = <Input>(of: { readonly name: string }, input: () => Input, expect: { readonly tells: readonly EventType[] } | { readonly refuses: string }): Step => {
    const given = input()
    return { change: of.name, run: () => store.change(of as never, given) as never, ...expect }
  }
  const tells = (...types: readonly EventType[]) => ({ tells: types })
  const refuses = (kind: string) => ({ refuses: kind })
  const now = () => writ.now()

  yield step(install, () => ({ id: 'again', keyCheck: writ.keys.keyCheck(), version: '0', now: now() }), tells('server.started'))
  yield* operatorSteps<Step>(writ, step)
  yield step(useOnce, () => ({ uses: [{ of: 'proof' as const, hash: new Uint8Array(32).fill(1), until: epochMs(5) }] }), tells())
  yield step(forget, () => ({ now: now() }), tells())
  yield step(tryRoom, () => ({ now: now() }), tells())
  yield step(tryRoom, () => ({ now: now() }), tells())

  const issuer = newId('issuer')
  const backend = newId('backend')
  const trusting = (id = issuer) => ({ id, url: 'https://issuer.example', kind: 'oidc' as const, source: { kind: 'discovery' as const }, ca: null, by: OPERATOR, now: now() })
  yield step(trustIssuer, () => trusting(), tells('issuer.trusted'))
  yield step(trustIssuer, () => trusting(newId('issuer')), refuses('already_exists'))
  const elsewhere = (reference: string) => ({ reference, source: { kind: 'url' as const, url: 'https://keys.example' }, ca: null, now: now(), ...said })
  yield step(changeIssuer, () => elsewhere('https://issuer.example'), tells('issuer.changed'))
  yield step(changeIssuer, () => elsewhere('https://issuer.example/'), refuses('no_such_thing'))
  yield step(addBackend, () => ({
    by: OPERATOR, cycleMs: 1,
    backend: {
      id: backend, name: 'shop', kind: 'postgres', settings: { host: '127.0.0.1', port: 1, database: 'shop', user: 'writ', tls: 'disable' }, templates: [],
      sealedSecret: 'sealed', nextSealedSecret: null, version: '18', state: 'active', addedAt: now(), secretRotatedAt: null,
    },
  }), tells('backend.added'))
  yield step(recordBackendTest, () => ({ backend, name: 'shop', outcome: 'passed', by: OPERATOR, now: now() }), tells('backend.tested'))
  yield step(keepNextSecret, () => ({ backend, sealed: 'sealed anew' }), tells())
  yield step(takeNextSecret, () => ({ backend, by: OPERATOR, now: now() }), tells('backend.secret_rotated'))
  const setting = () => ({ backend, seen: 'sealed anew', sealed: 'sealed by hand', by: OPERATOR, now: now() })
  yield step(keepSecret, setting, tells('backend.secret_set'))
  yield step(keepSecret, setting, refuses('changed_meanwhile'))

  const ids = () => ({ admission: newId('admission'), identity: newId('identity'), credential: newId('credential') })
  const [agent, first] = [ids(), newKey()]
  const register = (more: Parameters<typeof draftOf>[0], of = ids(), sealedHook: string | null = null) => ({ draft: draftOf(more), ids: of, sealedHook, by: OPERATOR, now: now() })
  yield step(registerIdentity, () => register({ name: 'agent', key: first }, agent), tells('admission.decided', 'identity.registered', 'credential.registered'))
  yield step(registerIdentity, () => register({ name: 'agent' }), refuses('already_registered'))
  yield step(registerIdentity, () => register({ name: 'late', endsAt: epochMs(1) }), refuses('ends_in_the_past'))
  yield step(registerIdentity, () => register({ name: 'lost', trigger: { kind: 'issuer_removed', issuer: 'https://nobody.example' } }), refuses('trigger_watches_nothing'))
  yield step(registerIdentity, () => register({ name: 'twin', key: first }), refuses('key_in_use'))
  yield step(registerIdentity, () => register({ name: 'no', admission: { answer: 'delegated_token', reason: 'its caller has one' } }), tells('admission.decided'))
  yield step(transferIdentity, () => ({ identity: agent.identity, technical: 'team:other', business: null, now: now(), ...said }), tells('identity.transferred'))
  const adding = { identity: agent.identity, credential: newId('credential'), key: newKey(), by: OPERATOR, now: now() }
  yield step(addKey, () => ({ ...adding, replace: false }), tells('finding.raised'))
  yield step(addKey, () => ({ ...adding, replace: true }), tells('credential.revoked', 'credential.registered'))
  yield step(addKey, () => ({ ...adding, key: first, replace: true }), refuses('key_in_use'))
  yield step(revokeKey, () => ({ identity: agent.identity, credential: adding.credential, now: now(), ...said }), tells('credential.revoked'))
  yield step(revokeKey, () => ({ identity: agent.identity, credential: 'none', now: now(), ...said }), refuses('no_such_key'))
  const asking = (sub: string | readonly string[] = 'ci:shop') => ({ issuer: 'https://issuer.example', audience: 'writ', claims: { sub } })
  const bindingOf = (asked = asking(), replace = false) => ({ identity: agent.identity, asked, replace, by: OPERATOR, now: now() })
  yield step(bindIdentity, () => bindingOf(), tells('binding.registered'))
  yield step(bindIdentity, () => bindingOf(), tells())
  yield step(bindIdentity, () => bindingOf(asking('*')), refuses('bad_matcher'))
  yield step(bindIdentity, () => bindingOf({ ...asking(), issuer: 'https://issuer.example/' }), refuses('no_such_issuer'))
  yield step(bindIdentity, () => bindingOf(asking('ci:other')), tells())
  yield step(bindIdentity, () => bindingOf(asking('ci:other'), true), tells('binding.revoked', 'binding.registered'))
  yield step(unbindIdentity, () => ({ identity: agent.identity, binding: 'bnd_none', now: now(), ...said }), refuses('no_such_binding'))
  const showing = (thumbprint: string) => ({ hashes: [new Uint8Array(32).fill(7)], thumbprint, identity: agent.identity, issuer, binding: newId('binding'), until: epochMs(now() + 1000), now: now() })
  yield step(showEvidence, () => showing('one'), tells())
  yield step(showEvidence, () => showing('one'), tells())
  yield step(showEvidence, () => showing('two'), tells('finding.raised'))
  yield step(showEvidence, () => showing('three'), tells())
  const entry = { draft: draftOf({ name: 'of-manifest' }), ids: ids(), sealedHook: null }
  yield step(applyManifest, () => ({ entries: [entry], dryRun: true, by: OPERATOR, now: now() }), refuses('dry_run'))
  yield step(applyManifest, () => ({ entries: [entry], dryRun: false, by: OPERATOR, now: now() }), tells('admission.decided', 'identity.registered'))
  yield step(applyManifest, () => ({ entries: [entry], dryRun: false, by: OPERATOR, now: now() }), tells())
  const changing = (change: string) => () => ({ identity: agent.identity, change, now: now(), ...said })
  yield step(changeIdentity, changing('suspend'), tells('identity.suspended'))
  yield step(changeIdentity, changing('suspend'), refuses('already_in_state'))

  const asked = { authority: permits('read'), length: seconds(60), budgetCalls: 10, idleTimeout: seconds(60), heartbeat: seconds(60), onBehalfOf: null }
  const opening = (more: object = {}) => ({ id: newId('task'), identity: agent.identity, parent: null, purpose: 'tidy up', asked: { ...asked, ...more }, now: now() })
  yield step(openTask, () => opening(), refuses('identity_not_active'))
  yield step(changeIdentity, changing('resume'), tells('identity.resumed'))
  yield step(openTask, () => opening({ authority: permits('drop') }), refuses('grant_not_covered'))
  const task = opening()
  yield step(openTask, () => task, tells('task.opened'))
  yield step(heartbeat, () => ({ task: task.id, identity: agent.identity, calls: 1, now: now() }), tells())
  yield step(heartbeat, () => ({ task: newId('task'), identity: agent.identity, calls: 1, now: now() }), refuses('no_such_task'))

  const widening = (...actions: readonly string[]) => ({ task: task.id, identity: agent.identity, asked: permits(...actions), reason: 'there is more to do', now: now() })
  yield step(widenTask, () => widening('read', 'write'), tells('task.widened'))
  yield step(widenTask, () => widening('write'), tells())
  yield step(widenTask, () => widening('drop'), refuses('grant_not_covered'))
  yield step(widenTask, () => widening(), refuses('empty_grant'))
  yield step(widenTask, () => ({ ...widening('write'), task: newId('task') }), refuses('no_such_task'))

  const delegating = (more: object = {}) => ({ id: newId('task'), parent: task.id, by: agent.identity, to: agent.identity, purpose: 'a part of it', asked: { ...asked, budgetCalls: 1 }, decision: newId('decision'), workload: null, traceId: 'a test', now: now(), ...more })
  const handedOn = delegating()
  yield step(delegateTask, () => handedOn, tells('decision.made', 'task.opened', 'task.delegated'))
  yield step(delegateTask, () => delegating({ by: newId('identity') }), refuses('no_such_task'))
  yield step(delegateTask, () => delegating({ to: newId('identity') }), refuses('no_such_identity'))
  yield step(endTask, () => ({ task: handedOn.id, because: 'completed', by: OPERATOR, now: now() }), tells('task.ended', 'task.closed'))

  const intending = (of = task.id) => {
    const id = newId('lease')
    return { task: of, identity: agent.identity, permit: permits('read')[0]!, id, backend, template: 'read', handle: `writ_${id}`, sealedSecret: 'sealed', decision: newId('decision'), workload: null, traceId: 'a test', now: now() }
  }
  const intend = (of: ReturnType<typeof intending>) => step(intendLease, () => of, tells('decision.made', 'lease.intended'))
  const activate = (lease: string) => step(activateLease, () => ({ lease, control: { ok: true, tookMs: 1 }, now: now() }), tells('lease.minted'))
  const claim = (limit: number) => () => ({ now: now(), until: epochMs(now() + 60_000), limit })
  const end = (lease: string) => () => ({
    lease, outcome: 'proved', withdrawal: { existed: true, sessionsEnded: 0, reassigned: [] }, residualUntil: null, now: now(),
    probe: { kind: 'refused', by: 'shop', code: '28P01', message: 'no', absentFromCatalogue: true, tookMs: 1 },
  })
  const denied = { ...intending(), permit: permits('drop')[0]! }
  yield step(intendLease, () => denied, tells('decision.made'))
  yield step(activateLease, () => ({ lease: newId('lease'), control: { ok: true, tookMs: 1 }, now: now() }), refuses('stopped_meanwhile'))
  const stopped = intending()
  yield intend(stopped)
  yield activate(stopped.id)
  yield step(stopLease, () => ({ lease: newId('lease'), now: now(), ...said }), refuses('no_such_lease'))
  yield step(stopLease, () => ({ lease: stopped.id, now: now(), ...said }), tells('lease.revoked'))
  yield step(claimLeases, claim(1), tells())
  yield step(holdLeases, () => ({ leases: [stopped.id], held: claim(1)().until, until: epochMs(now() + 90_000) }), tells())
  yield step(surveyLease, () => ({ lease: stopped.id, reassigned: [], sessionsEnded: 1 }), tells())
  yield step(endLease, end(stopped.id), tells('lease.ended'))
  const failed = intending()
  yield intend(failed)
  yield step(abandonLease, () => ({ lease: failed.id, because: 'mint_failed', now: now() }), tells('lease.revoked'))
  yield step(endLease, end(failed.id), tells('lease.ended'))
  const unfinished = intending()
  yield intend(unfinished)
  writ.clock.advance(20_000)
  yield step(claimLeases, claim(1), tells('lease.revoked'))
  yield step(endLease, end(unfinished.id), tells('lease.ended'))
  const expired = intending()
  yield intend(expired)
  yield activate(expired.id)
  writ.clock.advance(50_000)
  yield step(claimLeases, claim(1), tells('lease.revoked'))
  yield step(endDueTasks, claim(5), tells('task.ended'))
  yield step(endLease, end(expired.id), tells('lease.ended', 'task.closed'))

  const stuckIn = opening()
  yield step(openTask, () => stuckIn, tells('task.opened'))
  const stuck = intending(stuckIn.id)
  yield intend(stuck)
  yield activate(stuck.id)
  yield step(stopLease, () => ({ lease: stuck.id, now: now(), ...said }), tells('lease.revoked'))
  const failing = (kind: string) => () => ({ lease: stuck.id, kind, code: 'accepted', incident: newId('incident'), retryAt: epochMs(now() + 1000), now: now() })
  yield step(failWithdrawal, failing('withdrawal_failed'), tells('lease.withdrawal_failed'))
  yield step(failWithdrawal, failing('still_accepted'), tells('lease.withdrawal_failed', 'incident.opened', 'identity.contained', 'task.ended', 'task.closed'))
  yield step(endLease, end(stuck.id), tells('lease.ended', 'incident.resolved'))
  yield step(changeIdentity, changing('resume'), tells('identity.resumed'))

  const [shipped, changed] = [DEFAULT_BUNDLE, { ...DEFAULT_BUNDLE, 'more.cedar': '@id("nothing-called-odd")\nforbid (principal, action, resource == Writ::Tool::"odd/odd");\n' }].map(filesOf)
  const applying = (files: CheckedFiles | undefined, expected: number | null = null) => () => ({ files, expected, now: now(), ...said })
  const back = (version: number, expected: number | null = null) => () => ({ version, expected, now: now(), ...said })
  yield step(installPolicies, () => ({ files: shipped, now: now() }), tells())
  yield step(warmPolicies, () => ({}), tells())
  yield step(applyPolicies, applying(shipped), tells())
  yield step(applyPolicies, applying(changed, 2), refuses('policies_changed_meanwhile'))
  yield step(applyPolicies, applying(changed, 1), tells('policy.applied'))
  yield step(rollBackPolicies, back(9), refuses('no_such_version'))
  yield step(rollBackPolicies, back(1, 1), refuses('policies_changed_meanwhile'))
  yield step(rollBackPolicies, back(1), tells('policy.applied'))
  yield step(rollBackPolicies, back(1), tells())
  const observing = (of: object, more: object = {}) => () => ({ of, mode: 'observe', until: epochMs(now() + 1000), now: now(), ...said, ...more })
  const itself = { kind: 'identity', reference: agent.identity }
  yield step(setModeOf, observing({ kind: 'identity', reference: 'nhi_none' }), refuses('no_such_identity'))
  yield step(setModeOf, observing({ kind: 'server', reference: 'shopp' }), refuses('no_such_server'))
  yield step(setModeOf, observing(itself, { until: null }), refuses('bad_end'))
  yield step(setModeOf, observing(itself), tells('mode.changed'))
  yield step(setModeOf, observing({ kind: 'server', reference: 'shop' }), tells('mode.changed'))
  for (const expected of [tells('mode.changed'), tells()]) yield step(setModeOf, observing(itself, { mode: 'enforce', until: null }), expected)
  const question = (more: object = {}) => ({
    id: newId('decision'), task: null, action: 'list', arguments: '{}', claimed: '{}', subject: { type: 'agent', id: agent.identity, properties: null },
    resource: { type: 'server', id: 'mail', properties: null }, ...more,
  })
  const questioning = (...asked: readonly object[]) => () => ({ asked, stopAt: 'never', by: { kind: 'operator', id: 'opr_of_the_test' }, uses: [], traceId: 'a test', now: now() })
  yield step(evaluate, questioning(question(), question()), tells('decision.made', 'decision.made'))
  yield step(evaluate, questioning(question(), question({ task: newId('task') })), refuses('no_such_task'))
  const asksTooOften = () => ({ identity: agent.identity, of: 'denied', mostPerMinute: 60, now: now() })
  for (const expected of [tells('finding.raised'), tells()]) yield step(noteAskedTooOften, asksTooOften, expected)
  yield step(eraseDecision, () => ({ decision: 'dec_none', now: now(), ...said }), refuses('no_such_decision'))
  for (const expected of [tells('decision.erased'), tells()]) yield step(eraseDecision, () => ({ decision: denied.decision, now: now(), ...said }), expected)

  yield* toolSteps<Step>(writ, step)
  yield* noticeSteps<Step>(writ, step)
  yield* stopSteps<Step>(writ, step)
  yield* peopleSteps<Step>(writ, step)
  yield* signInFlowSteps<Step>(writ, step)
  yield* approvalSteps<Step>(writ, step)

  const ended = opening()
  yield step(openTask, () => ended, tells('task.opened'))
  const ending = { task: ended.id, because: 'completed', by: { kind: 'identity', id: agent.identity }, now: now() }
  yield step(endTask, () => ({ ...ending, by: { kind: 'identity', id: newId('identity') } }), refuses('no_such_task'))
  yield step(endTask, () => ending, tells('task.ended', 'task.closed'))
  yield step(endTask, () => ending, tells())
  const signing = () => ({ key: newTokenKey(writ.keys.secrets), by: OPERATOR, now: now() })
  const [signs, follows] = [signing(), signing()]
  yield step(makeFirstKey, () => signs, tells('signing_key.published', 'signing_key.activated'))
  yield step(makeFirstKey, () => signing(), tells())
  yield step(publishKey, () => follows, tells('signing_key.published'))
  yield step(publishKey, () => signing(), tells())
  const turn = { from: signs.key.kid, to: follows.key.kid, now: now() }
  yield step(turnKeys, () => turn, tells('signing_key.retired', 'signing_key.activated'))
  yield step(turnKeys, () => turn, refuses('turned_already'))
  yield step(replaceKeys, () => ({ ...signing(), reason: said.reason }), tells('signing_key.revoked', 'signing_key.revoked', 'signing_key.published', 'signing_key.activated'))
  const issuing = (more: object = {}) => ({
    identity: agent.identity, evidence: { kind: 'private_key_jwt', issuer: null, subject: 'agent', credential: null, expiresAt: now() }, authority: null, jkt: 'of the test',
    task: { kind: 'new', id: newId('task'), purpose: 'tidy up', asked }, audience: 'https://writ.example', inExchange: null, id: newId('lease'), uses: [],
    once: { caller: agent.identity, key: null, requestHash: '', now: now() }, now: now(), ...more,
  })
  const issued = issuing()
  yield step(issueToken, () => issuing({ jkt: null }), refuses('proof_needed'))
  yield step(issueToken, () => issued, tells('task.opened', 'lease.minted'))
  yield step(issueToken, () => issuing({ task: { kind: 'open', id: issued.task.id } }), tells('lease.minted'))
  yield step(recordAcceptedToken, () => ({ token: issued.id, incident: newId('incident'), retryAt: now(), now: now() }), tells())
  const givingBack = { token: issued.id, by: OPERATOR, now: now() }
  yield step(revokeToken, () => givingBack, tells('lease.revoked'))
  yield step(revokeToken, () => givingBack, tells())
  yield step(endTask, () => ({ ...ending, task: issued.task.id }), tells('task.ended'))
  yield step(endDueTokens, () => ({ now: now(), limit: 10 }), tells('lease.ended', 'lease.ended', 'task.closed'))
  const backingUp = { backup: newId('backup'), by: OPERATOR, now: now() }
  yield step(beginBackup, () => backingUp, tells('backup.begun'))
  yield step(recordBackup, () => ({ ...backingUp, sha256: '00', rows: {}, logs: [] }), tells('backup.taken'))
  const lost = newId('finding')
  yield step(findOrphan, () => ({ backend, handle: 'writ_lost', finding: lost, now: now() }), tells('finding.raised'))
  const resolving = (finding: string) => () => ({ finding, now: now(), ...said })
  yield step(resolveFinding, resolving('fnd_none'), refuses('no_such_finding'))
  yield step(resolveFinding, resolving(lost), tells('finding.resolved'))
  yield step(resolveFinding, resolving(lost), refuses('already_resolved'))
  yield step(findOrphan, () => ({ backend, handle: 'writ_lost', finding: newId('finding'), now: now() }), tells('finding.raised'))
  yield step(withdrawOrphan, () => ({ backend, handle: 'writ_lost', lost: false, seenAt: now(), now: now() }), tells('orphan.withdrawn'))
  yield step(withdrawOrphan, () => ({ backend, handle: 'writ_lost', lost: false, seenAt: now(), now: now() }), tells())

  const hooked = ids()
  yield step(registerIdentity, () => register({ name: 'hooked', key: newKey(), trigger: { kind: 'webhook' } }, hooked, 'sealed'), tells('admission.decided', 'identity.registered', 'credential.registered'))
  const firing = (identity: string) => () => ({ identity, message: 'msg_1', proof: { hash: new Uint8Array(32).fill(9), expiresAt: epochMs(now() + 1000) }, now: now() })
  yield step(fireTrigger, firing(agent.identity), refuses('no_such_identity'))
  yield step(fireTrigger, firing(hooked.identity), tells('identity.trigger_fired', 'credential.revoked'))
  yield step(fireTrigger, firing(hooked.identity), refuses('replayed'))
  yield step(registerIdentity, () => register({ name: 'of-issuer', trigger: { kind: 'issuer_removed', issuer: 'https://issuer.example' } }), tells('admission.decided', 'identity.registered'))
  const removal = (reference: string) => () => ({ reference, now: now(), ...said })
  yield step(removeIssuer, removal('https://issuer.example'), tells('issuer.removed', 'identity.trigger_fired'))
  yield step(removeIssuer, removal('https://issuer.example'), refuses('already_removed'))
  yield step(trustIssuer, () => trusting(newId('issuer')), tells('binding.revoked', 'issuer.trusted'))
  yield step(removeBackend, removal('shop'), tells('backend.removed'))
  yield step(removeBackend, removal('nothing'), refuses('no_such_thing'))
  yield step(changeIdentity, changing('retire'), tells('identity.retired'))
  yield step(changeIdentity, changing('resume'), refuses('identity_retired'))
  writ.clock.advance(31 * 86_400_000)
  yield step(retireDueIdentities, claim(5), tells('identity.trigger_fired'))
}

/** The log's own changes are watched in `sealing.test.ts`. */
const OF_THE_LOG = ['log.start', 'log.seal', 'log.reject']

for (const name of STORES) {
  describe(`law 1 on ${name}`, () => {
    const opened = storeForSuite(name)

    test('each change tells its events or does not happen, and each refusal leaves nothing behind', async () => {
      const writ = opened()
      const seen = new Set<string>()
      let held = await everyRow(writ)
      for (const step of journey(writ)) {
        held = await take(writ, step, held)
        seen.add(step.change)
      }
      assert.deepEqual(CHANGES.map((one) => one.name).filter((one) => !seen.has(one) && !OF_THE_LOG.includes(one)), [], 'the journey leaves out a change')
    })
  })
}
