import { hash } from 'node:crypto'
import type { EventActor } from '@writ/domain/event'
import { ok, refuse } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { canonical } from '@writ/ledger/canonical'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { findPolicyFiles, findPolicyVersion, insertPolicyVersion, lockPolicyHead, movePolicyHead, type PolicyHead } from '../store/policies.ts'
import type { CheckedFiles } from './check.ts'

/** `changed`: false where the files in force are the very same, and nothing was written. */
export type Applied = PolicyHead & { readonly changed: boolean }

export type ApplyRefusal =
  /** Since whoever applies looked, another version was applied. */
  | { readonly kind: 'policies_changed_meanwhile'; readonly version: number }
  | { readonly kind: 'no_such_version' }

type Order = {
  readonly reason: string
  /** The version that whoever asks has seen in force; null where that does not matter. */
  readonly expected: number | null
  readonly by: EventActor
  readonly now: EpochMs
}

/** The files as one number: the same files in any order have the same. */
export const digestOf = (files: CheckedFiles): string => hash('sha256', canonical(files), 'hex')

/** From the commit on every decision on every server is made by these files: each reads in its own transaction which version is in force. */
export const applyPolicies = change('policy.apply', async (tx: Tx, { files, ...order }: Order & { readonly files: CheckedFiles }) => {
  const head = await headFor(tx, order)
  return head.ok ? ok(await bringIn(tx, head.value, { ...order, files, rolledBackTo: null })) : head
})

/** A new version with the files of an older one: versions only count up, so that what was in force when is never in doubt. */
export const rollBackPolicies = change('policy.roll_back', async (tx: Tx, { version, ...order }: Order & { readonly version: number }) => {
  const head = await headFor(tx, order)
  if (!head.ok) return head
  if (await findPolicyVersion(tx.db, version) === undefined) return refuse<ApplyRefusal>({ kind: 'no_such_version' })
  // What stands in the store was checked when it was applied, and never changes.
  const files = await findPolicyFiles(tx.db, version) as CheckedFiles
  return ok(await bringIn(tx, head.value, { ...order, files, rolledBackTo: version }))
})

/** The set that ships, for a store that has none. Of servers that start together on an empty store one writes it. */
export const installPolicies = change('policy.install', async (tx: Tx, { files, now }: { readonly files: CheckedFiles; readonly now: EpochMs }) => {
  const head = await lockPolicyHead(tx)
  if (head !== undefined) return ok<Applied>({ ...head, changed: false })
  const first = { version: 1, digest: digestOf(files), files, rolledBackTo: null, reason: null, appliedBy: WRIT.id, appliedAt: now }
  if (!(await insertPolicyVersion(tx.db, first))) return refuse({ kind: 'installed_meanwhile' } as const)
  await movePolicyHead(tx.db, first.version)
  await append(tx, now, { type: 'policy.applied', actor: WRIT, facts: factsOf(first, null) })
  return ok<Applied>({ version: first.version, digest: first.digest, changed: true })
})

const WRIT: EventActor = { kind: 'writ', id: 'writ' }

async function headFor(tx: Tx, { expected }: Order) {
  const head = await lockPolicyHead(tx)
  if (head === undefined) throw new Error('no policies were ever applied')
  return expected === null || expected === head.version ? ok(head) : refuse<ApplyRefusal>({ kind: 'policies_changed_meanwhile', version: head.version })
}

async function bringIn(tx: Tx, head: PolicyHead, { files, rolledBackTo, reason, by, now }: Order & { readonly files: CheckedFiles; readonly rolledBackTo: number | null }): Promise<Applied> {
  const digest = digestOf(files)
  if (digest === head.digest) return { ...head, changed: false }
  const next = { version: head.version + 1, digest, files, rolledBackTo, reason, appliedBy: by.id, appliedAt: now }
  // INVARIANT: the head is locked, so nobody else counts up from it.
  if (!(await insertPolicyVersion(tx.db, next))) throw new Error(`version ${next.version} of the policies is there and was never in force`)
  await movePolicyHead(tx.db, next.version)
  await append(tx, now, { type: 'policy.applied', actor: by, facts: factsOf(next, head.version), said: { reason } })
  return { version: next.version, digest, changed: true }
}

type Brought = { readonly version: number; readonly digest: string; readonly files: CheckedFiles; readonly rolledBackTo: number | null }

const factsOf = ({ version, digest, files, rolledBackTo }: Brought, before: number | null) =>
  ({ version, digest, before, rolled_back_to: rolledBackTo, files: Object.keys(files).length })
