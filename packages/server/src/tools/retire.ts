import type { EventActor } from '@writ/domain/event'
import { ok, refuse } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import { append } from '../record/append.ts'
import { change, type Tx } from '../record/tx.ts'
import { lockMcpServer, markMcpServerRetired } from '../store/mcp-servers.ts'
import { findingsDue, settleFindings } from './tool-findings.ts'

type RetireInput = { readonly server: string; readonly reason: string; readonly by: EventActor; readonly now: EpochMs }
export type RetireRefusal = { readonly kind: 'no_such_server' }

/** From the commit on no task reaches it. What was pinned stays in the policies, and its name is free for another. */
export const retireMcpServer = change('mcp_server.retire', async (tx: Tx, { server: name, reason, by, now }: RetireInput) => {
  const server = await lockMcpServer(tx, name)
  if (server === undefined) return refuse<RetireRefusal>({ kind: 'no_such_server' })
  await markMcpServerRetired(tx.db, server.id, now)
  await append(tx, now, { type: 'mcp_server.retired', actor: by, facts: { mcp_server: server.id, name }, said: { reason } })
  await settleFindings(tx, await findingsDue(tx.db, name, { listed: [], unreadable: [] }, new Map()), now)
  return ok(server.id)
})
