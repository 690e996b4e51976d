import type { Command } from 'commander'
import { anyoneConnection, startOf, type Start } from '../connections.ts'
import { usage, type Run } from '../exit.ts'
import { readHolder } from '../holder.ts'
import { printLine } from '../output.ts'
import { holderOptions, oneMoreGrant, openTaskBodyOf, taskTermOptions, type TaskFlags } from './options.ts'

/** As long as every class of identity may work at a time. */
const DEFAULT_TTL_SECONDS = 3600
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/

export type ConnectFlags = Omit<TaskFlags, 'grant'> & { readonly grant?: TaskFlags['grant']; readonly printConfig?: true }

/** What a bridge to an MCP server asks for, whatever else its command does. */
export function connectOptions(command: Command): Command {
  return taskTermOptions(holderOptions(command).requiredOption('--for <purpose>', 'what the task is for, in words')
    .option('--grant <grant>', 'mcp:SERVER:TOOL; may be repeated; all that the identity may do there unless said', oneMoreGrant))
    .option('--print-config', 'print what a desktop client has to be told to start this, and do nothing')
}

export function defineConnect(command: Command, run: Run, line: readonly string[]): void {
  connectOptions(command.command('connect <server>').description('be the MCP server SERVER on standard input and output, for one client, in a task that ends with it'))
    .action((server: string, flags: ConnectFlags, own: Command) => run(async () => {
      if (!NAME.test(server)) throw usage(`\`${server}\` is no name of an MCP server`, '`writ mcp list` names them')
      const start = await startOf(own)
      if (flags.printConfig === true) return printConfig(start, server, line)
      return connect(start, server, flags)
    }))
}

export async function connect(start: Start, server: string, flags: ConnectFlags): Promise<number> {
  const holder = await readHolder(flags, start.config, start.settings.environment)
  const [{ makeAssertion }, { connectClient, wholeGrant }] = await Promise.all([import('../assertion.ts'), import('../mcp/connect.ts')])
  const connection = { ...anyoneConnection(start), bearer: () => makeAssertion(holder, start.server) }
  const grant = flags.grant ?? await wholeGrant(connection, server)
  const elsewhere = grant.find(({ type, locations }) => type !== 'mcp' || !locations.includes(server))
  if (elsewhere !== undefined) throw usage(`the grant \`${elsewhere.type}:${elsewhere.locations.join(',')}:${elsewhere.actions.join(',')}\` is not on \`${server}\``, `mcp:${server}:TOOL is wanted`)
  const terms = openTaskBodyOf({ ...flags, grant, ttl: flags.ttl ?? DEFAULT_TTL_SECONDS })
  return connectClient({ settings: start.settings, connection, holder, server, terms })
}

/** The variables that say as whom and to whom we speak. None of them holds a secret; WRIT_TOKEN is an operator's and stays here. */
const CARRIED = ['WRIT_URL', 'WRIT_CONFIG', 'WRIT_IDENTITY', 'WRIT_KEY_FILE', 'XDG_CONFIG_HOME'] as const

/** A desktop client starts us without a shell, and from wherever it stands: the program by its whole path. */
export function printConfig({ settings: { environment } }: Start, server: string, words: readonly string[]): void {
  const end = words.indexOf('--')
  const args = words.filter((word, i) => word !== '--print-config' || (end !== -1 && i > end))
  const env = Object.fromEntries(CARRIED.flatMap((name) => (environment[name] ? [[name, environment[name]]] : [])))
  printLine(JSON.stringify({ mcpServers: { [server]: { command: process.execPath, args: [process.argv[1], ...args], ...(Object.keys(env).length === 0 ? {} : { env }) } } }, null, 2))
}
