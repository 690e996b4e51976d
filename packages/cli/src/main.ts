import { Command, CommanderError } from 'commander'
import { CommandFailure, EXIT, usage, type Run } from './exit.ts'
import { printFailure, printLine } from './output.ts'
import { addGlobalOptions, VALUE_OPTIONS } from './settings.ts'
import { VERSION } from './version.ts'

/** `words`: the whole command line, as it was given. */
type Define = (command: Command, run: Run, words: readonly string[]) => void
type Noun = { readonly name: string; readonly summary: string; readonly load: () => Promise<{ readonly define: Define }> }

/** Each noun is loaded only when it is asked for. */
const NOUNS: readonly Noun[] = [
  { name: 'up', summary: 'start the server', load: () => import('./commands/up.ts') },
  { name: 'login', summary: 'sign in: in a browser, or with the one-time link', load: () => import('./commands/login.ts') },
  { name: 'logout', summary: 'end the sign-in, and forget it', load: () => import('./commands/logout.ts') },
  { name: 'context', summary: 'list, use, show: which of the servers that are known here', load: () => import('./commands/context.ts') },
  { name: 'whoami', summary: 'who the server takes you for', load: () => import('./commands/whoami.ts') },
  { name: 'doctor', summary: 'say what is wrong and how to mend it', load: () => import('./commands/doctor.ts') },
  { name: 'apply', summary: 'make the registry as a manifest says', load: () => import('./commands/apply.ts') },
  { name: 'operator', summary: 'list, add, remove', load: () => import('./commands/operator.ts') },
  { name: 'people', summary: 'list, show, rules, give, take, invite, passkeys, sign-ins: who signs in, how, and what they may', load: () => import('./commands/people.ts') },
  { name: 'identity', summary: 'list, show, register, suspend, resume, retire, transfer, key, bind, unbind', load: () => import('./commands/identity.ts') },
  { name: 'issuer', summary: 'list, show, trust, set-keys, remove', load: () => import('./commands/issuer.ts') },
  { name: 'backend', summary: 'list, add, test, rotate, secret, remove', load: () => import('./commands/backend.ts') },
  { name: 'task', summary: 'open, list, show, delegate, widen, end, certificate', load: () => import('./commands/task.ts') },
  { name: 'run', summary: 'run a command with credentials that live as long as it does', load: () => import('./commands/run.ts') },
  { name: 'stop', summary: 'task, identity, list, show: end what runs now, and see who has confirmed it', load: () => import('./commands/stop.ts') },
  { name: 'approvals', summary: 'list, show, watch, approve, deny, routes: what agents ask people for, and who is asked', load: () => import('./commands/approvals.ts') },
  { name: 'can', summary: 'whether an identity would be allowed something, and why', load: () => import('./commands/can.ts') },
  { name: 'explain', summary: 'why a decision came out as it did', load: () => import('./commands/explain.ts') },
  { name: 'policy', summary: 'init, check, test, fmt, diff, simulate, apply, rollback, list, show', load: () => import('./commands/policy.ts') },
  { name: 'mode', summary: 'observe, enforce, list: whether a denial by policy holds', load: () => import('./commands/mode.ts') },
  { name: 'mcp', summary: 'add, list, secret, retire, tools, pin, accept, calls, connect, wrap: servers of tools, and what of them may be called', load: () => import('./commands/mcp.ts') },
  { name: 'verify', summary: 'check a closure certificate or a log, offline', load: () => import('./commands/verify.ts') },
  { name: 'keys', summary: 'list, rotate: what access tokens are signed with', load: () => import('./commands/keys.ts') },
  { name: 'audit', summary: 'tail, logs, export, checkpoint', load: () => import('./commands/audit.ts') },
  { name: 'watch', summary: 'everything that is recorded, as it comes, one line each', load: () => import('./commands/watch.ts') },
  { name: 'open', summary: 'open the console, at whatever an id names', load: () => import('./commands/open.ts') },
  { name: 'notice', summary: 'list, add, remove, test: where people are told of what needs them', load: () => import('./commands/notice.ts') },
  { name: 'findings', summary: 'list, resolve', load: () => import('./commands/findings.ts') },
  { name: 'backup', summary: 'everything that the server holds, as one file', load: () => import('./commands/backup.ts') },
  { name: 'restore', summary: 'make a new store of a backup', load: () => import('./commands/restore.ts') },
  { name: 'version', summary: 'print the version', load: () => import('./commands/version.ts') },
  { name: 'help', summary: 'help on a command, or on `exit-codes`', load: () => import('./commands/help.ts') },
]

