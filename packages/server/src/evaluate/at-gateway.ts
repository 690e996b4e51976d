import type { ServerInstanceId } from '@writ/domain/id'
import type { Task } from '@writ/domain/task'
import type { EpochMs } from '@writ/domain/time'
import type { Engine } from '@writ/policy/engine'
import type { EntityRef } from '@writ/policy/question'
import type { Continues } from '../decide/continued.ts'
import type { Decided } from '../decide/record-decision.ts'
import type { Tx } from '../record/tx.ts'
import { insertToolCall } from '../store/tool-calls.ts'

/** What the gateway knows of an attempt, and nobody else could say. */
export type AtGateway =
  | { readonly kind: 'look'; /** Whether an MCP server of that name is there. */ readonly isThere: boolean }
  | { readonly kind: 'call'; readonly instance: ServerInstanceId; /** The hash of the tool's definition as its server lists it now; null where it lists none. */ readonly listed: string | null; /** The approved call that it goes on with. */ readonly continues?: Continues }

/**
 * Why nothing goes to the server, whatever the policies say. A tool is what a person has accepted, to the last character of its definition, in
 * the version of the policies that decides.
 */
export function barredAt(known: AtGateway | undefined, { id }: EntityRef, engine: Engine): string | undefined {
  if (known === undefined) return undefined
  if (known.kind === 'look') return known.isThere ? undefined : `there is no MCP server \`${id}\``
  const pin = engine.bundle.tools.find((tool) => tool.id === id)?.pin
  if (pin === undefined) return `the tool \`${id}\` has not been accepted`
  if (known.listed === null) return `its server does not list the tool \`${id}\``
  return known.listed === pin ? undefined : `the tool \`${id}\` is not as it was accepted`
}

type Begun = { readonly decided: Decided; readonly task: Task; readonly uid: EntityRef; readonly instance: ServerInstanceId; readonly now: EpochMs }

/** Law 4: the attempt is recorded, with its decision, before a byte leaves. */
export async function begin(tx: Tx, { decided, task, uid, instance, now }: Begun): Promise<void> {
  const at = uid.id.indexOf('/')
  await insertToolCall(tx.db, {
    decision: decided.id, task: task.id, identity: task.identity, server: uid.id.slice(0, at), tool: uid.id.slice(at + 1), instance, startedAt: now,
  })
}
