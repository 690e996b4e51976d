import { textOf } from '@writ/domain/authority'
import type { EventActor, PublicValue } from '@writ/domain/event'
import { mintId, type McpServerId } from '@writ/domain/id'
import type { Environment } from '@writ/domain/identity'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { Sealer } from '../keys/seal.ts'
import type { Clock } from '../platform/clock.ts'
import type { Entropy } from '../platform/entropy.ts'
import type { Outbound, UrlFault } from '../platform/outbound.ts'
import { append } from '../record/append.ts'
import { change, type Store, type Tx } from '../record/tx.ts'
import { listBackends } from '../store/backends.ts'
import { insertMcpServer, mcpSecretPlace, type McpServer, type McpSettings, type ProgramLease } from '../store/mcp-servers.ts'
import type { Once, KeyReused } from '../store/store.ts'

/** Names and values that Writ shows the server as its own: headers over HTTP, environment variables over stdio. */
export type ServerSecrets = Readonly<Record<string, string>>

export type AddRefusal =
  | { readonly kind: 'already_exists' }
  | { readonly kind: 'url_not_allowed'; readonly fault: UrlFault }
  | { readonly kind: 'no_such_permit'; readonly lease: ProgramLease }

export type AddNeeds = {
  readonly store: Pick<Store, 'read' | 'changeOnce'>
  readonly outbound: Pick<Outbound, 'faultOf'>
  readonly secrets: Sealer
  readonly clock: Clock
  readonly entropy: Entropy
}

export type NewServer = { readonly name: string; readonly settings: McpSettings; readonly secrets: ServerSecrets; readonly environment: Environment | null }

/** Registers a server; it is not asked for anything before somebody looks. Where it may not be called, it is not taken (R41). */
export async function addServer(needs: AddNeeds, asked: NewServer, by: EventActor, once: Once): Promise<Outcome<McpServerId, AddRefusal | KeyReused>> {
  const fault = asked.settings.transport === 'http' ? needs.outbound.faultOf(asked.settings.url) : undefined
  if (fault !== undefined) return refuse({ kind: 'url_not_allowed', fault })
  const nowhere = asked.settings.transport === 'stdio' ? await notOffered(needs, asked.settings.leases) : undefined
  if (nowhere !== undefined) return refuse({ kind: 'no_such_permit', lease: nowhere })
  const now = needs.clock.now()
  const id = mintId('mcpServer', now, needs.entropy.bytes(10))
  const server: McpServer = {
    id, name: asked.name, settings: asked.settings, sealedSecret: sealedSecrets(needs.secrets, id, asked.secrets), environment: asked.environment,
    state: 'active', addedBy: by.id, addedAt: now, secretSetAt: null,
  }
  const added = await needs.store.changeOnce(addMcpServer, { server, secrets: Object.keys(asked.secrets), by }, once)
  return added.ok ? ok(added.value.value) : added
}

/** The first of these leases that no back end has a template for. */
async function notOffered({ store }: AddNeeds, leases: readonly ProgramLease[]): Promise<ProgramLease | undefined> {
  if (leases.length === 0) return undefined
  const active = (await store.read(listBackends)).filter(({ state }) => state === 'active')
  return leases.find(({ type, resource, action }) => !active.some((one) => one.kind === type && one.name === resource && one.templates.some((template) => template.name === action)))
}

/** Null where there are none. */
export const sealedSecrets = (sealer: Sealer, server: McpServerId, secrets: ServerSecrets): string | null =>
  (Object.keys(secrets).length === 0 ? null : sealer.seal(JSON.stringify(secrets), mcpSecretPlace(server)))

export const openSecrets = (sealer: Sealer, { id, sealedSecret }: Pick<McpServer, 'id' | 'sealedSecret'>): ServerSecrets =>
  (sealedSecret === null ? {} : JSON.parse(sealer.unseal(sealedSecret, mcpSecretPlace(id))) as ServerSecrets)

type AddInput = { readonly server: McpServer; /** Their names alone. */ readonly secrets: readonly string[]; readonly by: EventActor }

export const addMcpServer = change('mcp_server.add', async (tx: Tx, { server, secrets, by }: AddInput) => {
  if (!(await insertMcpServer(tx.db, server))) return refuse<AddRefusal>({ kind: 'already_exists' })
  await append(tx, server.addedAt, {
    type: 'mcp_server.added', actor: by, facts: { mcp_server: server.id, name: server.name, ...placeOf(server.settings), environment: server.environment, secrets },
  })
  return ok(server.id)
})

/** Where it is. Of a URL the origin: what follows may be as good as a password, and so may an argument. */
function placeOf(settings: McpSettings): Readonly<Record<string, PublicValue>> {
  const { transport } = settings
  if (transport === 'http') return { transport, origin: new URL(settings.url).origin, own_ca: settings.ca === null ? 'no' : 'yes' }
  return { transport, command: settings.command, arguments: settings.args.length, leases: settings.leases.map(leaseText) }
}

/** As a command line says it. */
const leaseText = ({ variables, type, resource, action }: ProgramLease): string => `${variables}=${textOf({ type, resource, action, limits: {} })}`
