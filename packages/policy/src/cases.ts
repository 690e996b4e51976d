import { IDENTITY_CLASSES } from '@writ/domain/profile'
import type { ExactRecord, ExactValue } from '@writ/domain/exact'
import { ok, type Outcome } from '@writ/domain/outcome'
import type { Bundle } from './bundle.ts'
import { readCases, type CaseEntity, type Expectation, type PolicyCase } from './case-file.ts'
import type { Complaint } from './complaint.ts'
import type { Engine } from './engine.ts'
import { explain } from './explain.ts'
import { answerOf, inert, linesOf, withApproval } from './explanation.ts'
import type { Entity, EntityRef, PolicyPlace, Question } from './question.ts'
import { KIND_TYPES } from './schema.ts'

export type CaseResult = {
  readonly asked: PolicyCase
  readonly passed: boolean
  readonly came: Expectation
  readonly by: readonly PolicyPlace[]
  /** The four lines of the explanation; empty for a case that passed. */
  readonly why: readonly string[]
}

type Known = Question['known']

const HOLDER = 'spiffe://example.test/case'

/** What Writ would know of an ordinary task; a case says where it differs. */
const ORDINARY: ExactRecord = {
  task: 'tsk_case',
  class: 'autonomous',
  environment: 'development',
  depth: 0n,
  budget_left: 100n,
  labels: [],
  approved: false,
  at: '2026-01-05T12:00:00Z',
}

/** Runs every case of the bundle against the engine of that bundle, or of another one. */
export function runCases(engine: Engine, bundle: Bundle): Outcome<readonly CaseResult[], readonly Complaint[]> {
  const cases = readCases(bundle.files)
  return cases.ok ? ok(cases.value.map((one) => runCase(engine, one))) : cases
}

/** The cases that failed, as what is wrong with the bundle. */
export const failedCases = (results: readonly CaseResult[]): readonly Complaint[] =>
  results.filter(({ passed }) => !passed).map(({ asked, came, by, why }) => {
    const wanted = asked.by === null ? SAID[asked.expect] : `${SAID[asked.expect]} by ${asked.by.join(', ')}`
    const found = by.length === 0 ? SAID[came] : `${SAID[came]} by ${by.map(({ policy }) => policy).join(', ')}`
    const message = `case \`${inert(asked.name)}\` expects ${wanted}, and it is ${found}`
    return { file: asked.file, line: asked.line, column: 1, message, hint: why.slice(1, 3).join('; ') }
  })

const SAID: Readonly<Record<Expectation, string>> = { allow: 'allowed', deny: 'denied', needs_approval: 'in need of an approval' }

function runCase(engine: Engine, asked: PolicyCase): CaseResult {
  const question = questionOf(engine, asked)
  const verdict = engine.decide(question)
  const answer = answerOf(verdict)
  const came: Expectation = answer === 'approval_required' ? 'needs_approval' : answer
  const by = came === 'needs_approval' ? engine.decide(withApproval(question)).by : verdict.by
  const passed = came === asked.expect && (asked.by ?? []).every((id) => by.some(({ policy }) => policy === id))
  return { asked, passed, came, by, why: passed ? [] : linesOf(explain(engine, question, verdict)) }
}

/** The question of a case, with all that it left out. */
function questionOf(engine: Engine, asked: PolicyCase): Question {
  const context = { ...ORDINARY, ...(asked.action === 'connect' ? { template: 'case' } : {}), ...asked.context }
  return {
    principal: entityOf(engine, asked.principal, context),
    action: asked.action,
    resource: entityOf(engine, asked.resource, context),
    arguments: asked.arguments,
    claimed: asked.claimed,
    known: { purpose: purposeOf('none'), ...knownOf(engine, context) },
  }
}

function entityOf(engine: Engine, { type, id, attributes, parents }: CaseEntity, context: ExactRecord): Entity {
  const uid: EntityRef = { type: engine.typeNamed(type) ?? type, id: id ?? HOLDER }
  const ordinary = engine.entity(uid) === undefined ? ordinaryOf(uid, context) : { attributes: {}, parents: [] }
  return {
    uid,
    attributes: { ...ordinary.attributes, ...attributes },
    parents: [...ordinary.parents, ...parents.map((parent) => ({ type: engine.typeNamed(parent.type) ?? parent.type, id: parent.id }))],
  }
}

/** What Writ would know of an entity of its own that the bundle does not: of a tool or a back end, the worst. */
function ordinaryOf(uid: EntityRef, context: ExactRecord): Pick<Entity, 'attributes' | 'parents'> {
  const ofWrit = uid.type.startsWith('Writ::') ? uid.type.slice('Writ::'.length) : ''
  if (KIND_TYPES.includes(ofWrit)) {
    const known = IDENTITY_CLASSES.find((one) => one === context['class'])
    return {
      attributes: { class: context['class'] ?? '', environment: context['environment'] ?? '', system_scope: [] },
      parents: known === undefined ? [] : [{ type: 'Writ::Class', id: known }],
    }
  }
  if (ofWrit === 'Tool') {
    return { attributes: { effect: 'external', reversible: false, labels: [] }, parents: [{ type: 'Writ::Server', id: uid.id.split('/')[0]! }] }
  }
  if (ofWrit === 'Backend') return { attributes: { kind: 'postgres', effect: 'write', reversible: false, labels: [] }, parents: [] }
  return { attributes: {}, parents: [] }
}

function knownOf(engine: Engine, context: ExactRecord): Known {
  return Object.fromEntries(Object.entries(context).map(([name, value]) => {
    if (name === 'purpose' && typeof value === 'string') return [name, purposeOf(value)]
    const ref = refIn(value)
    return [name, ref === undefined ? value : { entity: { type: engine.typeNamed(ref.type) ?? ref.type, id: ref.id } }]
  }))
}

const purposeOf = (id: string): { readonly entity: EntityRef } => ({ entity: { type: 'Writ::Purpose', id } })

/** `{ "entity": { "type": "Group", "id": "payments" } }`. */
function refIn(value: ExactValue): EntityRef | undefined {
  if (value === null || typeof value !== 'object' || Object.keys(value).join() !== 'entity') return undefined
  const { entity } = value as { readonly entity: ExactValue }
  if (entity === null || typeof entity !== 'object') return undefined
  const { type, id } = entity as ExactRecord
  return typeof type === 'string' && typeof id === 'string' ? { type, id } : undefined
}
