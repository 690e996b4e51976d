import { parseExactJson } from '@writ/contract/strict-json'
import { fromAuthorizationDetails, parseGrantText, type Permit } from '@writ/domain/authority'
import type { DecisionId } from '@writ/domain/id'
import { readCheckedBundle, type BundleFiles } from '@writ/policy/bundle'
import { openEngine, type Engine } from '@writ/policy/engine'
import { explain } from '@writ/policy/explain'
import type { Cause, Explanation } from '@writ/policy/explanation'
import type { Question } from '@writ/policy/question'
import type { Db, Store } from '../record/tx.ts'
import type { Decision } from '../store/decisions.ts'
import { findPolicyFiles } from '../store/policies.ts'
import { findTask } from '../store/tasks.ts'

/** Everything that an explanation is made of; plain, so that another thread can make it. */
export type Unexplained = {
  readonly decision: DecisionId
  readonly version: number
  readonly files: BundleFiles
  /** What was asked, as exact JSON. */
  readonly asked: string
  readonly cause: Cause
  readonly traceId: string | null
}

/** The decision with the policies of its time. */
export async function unexplained(store: Store, decision: Decision, asked: string): Promise<Unexplained> {
  const { id, policyVersion: version, traceId } = decision
  const [files, cause] = await store.read(async (db) => [await findPolicyFiles(db, version), await causeOf(db, decision)] as const)
  return { decision: id, version, files, asked, cause, traceId }
}

/** Why it came out so. */
export function explainDecision(engine: Engine, { decision, asked, cause, traceId }: Unexplained): Explanation {
  const parsed = parseExactJson(asked)
  if (!parsed.ok) throw new Error(`what was asked at ${decision} can not be read: ${parsed.refusal.kind}`)
  const question = parsed.value as unknown as Question
  return explain(engine, question, engine.decide(question), { cause, decision, ...(traceId === null ? {} : { traceId }) })
}

export function engineFor({ files, version }: Unexplained): Engine {
  const bundle = readCheckedBundle(files)
  if (!bundle.ok) throw new Error(`version ${version} of the policies can not be read: ${bundle.refusal[0]?.message}`)
  return openEngine(bundle.value)
}

async function causeOf(db: Db, { cause, errors, task: id, permit }: Decision): Promise<Cause> {
  switch (cause) {
    case 'policy':
    case 'budget': return { kind: cause }
    case 'error': return { kind: cause, errors }
    case 'state': return { kind: cause, what: errors.join('; ') }
    case 'grant': {
      const asked = permitIn(permit ?? '')
      const task = id === null ? undefined : await findTask(db, id)
      // A grant only widens: what it holds now may be more than it held then, never less.
      return asked === undefined || task === undefined ? { kind: 'state', what: errors.join('; ') } : { kind: cause, asked, authority: task.authority }
    }
  }
}

function permitIn(text: string): Permit | undefined {
  const detail = parseGrantText(text)
  const authority = detail.ok ? fromAuthorizationDetails([detail.value]) : detail
  return authority.ok ? authority.value[0] : undefined
}
