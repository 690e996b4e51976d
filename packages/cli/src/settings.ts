import { parseDuration } from '@writ/domain/time'
import type { Command } from 'commander'
import { usage } from './exit.ts'

export type Format = 'human' | 'json' | 'jsonl' | 'plain'

/** What the global flags and the environment say; flag before environment before configuration before default. */
export type Settings = {
  readonly format: Format
  readonly quiet: boolean
  readonly colour: boolean
  readonly timeoutMs: number
  /** From --url or WRIT_URL; else the configuration's. */
  readonly url: string | undefined
  readonly idempotencyKey: string | undefined
  readonly yes: boolean
  /** Whether a person can be asked. */
  readonly mayAsk: boolean
  readonly environment: NodeJS.ProcessEnv
}

export const DEFAULT_TIMEOUT_MS = 30_000

export function addGlobalOptions(program: Command): Command {
  return program
    .option('--json', 'print JSON; errors are RFC 9457 problems on stderr')
    .option('--jsonl', 'print lists as one JSON object per line')
    .option('--plain', 'print tab-separated lines without a head')
    .option('--no-color', 'no colours (also NO_COLOR)')
    .option('-q, --quiet', 'print nothing but data and errors')
    .option('--timeout <length>', 'how long to wait for an answer, such as 30s')
    .option('--in-context <name>', 'which of the servers that are known here (also WRIT_CONTEXT)')
    .option('--url <url>', 'the server (also WRIT_URL)')
    .option('--idempotency-key <key>', 'the key of the one change that this command makes')
    .option('--yes', 'do not ask whether to go on')
    .option('--no-input', 'never ask (also WRIT_NO_INPUT)')
}

/** The global options that take a value: whoever looks for the noun steps over them. */
export const VALUE_OPTIONS: ReadonlySet<string> = new Set(['--timeout', '--url', '--in-context', '--idempotency-key'])

type GlobalFlags = {
  readonly json?: true; readonly jsonl?: true; readonly plain?: true; readonly color: boolean; readonly quiet?: true; readonly timeout?: string
  readonly inContext?: string; readonly url?: string; readonly idempotencyKey?: string; readonly yes?: true; readonly input: boolean
}

/** Reads the global flags of any command of the program. */
export function settingsOf(command: Command, environment: NodeJS.ProcessEnv = process.env): Settings {
  const flags = command.optsWithGlobals<GlobalFlags>()
  const timeoutMs = flags.timeout === undefined ? DEFAULT_TIMEOUT_MS : parseDuration(flags.timeout)
  if (timeoutMs === undefined) throw usage(`--timeout must be a length such as \`30s\`, not \`${flags.timeout}\``)
  if (flags.idempotencyKey !== undefined && !/^[\x21-\x7e]{1,255}$/.test(flags.idempotencyKey)) throw usage('--idempotency-key must be 1 to 255 printable ASCII characters')
  const format = formatOf(flags, environment)
  return {
    format, timeoutMs,
    quiet: flags.quiet === true,
    colour: flags.color && format === 'human' && wantsColour(environment),
    url: flags.url ?? environment.WRIT_URL,
    idempotencyKey: flags.idempotencyKey,
    yes: flags.yes === true,
    mayAsk: flags.input && !environment.WRIT_NO_INPUT && process.stdin.isTTY === true && process.stderr.isTTY === true,
    environment: flags.inContext === undefined ? environment : { ...environment, WRIT_CONTEXT: flags.inContext },
  }
}

function formatOf(flags: Pick<GlobalFlags, 'json' | 'jsonl' | 'plain'>, environment: NodeJS.ProcessEnv): Format {
  if (flags.jsonl) return 'jsonl'
  if (flags.json) return 'json'
  if (flags.plain) return 'plain'
  const asked = environment.WRIT_OUTPUT
  return asked === 'json' || asked === 'jsonl' || asked === 'plain' ? asked : 'human'
}

/** no-color.org: NO_COLOR counts when it is not empty. */
function wantsColour(environment: NodeJS.ProcessEnv): boolean {
  if (environment.NO_COLOR) return false
  if (environment.FORCE_COLOR && environment.FORCE_COLOR !== '0') return true
  return process.stdout.isTTY === true && environment.TERM !== 'dumb'
}