/** Runs one command line; resolves to its exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  process.stdout.on('error', stopWhenNobodyReads)
  let exit: number = EXIT.ok
  const run: Run = async (action) => {
    exit = (await action()) ?? EXIT.ok
  }
  try {
    if (argv[0] === '--version' || argv[0] === '-V') {
      printLine(VERSION)
      return EXIT.ok
    }
    const program = await programFor(argv, run)
    await program.parseAsync([...argv], { from: 'user' })
    return exit
  } catch (fault) {
    const failure = failureOf(fault)
    if (failure === undefined) return EXIT.ok
    printFailure(failure, wantsJson(argv))
    if (failure.exit === EXIT.unexpected && failure.cause !== undefined && process.env.WRIT_DEBUG) console.error(failure.cause)
    return failure.exit
  }
}

async function programFor(argv: readonly string[], run: Run): Promise<Command> {
  const program = addGlobalOptions(new Command('writ'))
    .description('governs non-human identities: credentials that live for one task, and whose end is proved')
    .version(VERSION, '-V, --version')
    .helpCommand(false)
    .showSuggestionAfterError(true)
  const asked = nounOf(argv)
  for (const noun of NOUNS) {
    const command = program.command(noun.name).description(noun.summary)
    if (noun.name === asked) (await noun.load()).define(command, run, argv)
  }
  quieten(program)
  return program
}

/** The first word that is neither a flag nor the value of one. */
function nounOf(argv: readonly string[]): string | undefined {
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i]!
    if (!word.startsWith('-')) return word
    if (word === '--') return undefined
    if (VALUE_OPTIONS.has(word)) i++
  }
  return undefined
}

/** Commander throws instead of exiting, and leaves the words about errors to us. */
function quieten(command: Command): void {
  command.exitOverride()
  command.configureOutput({ writeErr: (text) => void (text.startsWith('Usage:') && process.stderr.write(text)), outputError: () => undefined })
  for (const child of command.commands) quieten(child)
}

/** Undefined when nothing failed: help was asked for. */
function failureOf(fault: unknown): CommandFailure | undefined {
  if (fault instanceof CommandFailure) return fault
  if (fault instanceof CommanderError) return failureOfCommander(fault)
  const said = fault instanceof Error ? fault.message : String(fault)
  return new CommandFailure(EXIT.unexpected, said, { hints: ['WRIT_DEBUG=1 shows where'], cause: fault })
}

export function failureOfCommander(fault: Pick<CommanderError, 'code' | 'message' | 'exitCode'>): CommandFailure | undefined {
  if (fault.code === 'commander.helpDisplayed' || fault.code === 'commander.version') return undefined
  if (fault.code === 'commander.help') return fault.exitCode === 0 ? undefined : usage('a command is missing')
  const [first = '', ...rest] = fault.message.split('\n')
  const message = first.replace(/^error: /, '')
  const suggestion = rest.join(' ').replaceAll(/^\(|\)$/g, '')
  if (fault.code === 'commander.unknownOption') {
    // What stands after `=` may be a secret.
    const option = /'(-[^'=]*)/.exec(message)?.[1] ?? ''
    if (/secret|password|passwd|token|private/i.test(option)) {
      return usage(`unknown option \`${option}\``, 'a secret never stands on a command line, where every user of the machine can read it: use --secret-file FILE or --secret-stdin')
    }
    return usage(`unknown option \`${option}\``, ...(suggestion === '' ? [] : [suggestion]))
  }
  return usage(message.replaceAll(/'([^']*)'/g, '`$1`'), ...(suggestion === '' ? [] : [suggestion]))
}

/** The flags themselves may be what is wrong, so that they are not parsed for this. */
function wantsJson(argv: readonly string[]): boolean {
  const own = argv.includes('--') ? argv.slice(0, argv.indexOf('--')) : argv
  return own.includes('--json') || own.includes('--jsonl') || process.env.WRIT_OUTPUT === 'json' || process.env.WRIT_OUTPUT === 'jsonl'
}

/** `writ ... | head` is not a failure. */
function stopWhenNobodyReads(fault: NodeJS.ErrnoException): void {
  if (fault.code === 'EPIPE') process.exit(EXIT.ok)
  throw fault
}
