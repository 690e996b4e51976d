import { parseEnv } from 'node:util'
import { addMcpServer, listMcpServers, retireMcpServer, setMcpServerSecrets, type AddMcpServerBody, type McpServerReply } from '@writ/contract/mcp-servers'
import { parseGrantText } from '@writ/domain/authority'
import type { Environment } from '@writ/domain/identity'
import { nearestOf } from '@writ/domain/nearest'
import { confirm, readInput, textFor } from '../ask.ts'
import { call, type Connection } from '../client.ts'
import { operatorConnection, type Start } from '../connections.ts'
import { CommandFailure, EXIT, usage } from '../exit.ts'
import { printList, printThing, say, whenOf } from '../output.ts'

export type SecretFlags = { readonly headerFile?: readonly string[]; readonly envFile?: string }
export type AddFlags = SecretFlags & { readonly ca?: string; readonly cwd?: string; readonly lease?: readonly string[]; readonly environment?: Environment }

/** What was said of where it is: `program` null where nothing stands after `--`. */
type Where = { readonly urls: readonly string[]; readonly program: readonly string[] | null }

export async function listServers(start: Start, isWhole: boolean): Promise<void> {
  const { servers } = await call(operatorConnection(start), listMcpServers)
  await printList(start.settings, servers.filter((one) => isWhole || one.state === 'active'), [
    { head: 'name', of: (row) => row.name },
    { head: 'over', of: (row) => row.transport },
    { head: 'where', of: placeOf },
    { head: 'state', of: (row) => row.state },
    { head: 'secrets', of: (row) => (row.has_secrets ? 'kept' : 'none') },
    { head: 'leases', of: leasesOf },
    { head: 'endpoint', of: (row) => row.endpoint },
  ])
}

export async function addServer(start: Start, name: string, where: Where, flags: AddFlags): Promise<void> {
  const body = where.program === null ? await overHttp(name, where, flags) : await overStdio(name, where.program, where.urls, flags)
  const added = await call(operatorConnection(start), addMcpServer, { body })
  await printServer(start, added)
  say(start.settings, `nothing of it can be called yet: \`writ mcp pin ${name} --all\` shows its tools and pins them`)
}

async function overHttp(name: string, { urls }: Where, flags: AddFlags): Promise<AddMcpServerBody> {
  const [url, ...more] = urls
  if (url === undefined || more.length > 0) throw usage('a URL is needed, or a command after `--`', `writ mcp add ${name} https://HOST/mcp`, `writ mcp add ${name} -- COMMAND [ARGUMENT...]`)
  if (flags.cwd !== undefined || flags.envFile !== undefined) throw usage('--cwd and --env-file are for a program, which is named after `--`')
  if (flags.lease !== undefined) throw usage('--lease is for a program, which is named after `--`: a header can not carry a login of a back end')
  const ca = flags.ca === undefined ? {} : { ca: await readInput(flags.ca) }
  return { name, transport: 'http', url, ...ca, headers: await headersIn(flags.headerFile), ...environmentOf(flags) }
}

async function overStdio(name: string, program: readonly string[], urls: readonly string[], flags: AddFlags): Promise<AddMcpServerBody> {
  const [command, ...args] = program
  if (command === undefined) throw usage('a command is needed after `--`', `writ mcp add ${name} -- COMMAND [ARGUMENT...]`)
  if (urls.length > 0) throw usage('a URL and a command exclude each other')
  if (flags.ca !== undefined || flags.headerFile !== undefined) throw usage('--ca and --header-file are for a server over HTTP')
  const cwd = flags.cwd === undefined ? {} : { cwd: flags.cwd }
  return { name, transport: 'stdio', command, args, ...cwd, variables: await variablesIn(flags.envFile), leases: leasesIn(flags.lease), ...environmentOf(flags) }
}

const environmentOf = ({ environment }: AddFlags) => (environment === undefined ? {} : { environment })

