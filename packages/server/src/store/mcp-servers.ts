import type { McpServerId } from '@writ/domain/id'
import type { Environment } from '@writ/domain/identity'
import { epochMs, type EpochMs } from '@writ/domain/time'
import type { McpTransport } from '@writ/domain/tool-call'
import type { Kysely } from 'kysely'
import type { TxOf } from './change.ts'
import { fromJsonText, toJsonText } from './json.ts'
import { forUpdate } from './row-locks.ts'
import type { McpServerRow, McpToolRow, Tables } from './tables.ts'

type Db = Kysely<Tables>

/** `ca`: certification authorities in PEM, in place of those that everybody trusts; null where there are none. */
export type HttpSettings = { readonly transport: 'http'; readonly url: string; readonly ca: string | null }
/** `command`: an absolute path, or a program that is found by its name. */
export type StdioSettings = {
  readonly transport: 'stdio'; readonly command: string; readonly args: readonly string[]; readonly cwd: string | null
  /** Logins of back ends that it is lent by each task that starts it. */
  readonly leases: readonly ProgramLease[]
}
/** One permit of the task's grant; `variables`: how the names begin by which the program finds the login. */
export type ProgramLease = { readonly variables: string; readonly type: 'postgres'; readonly resource: string; readonly action: string }
export type McpSettings = HttpSettings | StdioSettings

export type McpServer = {
  readonly id: McpServerId
  /** As policies, grants and addresses name it; one that is retired leaves it free. */
  readonly name: string
  readonly settings: McpSettings
  /** Names and values as JSON: headers over HTTP, environment variables over stdio. Null where there are none. */
  readonly sealedSecret: string | null
  readonly environment: Environment | null
  readonly state: 'active' | 'retired'
  /** An operator's id. */
  readonly addedBy: string
  readonly addedAt: EpochMs
  /** When its secret was last put in place of another. */
  readonly secretSetAt: EpochMs | null
}

/** Where its sealed secret belongs. */
export const mcpSecretPlace = (server: McpServerId): string => `mcp_server:${server}:secret`

const parseMcpServerRow = (row: McpServerRow): McpServer => ({
  id: row.id as McpServerId, name: row.name, settings: fromJsonText<McpSettings>(row.settings), sealedSecret: row.sealed_secret, environment: row.environment as Environment | null,
  state: row.state as 'active' | 'retired', addedBy: row.added_by, addedAt: epochMs(row.added_at), secretSetAt: row.secret_set_at === null ? null : epochMs(row.secret_set_at),
})

/** False when an active one has this name. */
export async function insertMcpServer(db: Db, server: McpServer): Promise<boolean> {
  const transport: McpTransport = server.settings.transport
  const inserted = await db.insertInto('mcp_server').values({
    id: server.id, name: server.name, transport, settings: toJsonText(server.settings), sealed_secret: server.sealedSecret, environment: server.environment, state: server.state,
    added_by: server.addedBy, added_at: server.addedAt, secret_set_at: server.secretSetAt, retired_at: null,
  }).onConflict((conflict) => conflict.doNothing()).executeTakeFirst()
  return inserted.numInsertedOrUpdatedRows === 1n
}

const activeNamed = (db: Db, name: string) => db.selectFrom('mcp_server').selectAll().where('name', '=', name).where('state', '=', 'active')

/** The active one of this name, exactly. */
export async function findMcpServer(db: Db, name: string): Promise<McpServer | undefined> {
  const row = await activeNamed(db, name).executeTakeFirst()
  return row && parseMcpServerRow(row)
}

/** The same, locked until the end of the change. */
export async function lockMcpServer<Context>(tx: TxOf<Tables, Context>, name: string): Promise<McpServer | undefined> {
  const row = await forUpdate(tx, activeNamed(tx.db, name)).executeTakeFirst()
  return row && parseMcpServerRow(row)
}

/** Also a retired one, locked until the end of the change. */
export async function lockMcpServerById<Context>(tx: TxOf<Tables, Context>, id: McpServerId): Promise<McpServer | undefined> {
  const row = await forUpdate(tx, tx.db.selectFrom('mcp_server').selectAll().where('id', '=', id)).executeTakeFirst()
  return row && parseMcpServerRow(row)
}

export async function findMcpServerById(db: Db, id: McpServerId): Promise<McpServer | undefined> {
  const row = await db.selectFrom('mcp_server').selectAll().where('id', '=', id).executeTakeFirst()
  return row && parseMcpServerRow(row)
}

/** The retired ones too. */
export async function listMcpServers(db: Db): Promise<readonly McpServer[]> {
  return (await db.selectFrom('mcp_server').selectAll().orderBy('name').orderBy('id').execute()).map(parseMcpServerRow)
}

export async function markMcpServerRetired(db: Db, id: McpServerId, now: EpochMs): Promise<void> {
  await db.updateTable('mcp_server').set({ state: 'retired', retired_at: now }).where('id', '=', id).execute()
}

