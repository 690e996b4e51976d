import type { EventActor } from '@writ/domain/event'
import type { McpServerId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { EpochMs } from '@writ/domain/time'
import type { Sealer } from '../keys/seal.ts'
import type { Clock } from '../platform/clock.ts'
import { append } from '../record/append.ts'
import { change, type Store, type Tx } from '../record/tx.ts'
import { findMcpServer, lockMcpServerById, setMcpSecret } from '../store/mcp-servers.ts'
import type { Once, KeyReused } from '../store/store.ts'
import { sealedSecrets, type ServerSecrets } from './add.ts'

export type RotateRefusal = { readonly kind: 'no_such_server' }

export type RotateNeeds = { readonly store: Pick<Store, 'read' | 'changeOnce'>; readonly secrets: Sealer; readonly clock: Clock }

/** All of its secrets by others. Ways to it that are open already keep what they began with until they end. */
export async function rotateServerSecret(needs: RotateNeeds, name: string, secrets: ServerSecrets, by: EventActor, once: Once): Promise<Outcome<McpServerId, RotateRefusal | KeyReused>> {
  const server = await needs.store.read((db) => findMcpServer(db, name))
  if (server === undefined) return refuse({ kind: 'no_such_server' })
  const input = { server: server.id, sealed: sealedSecrets(needs.secrets, server.id, secrets), secrets: Object.keys(secrets), by, now: needs.clock.now() }
  const rotated = await needs.store.changeOnce(rotateMcpSecret, input, once)
  return rotated.ok ? ok(rotated.value.value) : rotated
}

type RotateInput = { readonly server: McpServerId; readonly sealed: string | null; /** Their names alone. */ readonly secrets: readonly string[]; readonly by: EventActor; readonly now: EpochMs }

export const rotateMcpSecret = change('mcp_server.rotate_secret', async (tx: Tx, { server: id, sealed, secrets, by, now }: RotateInput) => {
  const server = await lockMcpServerById(tx, id)
  if (server?.state !== 'active') return refuse<RotateRefusal>({ kind: 'no_such_server' })
  await setMcpSecret(tx.db, id, sealed, now)
  await append(tx, now, { type: 'mcp_server.changed', actor: by, facts: { mcp_server: id, name: server.name, secrets } })
  return ok(id)
})
