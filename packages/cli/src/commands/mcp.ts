import { Option, type Command } from 'commander'
import { startOf } from '../connections.ts'
import type { Run } from '../exit.ts'
import { oneMoreEffect, oneMoreSaid, oneMoreYesOrNo } from '../mcp/overrides.ts'
import { defineConnect } from './mcp-connect.ts'
import { defineWrap } from './mcp-wrap.ts'
import { oneMore, wholeNumber } from './options.ts'
import type { AddFlags, SecretFlags } from './mcp-servers.ts'
import type { AcceptFlags, PinFlags } from './mcp-tools.ts'
import { programIn } from './words.ts'

/** What each verb needs is loaded by it alone. */
export function define(command: Command, run: Run, line: readonly string[]): void {
  defineServers(command, run, line)
  defineTools(command, run)
  defineConnect(command, run, line)
  defineWrap(command, run, line)
  command.command('calls').description('calls that went to MCP servers, newest first')
    .option('--task <task>', 'only those of this task')
    .option('--limit <number>', 'at most so many', wholeNumber, 100)
    .option('--cursor <cursor>', 'go on after an earlier list')
    .action((flags: { readonly task?: string; readonly limit: number; readonly cursor?: string }, own: Command) => run(async () => (await import('./mcp-tools.ts')).listCalls(await startOf(own), flags)))
}

const secretOptions = (command: Command): Command => command
  .option('--header-file <name=file>', 'a header that Writ sends as its own, and the file that holds its value; may be repeated', oneMore)
  .option('--env-file <file>', 'variables for the program, as NAME=VALUE in lines')

function defineServers(command: Command, run: Run, line: readonly string[]): void {
  const servers = () => import('./mcp-servers.ts')
  command.command('list').description('list MCP servers').option('--all', 'the retired ones too')
    .action((flags: { readonly all?: true }, own: Command) => run(async () => (await servers()).listServers(await startOf(own), flags.all === true)))
  secretOptions(command.command('add').argument('<name>', 'as policies and grants name it').argument('[where...]', 'its URL; or, after `--`, the command that starts it'))
    .description('register an MCP server: over HTTP, or a program that Writ starts for each task')
    .usage('NAME URL [options] | NAME [options] -- COMMAND [ARGUMENT...]')
    .option('--ca <file>', 'certification authorities in PEM, in place of those that everybody trusts')
    .option('--cwd <folder>', 'where the program starts; an absolute path')
    .option('--lease <name=grant>', 'a login that each task lends the program: PG=postgres:BACKEND:TEMPLATE sets PGHOST, PGPASSWORD and so on; may be repeated', oneMore)
    .addOption(new Option('--environment <environment>', 'which environment it belongs to').choices(['production', 'staging', 'development', 'test']))
    .action((name: string, words: readonly string[], flags: AddFlags, own: Command) => run(async () => {
      const program = programIn(line)
      await (await servers()).addServer(await startOf(own), name, { urls: words.slice(0, words.length - (program?.length ?? 0)), program }, flags)
    }))
  secretOptions(command.command('secret <name>')).description('give a server other headers or variables, in place of all that it had; without a flag none')
    .action((name: string, flags: SecretFlags, own: Command) => run(async () => (await servers()).setSecrets(await startOf(own), name, flags)))
  command.command('retire <name>').description('retire a server: no task reaches it from here on; what was pinned stays in the policies').option('--reason <text>', 'why; it is recorded')
    .action((name: string, flags: { readonly reason?: string }, own: Command) => run(async () => (await servers()).retireServer(await startOf(own), name, flags.reason)))
}

function defineTools(command: Command, run: Run): void {
  const tools = () => import('./mcp-tools.ts')
  command.command('tools <name>').description('the tools of a server: what is pinned, what is new, what changed and is blocked')
    .option('--fresh', 'ask the server now')
    .action((name: string, flags: { readonly fresh?: true }, own: Command) => run(async () => (await tools()).listTools(await startOf(own), name, flags.fresh === true)))
  command.command('pin <name>').argument('[tool...]').description('accept new tools as they are listed now; only what is pinned can be called')
    .option('--all', 'every new tool in which nothing is hidden')
    .option('--effect <tool=effect>', 'TOOL=read, write or external; may be repeated', oneMoreEffect)
    .option('--reversible <tool=yes|no>', 'whether what it does can be taken back; may be repeated', oneMoreYesOrNo)
    .option('--label <tool=label>', 'what a task may have seen once it was called, or none; may be repeated', oneMoreSaid)
    .option('--trust <tool=trust>', 'TOOL=untrusted where what it brings may have been written by anybody, or none; may be repeated', oneMoreSaid)
    .option('--public <tool=argument>', 'an argument whose values may stand in the record of each call, or none; may be repeated', oneMoreSaid)
    .option('--reason <text>', 'why; it is recorded')
    .action((name: string, chosen: readonly string[], flags: PinFlags, own: Command) => run(async () => (await tools()).pinTools(await startOf(own), name, chosen, flags)))
  command.command('accept <name> <tool>').description('show how the definition of a tool changed, and accept it as it is now')
    .option('--hash <hash>', 'accept exactly this definition, without being asked')
    .option('--reason <text>', 'why; it is recorded')
    .action((name: string, tool: string, flags: AcceptFlags, own: Command) => run(async () => (await tools()).acceptTool(await startOf(own), { server: name, tool }, flags)))
}
