import { basename, resolve } from 'node:path'
import { acceptMcpTools, addMcpServer, listMcpServers, listMcpTools, type McpServerReply, type McpToolReply } from '@writ/contract/mcp-servers'
import { inert } from '@writ/ledger/inert'
import type { Command } from 'commander'
import { confirm } from '../ask.ts'
import { call, type Connection } from '../client.ts'
import { operatorConnection, startOf, type Start } from '../connections.ts'
import { CommandFailure, EXIT, usage, type Run } from '../exit.ts'
import { say, tableOf, warn } from '../output.ts'
import { connect, connectOptions, printConfig, type ConnectFlags } from './mcp-connect.ts'
import { programIn } from './words.ts'

type WrapFlags = ConnectFlags & { readonly name?: string; readonly pinAll?: true }

/** INVARIANT: nothing of this goes to standard output: a client may be there, and hears the protocol alone. */
export function defineWrap(command: Command, run: Run, line: readonly string[]): void {
  connectOptions(command.command('wrap').argument('<command...>', 'what starts the server, after `--`'))
    .description('govern a server that a command starts: register it and pin its tools where that is still to be done, and be it as `connect` is')
    .usage('--for PURPOSE [options] -- COMMAND [ARGUMENT...]')
    .option('--name <name>', 'as policies and grants name it; made of the command unless said')
    .option('--pin-all', 'pin every tool that is new and hides nothing, without being asked')
    .action((words: readonly string[], flags: WrapFlags, own: Command) => run(async () => {
      if (programIn(line) === null) throw usage('the command stands after `--`', 'writ mcp wrap --for PURPOSE -- COMMAND')
      const name = flags.name ?? nameFor(words)
      const start = await startOf(own)
      await register(start, name, words)
      await pin(start, name, flags.pinAll === true)
      if (flags.printConfig === true) return printConfig(start, name, connectWords(line, name))
      return connect(start, name, flags)
    }))
}

/** `npx -y @modelcontextprotocol/server-filesystem@1.2 /srv` -> `filesystem`. */
export function nameFor(words: readonly string[]): string {
  const [program = '', ...args] = words
  const isRunner = /^(?:npx|npm|pnpm|yarn|bunx?|uvx?|pipx|node|python[\d.]*|deno|docker)(?:\.\w+)?$/.test(basename(program))
  const said = isRunner ? args.find((arg) => !arg.startsWith('-') && !['exec', 'run', 'dlx', 'x', 'tool'].includes(arg)) : program
  const plain = basename(said ?? '').replace(/(?<=.)@.*$/, '').replace(/\.\w{1,3}$/, '').replace(/^(?:mcp-)?server-|^mcp-/, '').replace(/-mcp(?:-server)?$/, '')
  const name = plain.replaceAll(/[^A-Za-z0-9_.-]/g, '-').replace(/^[^A-Za-z0-9]+/, '').slice(0, 63)
  if (name === '') throw usage('no name can be made of this command', 'say one with --name')
  return name
}

async function register(start: Start, name: string, words: readonly string[]): Promise<void> {
  const connection = withoutKey(operatorConnection(start))
  const [program = '', ...args] = words
  // A bare name is looked for where the server of Writ runs; a path is meant from here.
  const command = program.includes('/') ? resolve(program) : program
  const { servers } = await call(connection, listMcpServers)
  const known = servers.find((one) => one.state === 'active' && one.name === name)
  if (known !== undefined) return checkSame(known, { command, args })
  await call(connection, addMcpServer, { body: { name, transport: 'stdio', command, args, cwd: process.cwd() } })
  say(start.settings, `registered MCP server ${name}: ${[command, ...args].map((word) => inert(word)).join(' ')}`)
}

function checkSame(known: McpServerReply, { command, args }: { readonly command: string; readonly args: readonly string[] }): void {
  if (known.command === command && JSON.stringify(known.args) === JSON.stringify(args)) return
  const is = known.url ?? [known.command, ...known.args].join(' ')
  throw new CommandFailure(EXIT.conflict, `there is an MCP server \`${known.name}\` already, and it is another: ${is}`, { hints: ['say another name with --name', `writ mcp connect ${known.name}`] })
}

async function pin(start: Start, name: string, isAll: boolean): Promise<void> {
  const { settings } = start
  const connection = withoutKey(operatorConnection(start))
  const { tools } = await call(connection, listMcpTools, { parameters: { name }, query: { fresh: 'true' } })
  const isNew = tools.filter((tool) => tool.state === 'new' && tool.flags.length === 0)
  for (const tool of tools.filter(({ state }) => state === 'changed')) say(settings, `blocked, for its definition changed: writ mcp accept ${name} ${inert(tool.name)}`)
  for (const tool of tools.filter(({ state, flags }) => state === 'new' && flags.length > 0)) warn(`warning: \`${inert(tool.name)}\` holds invisible text and is left out: writ mcp accept ${name} ${inert(tool.name)}`)
  if (isNew.length === 0) return
  if (!isAll && !settings.mayAsk) return leaveOut(start, name, { isNew, isNonePinned: !tools.some(({ state }) => state === 'pinned') })
  if (!isAll) {
    warn(await tableOf(settings, ['tool', 'effect', 'reversible', 'trust'], isNew.map((tool) => [tool.name, tool.proposal!.effect, tool.proposal!.reversible ? 'yes' : 'no', tool.proposal!.trust ?? '-'].map((cell) => inert(cell)))))
    await confirm(settings, `pin ${isNew.length === 1 ? 'this tool' : `these ${isNew.length} tools`} of ${name}, as proposed, on every server of ${start.server}?`)
  }
  const accepted = await call(connection, acceptMcpTools, {
    parameters: { name }, body: { tools: isNew.map((tool) => ({ name: tool.name, hash: tool.hash!, ...tool.proposal! })), reason: `wrapped ${name}: ${isNew.length} tools pinned as proposed` },
  })
  say(settings, `${isNew.length} tools of ${name} pinned in version ${accepted.policy_version} of the policies; \`writ mcp tools ${name}\` shows what they may do`)
}

function leaveOut({ settings }: Start, name: string, { isNew, isNonePinned }: { readonly isNew: readonly McpToolReply[]; readonly isNonePinned: boolean }): void {
  const names = isNew.map((tool) => inert(tool.name)).join(', ')
  if (isNonePinned) throw usage(`no tool of \`${name}\` is pinned, and there is no terminal to ask on: ${names}`, '--pin-all pins them as proposed', `writ mcp pin ${name} --all`)
  say(settings, `not pinned, and so not callable: ${names}`)
}

/** The key that the caller gave would be that of several changes. */
function withoutKey(connection: Connection): Connection {
  const { idempotencyKey: _, ...rest } = connection
  return rest
}

/** Once it is governed, a client needs no more than the bridge. */
function connectWords(words: readonly string[], name: string): readonly string[] {
  const own = words.slice(0, words.indexOf('--'))
  const at = own.indexOf('wrap')
  const rest = own.slice(at + 1).filter((word, i, all) => word !== '--pin-all' && word !== '--name' && all[i - 1] !== '--name' && !word.startsWith('--name='))
  return [...own.slice(0, at), 'connect', name, ...rest]
}
