import { setImmediate as breathe } from 'node:timers/promises'
import type { Authority, Permit } from '@writ/domain/authority'
import type { Label, Mode } from '@writ/domain/decision'
import type { DecisionId } from '@writ/domain/id'
import type { Identity } from '@writ/domain/identity'
import type { Task } from '@writ/domain/task'
import type { EpochMs } from '@writ/domain/time'
import type { Engine } from '@writ/policy/engine'
import { questionOf } from '../decide/question.ts'
import { TOOL } from '../evaluate/use.ts'
import type { Engines, Store } from '../record/tx.ts'
import { findIdentity } from '../store/identities.ts'
import { listTreeLabels } from '../store/labels.ts'
import { findModes } from '../store/modes.ts'
import { findPolicyFiles } from '../store/policies.ts'
import { findTask } from '../store/tasks.ts'
import { findToken } from '../store/tokens.ts'
import { PSEUDO_TOOLS, type ToolDefinition } from '../tools/definition.ts'
import type { Exchange } from './exchange.ts'

export type VisibleNeeds = { readonly store: Pick<Store, 'read'>; readonly engines: Engines }

/** Others have their turn in between. */
const AT_ONCE = 20
const PSEUDO: ReadonlySet<string> = new Set(PSEUDO_TOOLS.map(({ definition }) => definition.name))

type Asked = { readonly exchange: Exchange; /** The version of the policies that let the task look. */ readonly version: number; readonly tools: Iterable<ToolDefinition>; readonly now: EpochMs }

type Sight = { readonly engine: Engine; readonly task: Task; readonly identity: Identity; readonly authority: Authority; readonly labels: readonly Label[]; readonly mode: Mode }

/**
 * Of what a server lists that which the task could be allowed to call, with some arguments and maybe after an approval: accepted as it is, in
 * its grant, and not forbidden whatever it says. Limits of the grant bound arguments, and so hide nothing.
 */
export async function visibleTools(needs: VisibleNeeds, asked: Asked): Promise<readonly ToolDefinition[]> {
  const sight = await sightOf(needs, asked)
  if (sight === undefined) return []
  const accepted = new Map(sight.engine.bundle.tools.filter(({ server }) => server === asked.exchange.server).map(({ name, pin }) => [name, pin]))
  const found: ToolDefinition[] = []
  let looked = 0
  for (const tool of asked.tools) {
    if (accepted.get(tool.name) !== tool.hash) continue
    if (looked > 0 && looked % AT_ONCE === 0) await breathe()
    looked += 1
    if (isVisible(sight, asked, tool.name)) found.push(tool)
  }
  return found
}

export const isPseudo = ({ name }: Pick<ToolDefinition, 'name'>): boolean => PSEUDO.has(name)

async function sightOf({ store, engines }: VisibleNeeds, { exchange: { caller, server }, version, now }: Asked): Promise<Sight | undefined> {
  return store.read(async (db) => {
    const engine = await engines.engineOf(version, () => findPolicyFiles(db, version))
    const [task, identity, token] = [await findTask(db, caller.task), await findIdentity(db, caller.identity), await findToken(db, caller.lease)]
    if (task === undefined || identity === undefined || token === undefined) return undefined
    const modes = await findModes(db, { identity: identity.id, server }, now)
    return { engine, task, identity, authority: token.authority, labels: await listTreeLabels(db, task.root), mode: modes.length > 0 ? 'observe' : 'enforce' }
  })
}

function isVisible({ engine, task, identity, authority, labels, mode }: Sight, { exchange: { caller, server, traceId }, now }: Asked, tool: string): boolean {
  const permit: Permit = { type: 'mcp', resource: server, action: tool, limits: {} }
  if (!authority.some((one) => one.type === permit.type && one.resource === server && one.action === tool)) return false
  if (mode === 'observe') return true
  const question = questionOf(engine, {
    id: '' as DecisionId, task, identity, action: 'call', resource: { type: TOOL, id: `${server}/${tool}` }, arguments: {}, claimed: {}, authority, permit, calls: 1, server,
    workload: null, by: { kind: 'identity', id: caller.identity }, traceId, now,
  }, labels)
  return engine.couldAllow(question) !== 'no'
}
