import type { Label } from '@writ/domain/decision'
import type { DecisionId, IdentityId, TaskId } from '@writ/domain/id'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { Kysely } from 'kysely'
import { BY_KEY, justWrite, prepared } from './prepared.ts'
import type { Tables } from './tables.ts'

type Db = Kysely<Tables>

/** What a task tree may have seen. It only grows. */
export async function listTreeLabels(db: Db, root: TaskId): Promise<readonly Label[]> {
  return (await labelsOfTree(db, { root })).rows.map((row) => row.label)
}

const labelsOfTree = prepared((db, of: { readonly root: TaskId }) => db.selectFrom('tree_label').select('label').where('root_id', '=', of.root).orderBy('label'), BY_KEY)

/** The same of the tree that a task is in. */
export async function listLabelsAround(db: Db, task: TaskId): Promise<readonly Label[]> {
  return (await labelsAround(db, { task })).rows.map((row) => row.label)
}

const labelsAround = prepared((db, of: { readonly task: TaskId }) => db.selectFrom('tree_label').select('label')
  .where('root_id', '=', (eb) => eb.selectFrom('task').select('task.root_id').where('task.id', '=', of.task)).orderBy('label'), BY_KEY)

/** A label with where it comes from: since when, by which decision, and through which tool or back end. */
export type TreeLabel = { readonly label: Label; readonly at: EpochMs; readonly decision: DecisionId; readonly source: string }

export async function describeTreeLabels(db: Db, root: TaskId): Promise<readonly TreeLabel[]> {
  const rows = await db.selectFrom('tree_label').selectAll().where('root_id', '=', root).orderBy('at').orderBy('label').execute()
  return rows.map((row) => ({ label: row.label, at: epochMs(row.at), decision: row.decision_id as DecisionId, source: row.source }))
}

export type NewLabels = {
  readonly root: TaskId
  readonly identity: IdentityId
  /** The running instance, to whose next task they come along; null where it is not known. */
  readonly workload: string | null
  /** Those that the tree does not have yet. */
  readonly fresh: readonly Label[]
  /** All that the instance gets to see. */
  readonly brought: readonly Label[]
  /** Inserted before, in the same change. */
  readonly decision: DecisionId
  readonly source: string
  readonly now: EpochMs
}

/** What a tree or an instance has already, stays as it is. The root of the tree is locked by the change. */
export async function addLabels(db: Db, { root, identity, workload, fresh, brought, decision, source, now }: NewLabels): Promise<void> {
  if (fresh.length > 0) {
    await justWrite(db, db.insertInto('tree_label').values([...new Set(fresh)].map((label) => ({ root_id: root, label, at: now, decision_id: decision, source })))
      .onConflict((conflict) => conflict.columns(['root_id', 'label']).doNothing()))
  }
  if (workload === null || brought.length === 0) return
  // In the order of their names: two changes that add the same ones do not wait for each other crosswise.
  await justWrite(db, db.insertInto('instance_label').values([...new Set(brought)].toSorted().map((label) => ({ identity_id: identity, workload, label, at: now, decision_id: decision, source })))
    .onConflict((conflict) => conflict.columns(['identity_id', 'workload', 'label']).doNothing()))
}

/** A new tree of a running instance begins with all that the instance has seen. */
export async function inheritLabels(db: Db, { root, identity, workload }: { readonly root: TaskId; readonly identity: IdentityId; readonly workload: string }): Promise<void> {
  await db.insertInto('tree_label').columns(['root_id', 'label', 'at', 'decision_id', 'source'])
    .expression(db.selectFrom('instance_label').select((eb) => [eb.val(root).as('root_id'), 'label', 'at', 'decision_id', 'source'])
      .where('identity_id', '=', identity).where('workload', '=', workload))
    .execute()
}

/** What a running instance of an identity has seen in any of its tasks. */
export async function listInstanceLabels(db: Db, identity: IdentityId, workload: string): Promise<readonly Label[]> {
  const rows = await db.selectFrom('instance_label').select('label').where('identity_id', '=', identity).where('workload', '=', workload).orderBy('label').execute()
  return rows.map((row) => row.label)
}
