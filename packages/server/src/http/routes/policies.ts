import * as contract from '@writ/contract/policies'
import { unreachable } from '@writ/domain/outcome'
import { epochMs, toIso, type EpochMs } from '@writ/domain/time'
import type { Clock } from '../../platform/clock.ts'
import { rollBackPolicies, type Applied } from '../../policies/apply.ts'
import { applyFiles, type FilesRefusal } from '../../policies/apply-files.ts'
import type { PoliciesAside } from '../../policies/aside.ts'
import { MOST_OBSERVED_DAYS, setModeOf, type ModeRefusal } from '../../policies/mode.ts'
import type { Db, Store } from '../../record/tx.ts'
import { findPolicyFiles, findPolicyHead, findPolicyVersion, listPolicyVersions, type PolicyVersion } from '../../store/policies.ts'
import { listModes, modeAt, type StoredMode } from '../../store/modes.ts'
import { actorOf, route, type Route } from '../call.ts'
import { policiesRefused, problem, type ProblemAnswer } from '../problem.ts'

export type PolicyRoutesNeeds = { readonly store: Store; readonly clock: Clock; readonly aside: Pick<PoliciesAside, 'check'> }

const KEY_REUSED = problem('idempotency-key-reused')
const NO_VERSION = problem('not-found', { code: 'no_such_version', detail: 'there is no such version of the policies', hint: 'writ policy list' })
const BAD_CURSOR = problem('invalid-fields', { errors: [{ field: 'cursor', message: 'is not one of ours' }] })

export function policyRoutes({ store, clock, aside }: PolicyRoutesNeeds): readonly Route[] {
  const showApplied = async ({ version, changed }: Applied): Promise<contract.AppliedPoliciesReply> => store.read(async (db) =>
    ({ ...versionReply((await findPolicyVersion(db, version))!, (await findPolicyHead(db)).version), changed }))
  const modeRoutes = [
    route(contract.listModes, async () => {
      const now = clock.now()
      return { reply: { modes: (await store.read(listModes)).map((one) => modeReply(one, now)) } }
    }),
    route(contract.setMode, async ({ caller, body, once }) => {
      const until = body.until === undefined ? null : epochMs(Date.parse(body.until))
      const input = { of: { kind: body.subject.kind, reference: body.subject.id }, mode: body.mode, reason: body.reason, until, by: actorOf(caller), now: clock.now() }
      const set = await store.changeOnce(setModeOf, input, once)
      if (!set.ok) return set.refusal.kind === 'key_reused' ? KEY_REUSED : modeProblem(set.refusal)
      return { reply: modeReply(set.value.value, clock.now()) }
    }),
  ]
  return [
    route(contract.listPolicies, async ({ query }) => {
      const before = query.cursor === undefined ? undefined : Number(query.cursor)
      if (before !== undefined && !Number.isSafeInteger(before)) return BAD_CURSOR
      const [found, head] = await store.read(async (db) =>
        [await listPolicyVersions(db, { limit: query.limit + 1, ...(before === undefined ? {} : { before }) }), await findPolicyHead(db)] as const)
      const versions = found.slice(0, query.limit).map((one) => versionReply(one, head.version))
      return { reply: { versions, next: found.length > query.limit ? String(versions.at(-1)!.version) : null } }
    }),
    route(contract.showCurrentPolicies, async () => ({ reply: (await store.read(async (db) => withFiles(db, (await findPolicyHead(db)).version)))! })),
    route(contract.showPolicies, async ({ parameters }) => {
      const reply = await store.read((db) => withFiles(db, versionNumber(parameters.version!)))
      return reply === undefined ? NO_VERSION : { reply }
    }),
    route(contract.checkPolicies, async ({ body }) => {
      const checked = await aside.check(body.files)
      return { reply: { complaints: checked.ok ? [] : checked.refusal.map((one) => ({ ...one })) } }
    }),
    route(contract.applyPolicies, async ({ caller, body, once }) => {
      const order = { files: body.files, reason: body.reason, expected: body.expected_version ?? null, by: actorOf(caller), once }
      const applied = await applyFiles({ store, aside, clock }, order)
      return applied.ok ? { reply: await showApplied(applied.value) } : applyProblem(applied.refusal)
    }),
    route(contract.rollBackPolicies, async ({ caller, body, once }) => {
      const files = await store.read(async (db) => (await findPolicyVersion(db, body.version)) && findPolicyFiles(db, body.version))
      if (files === undefined) return NO_VERSION
      // What was applied under an older program may be nothing that this one can read.
      const checked = await aside.check(files)
      if (!checked.ok) return policiesRefused(checked.refusal)
      const order = { version: body.version, reason: body.reason, expected: body.expected_version ?? null, by: actorOf(caller), now: clock.now() }
      const applied = await store.changeOnce(rollBackPolicies, order, once)
      if (!applied.ok) return applyProblem(applied.refusal)
      return { reply: await showApplied(applied.value.value) }
    }),
    ...modeRoutes,
  ]
}

/** None has the number 0. */
const versionNumber = (text: string): number => (/^[1-9]\d{0,14}$/.test(text) ? Number(text) : 0)

async function withFiles(db: Db, version: number): Promise<contract.PolicyFilesReply | undefined> {
  const found = await findPolicyVersion(db, version)
  return found && { ...versionReply(found, (await findPolicyHead(db)).version), files: { ...await findPolicyFiles(db, version) } }
}

const versionReply = ({ version, digest, rolledBackTo, reason, appliedBy, appliedAt }: PolicyVersion, head: number): contract.PolicyVersionReply => ({
  version, digest, in_force: version === head, rolled_back_to: rolledBackTo, reason, applied_by: appliedBy, applied_at: toIso(appliedAt),
})

function modeReply(stored: StoredMode, now: EpochMs): contract.ModeReply {
  const { kind, subject, reason, until, setBy, setAt } = stored
  return { subject: { kind, id: subject }, mode: modeAt(stored, now), reason, until: until === null ? null : toIso(until), set_by: setBy, set_at: toIso(setAt) }
}

function applyProblem(refusal: FilesRefusal): ProblemAnswer {
  const code = refusal.kind
  switch (refusal.kind) {
    case 'key_reused': return KEY_REUSED
    case 'policies_refused': return policiesRefused(refusal.complaints)
    case 'no_such_version': return NO_VERSION
    case 'policies_changed_meanwhile': return problem('conflict', {
      code, detail: `version ${refusal.version} is in force by now; nothing was applied`, hint: 'see what it changed: writ policy diff DIR',
    })
    default: return unreachable(refusal)
  }
}

function modeProblem(refusal: ModeRefusal): ProblemAnswer {
  const code = refusal.kind
  switch (refusal.kind) {
    case 'no_such_identity': return problem('not-found', { code, detail: 'there is no such identity', hint: 'writ identity list' })
    case 'no_such_server': return problem('not-found', { code, detail: 'there is no back end of this name, and no server of tools that the policies know', hint: 'writ backend list' })
    case 'bad_end': return problem('invalid-fields', {
      code, detail: '1 field is missing or wrong; nothing was written',
      errors: [{ field: 'until', message: `with \`observe\` it is an instant to come, at most ${MOST_OBSERVED_DAYS} days away (${toIso(refusal.most)}); with \`enforce\` it is left out` }],
    })
    default: return unreachable(refusal)
  }
}
