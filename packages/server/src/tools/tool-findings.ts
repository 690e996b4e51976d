import type { EventActor } from '@writ/domain/event'
import type { FindingKind } from '@writ/domain/finding'
import { mintId, type FindingId } from '@writ/domain/id'
import type { EpochMs } from '@writ/domain/time'
import type { Tool } from '@writ/policy/tools'
import { append } from '../record/append.ts'
import type { Db, Engines, Tx } from '../record/tx.ts'
import type { HiddenText } from '../store/mcp-servers.ts'
import { findPolicyFiles, peekPolicyHead } from '../store/policies.ts'
import { insertFindingOnce, listOpenFindings, markFindingResolved, type Finding } from '../store/watches.ts'
import type { Unreadable } from './definition.ts'

const WRIT: EventActor = { kind: 'writ', id: 'writ' }
const OF_LISTED: readonly FindingKind[] = ['tool_changed', 'tool_hidden_text']
const OF_LIST: readonly FindingKind[] = [...OF_LISTED, 'tool_unreadable']

/** What of a listed definition a finding can hang on. */
export type Listed = { readonly name: string; readonly hash: string; readonly flags: readonly HiddenText[] }

/** `unreadable`: null where no list was just heard, and what it left out is as it was. */
export type Heard = { readonly listed: readonly Listed[]; readonly unreadable: readonly Unreadable[] | null }

type Raised = Pick<Finding, 'kind' | 'subject' | 'evidence'>
export type FindingsDue = { readonly raise: readonly Raised[]; readonly resolve: readonly Pick<Finding, 'id' | 'kind'>[] }

/** The tools of a server as the policies in force have them, by name. */
export async function toolsInForce(db: Db, engines: Engines, server: string): Promise<ReadonlyMap<string, Tool>> {
  const head = await peekPolicyHead(db)
  if (head === undefined) return new Map()
  const { bundle } = await engines.engineOf(head.version, () => findPolicyFiles(db, head.version))
  return new Map(bundle.tools.filter((tool) => tool.server === server).map((tool) => [tool.name, tool]))
}

/**
 * What has to be raised and what resolved, so that the findings say what is so: a pinned tool whose server defines it otherwise now, text that
 * nobody sees in a definition that nobody has accepted, and a definition that can not be read, whose tool nobody is shown.
 */
export async function findingsDue(db: Db, server: string, { listed, unreadable }: Heard, inForce: ReadonlyMap<string, Tool>): Promise<FindingsDue> {
  const flaws = [...listed.flatMap((tool) => flawsOf(server, tool, inForce.get(tool.name)?.pin)), ...(unreadable ?? []).map((one) => unreadableOf(server, one))]
  const wanted = new Map(flaws.map((one) => [keyOf(one), one]))
  const open = await listOpenFindings(db, unreadable === null ? OF_LISTED : OF_LIST, `${server}/`)
  const held = new Set(open.filter((one) => wanted.has(keyOf(one))).map(keyOf))
  return { raise: [...wanted].filter(([key]) => !held.has(key)).map(([, one]) => one), resolve: open.filter((one) => !held.has(keyOf(one))) }
}

function flawsOf(server: string, { name, hash, flags }: Listed, pin: string | undefined): readonly Raised[] {
  if (pin === hash) return []
  const subject = `${server}/${name}`
  const about = { server, tool: name, seen: hash }
  return [
    ...(pin === undefined ? [] : [{ kind: 'tool_changed' as const, subject, evidence: { ...about, pinned: pin } }]),
    ...(flags.length === 0 ? [] : [{ kind: 'tool_hidden_text' as const, subject, evidence: { ...about, places: flags.length, first: flags[0]!.at, characters: [...flags[0]!.characters] } }]),
  ]
}

const unreadableOf = (server: string, { name, because, hash }: Unreadable): Raised =>
  ({ kind: 'tool_unreadable', subject: `${server}/${name}`, evidence: { server, tool: name, seen: hash, because } })

/** A definition that changed again is another finding. */
const keyOf = ({ kind, subject, evidence }: Raised): string => JSON.stringify([kind, subject, evidence['seen'], evidence['pinned'] ?? null])

export async function settleFindings(tx: Tx, { raise, resolve }: FindingsDue, now: EpochMs): Promise<readonly FindingId[]> {
  // Before, for of one kind and subject one alone is open.
  for (const { id, kind } of resolve) {
    await markFindingResolved(tx.db, id, now)
    await append(tx, now, { type: 'finding.resolved', actor: WRIT, facts: { finding: id, kind } })
  }
  const raised: FindingId[] = []
  for (const { kind, subject, evidence } of raise) {
    const id = mintId('finding', now, tx.context.entropy.bytes(10))
    if (!(await insertFindingOnce(tx.db, { id, kind, subject, identity: null, evidence, state: 'open', raisedAt: now }))) continue
    await append(tx, now, { type: 'finding.raised', actor: WRIT, facts: { finding: id, kind, ...evidence as Readonly<Record<string, string | number | readonly string[]>> } })
    raised.push(id)
  }
  return raised
}