export async function setMcpSecret(db: Db, id: McpServerId, sealed: string | null, now: EpochMs): Promise<void> {
  await db.updateTable('mcp_server').set({ sealed_secret: sealed, secret_set_at: now }).where('id', '=', id).execute()
}

/** Where something stands that nobody sees: `at` is a JSON pointer (RFC 6901), `name` whether it stands in a member's name, and `characters` says which, as `U+200B`. */
export type HiddenText = { readonly at: string; readonly in: 'value' | 'name'; readonly characters: readonly string[] }

/** A definition that a server listed. */
export type SeenTool = {
  readonly server: McpServerId
  readonly name: string
  /** `sha256:` and the digest of `definition`. */
  readonly hash: string
  /** In canonical form. */
  readonly definition: string
  readonly flags: readonly HiddenText[]
  readonly firstSeen: EpochMs
  readonly lastSeen: EpochMs
  /** Null of what it lists now. */
  readonly goneAt: EpochMs | null
}

const parseMcpToolRow = (row: McpToolRow): SeenTool => ({
  server: row.server_id as McpServerId, name: row.name, hash: row.hash, definition: row.definition, flags: fromJsonText<readonly HiddenText[]>(row.flags),
  firstSeen: epochMs(row.first_seen), lastSeen: epochMs(row.last_seen), goneAt: row.gone_at === null ? null : epochMs(row.gone_at),
})

/** Everything that is still known to have been listed, by name; what is listed now first. */
export async function listSeenTools(db: Db, server: McpServerId): Promise<readonly SeenTool[]> {
  const rows = await db.selectFrom('mcp_tool').selectAll().where('server_id', '=', server).orderBy('name').orderBy('first_seen').execute()
  return rows.map(parseMcpToolRow).toSorted((a, b) => Number(a.goneAt !== null) - Number(b.goneAt !== null))
}

export type ListedTool = Pick<SeenTool, 'name' | 'hash' | 'flags' | 'lastSeen'>

/** What stands in its list now, without the definitions. */
export async function listListedTools(db: Db, server: McpServerId): Promise<readonly ListedTool[]> {
  const rows = await db.selectFrom('mcp_tool').select(['name', 'hash', 'flags', 'last_seen']).where('server_id', '=', server).where('gone_at', 'is', null).orderBy('name').execute()
  return rows.map((row) => ({ name: row.name, hash: row.hash, flags: fromJsonText<readonly HiddenText[]>(row.flags), lastSeen: epochMs(row.last_seen) }))
}

/** New to us, or back again. What is listed under the name otherwise has to be marked as gone before. */
export async function putSeenTool(db: Db, tool: Omit<SeenTool, 'firstSeen' | 'lastSeen' | 'goneAt'>, now: EpochMs): Promise<void> {
  await db.insertInto('mcp_tool').values({
    server_id: tool.server, name: tool.name, hash: tool.hash, definition: tool.definition, flags: toJsonText(tool.flags), first_seen: now, last_seen: now, gone_at: null,
  }).onConflict((conflict) => conflict.columns(['server_id', 'name', 'hash']).doUpdateSet((eb) => ({
    last_seen: eb.case().when('mcp_tool.last_seen', '<', now).then<number>(now).else(eb.ref('mcp_tool.last_seen')).end(), gone_at: null,
  }))).execute()
}

/** In lists that are longer than this, rows are marked piece by piece: a statement has no room for more values. */
const AT_ONCE = 500

export async function markToolsGone(db: Db, server: McpServerId, names: readonly string[], now: EpochMs): Promise<void> {
  for (let i = 0; i < names.length; i += AT_ONCE) {
    await db.updateTable('mcp_tool').set({ gone_at: now }).where('server_id', '=', server).where('gone_at', 'is', null).where('name', 'in', names.slice(i, i + AT_ONCE)).execute()
  }
}

/** Everything that is listed was seen at this instant. */
export async function touchListedTools(db: Db, server: McpServerId, now: EpochMs): Promise<void> {
  await db.updateTable('mcp_tool').set({ last_seen: now }).where('server_id', '=', server).where('gone_at', 'is', null).where('last_seen', '<', now).execute()
}

/** Of those that are gone the oldest, so that a server which is new each time does not fill the store; never one of the hashes to `keep`. */
export async function forgetGoneTools(db: Db, server: McpServerId, most: number, keep: ReadonlySet<string>): Promise<void> {
  const gone = await db.selectFrom('mcp_tool').select(['name', 'hash']).where('server_id', '=', server).where('gone_at', 'is not', null).orderBy('gone_at', 'desc').execute()
  for (const { name, hash } of gone.filter((one) => !keep.has(one.hash)).slice(most)) {
    await db.deleteFrom('mcp_tool').where('server_id', '=', server).where('name', '=', name).where('hash', '=', hash).where('gone_at', 'is not', null).execute()
  }
}
