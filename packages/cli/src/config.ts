import { randomBytes } from 'node:crypto'
import { chmod, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { homedir, platform } from 'node:os'
import { dirname, join } from 'node:path'
import { CommandFailure, EXIT, usage } from './exit.ts'
import type { Settings } from './settings.ts'

/** What this user's `writ` remembers. The operator's key is a secret: the file is readable by its owner alone. */
export type Config = {
  readonly url?: string
  /** Valid for `url` only. */
  readonly operator?: { readonly id: string; readonly key: string }
  /** SPIFFE ID -> where its private key lies. */
  readonly identities: Readonly<Record<string, { readonly key_file: string }>>
  readonly default_identity?: string
}

export const DEFAULT_URL = 'http://127.0.0.1:7400'

export function configPath(environment: NodeJS.ProcessEnv): string {
  if (environment.WRIT_CONFIG) return environment.WRIT_CONFIG
  return join(environment.XDG_CONFIG_HOME || join(homedir(), '.config'), 'writ', 'config.json')
}

export const keysFolder = (environment: NodeJS.ProcessEnv): string => join(dirname(configPath(environment)), 'keys')

const broken = (path: string, what: string, ...hints: readonly string[]): CommandFailure =>
  new CommandFailure(EXIT.bad_configuration, `the configuration \`${path}\` is broken: ${what}`, { hints })

/** The configuration; empty when there is none yet. */
export async function readConfig(environment: NodeJS.ProcessEnv): Promise<Config> {
  const path = configPath(environment)
  const text = await readPrivateFile(path)
  if (text === undefined) return { identities: {} }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The parser's message quotes the text around the fault, which may be the key.
    throw broken(path, 'it is not JSON', 'mend it, or move it away and run `writ login`')
  }
  return parseConfig(value, path)
}

/** Reads a configuration by hand: every command passes here, and a schema library would cost more than the command. */
export function parseConfig(value: unknown, path: string): Config {
  const root = recordOf(value, path, 'the whole file')
  refuseOthers(root, ['url', 'operator', 'identities', 'default_identity'], path, '')
  const identities: Record<string, { readonly key_file: string }> = {}
  for (const [name, entry] of Object.entries(root.identities === undefined ? {} : recordOf(root.identities, path, '`identities`'))) {
    const key = `identities.${name}`
    const held = recordOf(entry, path, `\`${key}\``)
    refuseOthers(held, ['key_file'], path, `${key}.`)
    identities[name] = { key_file: textOf(held.key_file, path, `${key}.key_file`) }
  }
  let operator: Config['operator']
  if (root.operator !== undefined) {
    const held = recordOf(root.operator, path, '`operator`')
    refuseOthers(held, ['id', 'key'], path, 'operator.')
    operator = { id: textOf(held.id, path, 'operator.id'), key: textOf(held.key, path, 'operator.key') }
  }
  if (root.url !== undefined) originOf(textOf(root.url, path, 'url'), (what) => broken(path, `\`url\` ${what}`))
  return {
    identities,
    ...(root.url === undefined ? {} : { url: root.url as string }),
    ...(operator === undefined ? {} : { operator }),
    ...(root.default_identity === undefined ? {} : { default_identity: textOf(root.default_identity, path, 'default_identity') }),
  }
}

function recordOf(value: unknown, path: string, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw broken(path, `${what} must be an object`)
  return value as Record<string, unknown>
}

function textOf(value: unknown, path: string, key: string): string {
  if (typeof value !== 'string' || value === '') throw broken(path, `\`${key}\` must be a text that is not empty`)
  return value
}

function refuseOthers(value: Record<string, unknown>, known: readonly string[], path: string, prefix: string): void {
  const other = Object.keys(value).find((key) => !known.includes(key))
  if (other !== undefined) throw broken(path, `unknown key \`${prefix}${other}\``, `known keys: ${known.join(', ')}`)
}

/** Writes the configuration in one step: a reader sees the one before or this one. */
export async function writeConfig(environment: NodeJS.ProcessEnv, config: Config): Promise<void> {
  await writePrivateFile(configPath(environment), `${JSON.stringify(config, null, 2)}\n`)
}

/** The origin of the server that is meant, exactly as an assertion's `aud` has to name it. */
export function serverOf(settings: Pick<Settings, 'url'>, config: Config): string {
  return originOf(settings.url ?? config.url ?? DEFAULT_URL, (what) => usage(`the server's url ${what}`, `such as ${DEFAULT_URL}`))
}

/** The operator's key for this server: WRIT_TOKEN, else the configured one when it was made for this very server. */
export function operatorKeyFor(server: string, config: Config, environment: NodeJS.ProcessEnv): string | undefined {
  if (environment.WRIT_TOKEN) return environment.WRIT_TOKEN
  if (config.operator === undefined) return undefined
  return new URL(config.url ?? DEFAULT_URL).origin === server ? config.operator.key : undefined
}

export function originOf(text: string, failure: (what: string) => Error): string {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) throw failure('must start with `http://` or `https://`')
  if (url.username !== '' || url.password !== '') throw failure('must not hold a name or a password')
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') throw failure('must be scheme, host and port only')
  return url.origin
}

/** The text of a file that nobody but its owner may read; undefined when there is none. */
export async function readPrivateFile(path: string): Promise<string | undefined> {
  let mode: number
  try {
    mode = (await stat(path)).mode
  } catch (fault) {
    if ((fault as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new CommandFailure(EXIT.bad_configuration, `\`${path}\` can not be read: ${(fault as Error).message}`, { cause: fault })
  }
  if (platform() !== 'win32' && (mode & 0o077) !== 0) {
    throw new CommandFailure(EXIT.bad_configuration, `\`${path}\` can be read by others (mode ${(mode & 0o777).toString(8).padStart(4, '0')})`, { hints: [`chmod 600 ${path}`] })
  }
  try {
    return await readFile(path, 'utf8')
  } catch (fault) {
    throw new CommandFailure(EXIT.bad_configuration, `\`${path}\` can not be read: ${(fault as Error).message}`, { cause: fault })
  }
}

/** Writes and syncs beside, then renames over. `over: false` refuses a file that is there. */
export async function writePrivateFile(path: string, text: string, { over = true } = {}): Promise<void> {
  await makePrivateFolder(dirname(path))
  if (!over) {
    const file = await open(path, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    return
  }
  const beside = `${path}.${randomBytes(6).toString('hex')}`
  try {
    await writePrivateFile(beside, text, { over: false })
    await rename(beside, path)
  } catch (fault) {
    await rm(beside, { force: true })
    throw fault
  }
}

async function makePrivateFolder(path: string): Promise<void> {
  const made = await mkdir(path, { recursive: true, mode: 0o700 })
  if (made !== undefined) await chmod(path, 0o700)
}

/** Where the key of an identity lies. The configuration is read anew: another `writ` may have written it meanwhile. */
export async function rememberKey(environment: Settings['environment'], spiffeId: string, path: string): Promise<void> {
  const config = await readConfig(environment)
  await writeConfig(environment, { ...config, identities: { ...config.identities, [spiffeId]: { key_file: path } } })
}