function leasesIn(given: readonly string[] = []) {
  return given.map((one) => {
    const at = one.indexOf('=')
    const parsed = parseGrantText(one.slice(at + 1))
    if (at < 1 || !parsed.ok || parsed.value.type !== 'postgres' || parsed.value.limits !== undefined) {
      throw usage('--lease must be NAME=postgres:BACKEND:TEMPLATE', 'writ mcp add NAME --lease PG=postgres:shop:reading -- COMMAND [ARGUMENT...]')
    }
    return { variables: one.slice(0, at), type: 'postgres' as const, resource: parsed.value.locations[0]!, action: parsed.value.actions[0]! }
  })
}

/** A value never stands on a command line: other users of this machine could read it there. */
async function headersIn(given: readonly string[] = []): Promise<Record<string, string>> {
  const headers: Record<string, string> = {}
  for (const one of given) {
    const at = one.indexOf('=')
    if (at < 1) throw usage('--header-file must be NAME=FILE')
    headers[one.slice(0, at)] = (await readInput(one.slice(at + 1))).replace(/\r?\n$/, '')
  }
  return headers
}

async function variablesIn(file: string | undefined): Promise<Record<string, string>> {
  if (file === undefined) return {}
  return Object.fromEntries(Object.entries(parseEnv(await readInput(file))).map(([name, value]) => [name, value ?? '']))
}

export async function setSecrets(start: Start, name: string, flags: SecretFlags): Promise<void> {
  const { idempotencyKey: _, ...asking } = operatorConnection(start)
  const server = await serverNamed(asking, name)
  const isHttp = server.transport === 'http'
  if ((isHttp ? flags.envFile : flags.headerFile) !== undefined) throw usage(`\`${name}\` is reached over ${server.transport}: use ${isHttp ? '--header-file' : '--env-file'}`)
  const body = isHttp ? { headers: await headersIn(flags.headerFile) } : { variables: await variablesIn(flags.envFile) }
  if (Object.values(body).every((secrets) => Object.keys(secrets).length === 0)) await confirm(start.settings, `take all secrets of ${name} away?`)
  await printServer(start, await call(operatorConnection(start), setMcpServerSecrets, { parameters: { name }, body }))
}

export async function retireServer(start: Start, name: string, given: string | undefined): Promise<void> {
  const { idempotencyKey: _, ...asking } = operatorConnection(start)
  await serverNamed(asking, name)
  const reason = await textFor(start.settings, '--reason', given, 'why?')
  if (start.settings.mayAsk) await confirm(start.settings, `retire MCP server ${name}? no task reaches it from then on`)
  await printServer(start, await call(operatorConnection(start), retireMcpServer, { parameters: { name }, body: { reason } }))
}

/** The active one of this name; a name that none has is answered with the one that is like it. */
export async function serverNamed(connection: Connection, name: string): Promise<McpServerReply> {
  const { servers } = await call(connection, listMcpServers)
  const active = servers.filter((one) => one.state === 'active')
  const found = active.find((one) => one.name === name)
  if (found !== undefined) return found
  const near = nearestOf(name, active.map((one) => one.name))
  throw new CommandFailure(EXIT.not_found, `there is no active MCP server \`${name}\``, { hints: [near === undefined ? '`writ mcp list` names them' : `did you mean \`${near}\`?`] })
}

const leasesOf = ({ leases }: McpServerReply): string => leases.map(({ variables, type, resource, action }) => `${variables}=${type}:${resource}:${action}`).join(', ') || 'none'
const placeOf = ({ url, command, args }: McpServerReply): string => url ?? [command, ...args].join(' ')

async function printServer({ settings }: Start, server: McpServerReply): Promise<void> {
  await printThing(settings, server, [
    ['name', server.name], ['id', server.id], ['over', server.transport], ['where', placeOf(server)], ...(server.cwd === null ? [] : [['in', server.cwd] as const]),
    ['state', server.state], ['secrets', server.has_secrets ? 'kept' : 'none'], ['leases', leasesOf(server)], ['environment', server.environment], ['endpoint', server.endpoint], ['added', whenOf(settings, server.added_at)],
  ])
}
