import { randomBytes } from 'node:crypto'
import { chmod, mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { homedir, platform } from 'node:os'
import { dirname, join } from 'node:path'
import { CommandFailure, EXIT, usage } from './exit.ts'
import type { Settings } from './settings.ts'

/** A server, and what opens it. */
export type Context = {
  readonly url?: string
  /** Valid for `url` only. */
  readonly operator?: { readonly id: string; readonly key: string }
  /** Of a person; valid for `url` only. */
  readonly sign_in?: KeptSignIn
}

/** What `writ login` got: when it ends at the latest is known here, and whether it has ended before, to the server alone. */
export type KeptSignIn = { readonly id: string; readonly secret: string; readonly person: string; readonly name: string; readonly ends_at: string }

/** The context without a name. */
export const DEFAULT_CONTEXT = 'default'

/** What this user's `writ` remembers. The operator's key is a secret: the file is readable by its owner alone. */
export type Config = Context & {
  /** The context that is meant; `default` where it has no name. Its server and keys stand above, those of the others here. */
  readonly context?: string
  readonly others?: Readonly<Record<string, Context>>
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

/** The configuration, as the context sees it that WRIT_CONTEXT or the file names; empty when there is none yet. `mayBeNew`: one of no such name is begun. */
export async function readConfig(environment: NodeJS.ProcessEnv, { mayBeNew = false } = {}): Promise<Config> {
  const config = await readFileIn(environment)
  const asked = environment.WRIT_CONTEXT
  return asked === undefined || asked === '' ? config : inContext(config, asked, mayBeNew)
}

async function readFileIn(environment: NodeJS.ProcessEnv): Promise<Config> {
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
  refuseOthers(root, [...CONTEXT_KEYS, 'identities', 'default_identity', 'context', 'contexts'], path, '')
  const identities: Record<string, { readonly key_file: string }> = {}
  for (const [name, entry] of Object.entries(root.identities === undefined ? {} : recordOf(root.identities, path, '`identities`'))) {
    const key = `identities.${name}`
    const held = recordOf(entry, path, `\`${key}\``)
    refuseOthers(held, ['key_file'], path, `${key}.`)
    identities[name] = { key_file: textOf(held.key_file, path, `${key}.key_file`) }
  }
  const others: Record<string, Context> = {}
  for (const [name, entry] of Object.entries(root.contexts === undefined ? {} : recordOf(root.contexts, path, '`contexts`'))) {
    const held = recordOf(entry, path, `\`contexts.${name}\``)
    refuseOthers(held, CONTEXT_KEYS, path, `contexts.${name}.`)
    others[name] = contextOf(held, path, `contexts.${name}.`)
  }
  const config: Config = {
    identities, ...contextOf(root, path, ''),
    ...(root.default_identity === undefined ? {} : { default_identity: textOf(root.default_identity, path, 'default_identity') }),
    ...(root.contexts === undefined ? {} : { others }),
  }
  if (root.context === undefined) return config
  const name = textOf(root.context, path, 'context')
  if (!Object.hasOwn(others, name)) throw broken(path, `\`context\` names \`${name}\`, which is not in \`contexts\``)
  return inContext(config, name, false)
}

const CONTEXT_KEYS = ['url', 'operator', 'sign_in'] as const
const SIGN_IN_KEYS = ['id', 'secret', 'person', 'name', 'ends_at'] as const

function contextOf(held: Record<string, unknown>, path: string, prefix: string): Context {
  if (held.url !== undefined) originOf(textOf(held.url, path, `${prefix}url`), (what) => broken(path, `\`${prefix}url\` ${what}`))
  return {
    ...(held.url === undefined ? {} : { url: held.url as string }),
    ...(held.operator === undefined ? {} : { operator: textsOf(held.operator, ['id', 'key'], path, `${prefix}operator`) }),
    ...(held.sign_in === undefined ? {} : { sign_in: textsOf(held.sign_in, SIGN_IN_KEYS, path, `${prefix}sign_in`) }),
  }
}

function textsOf<const Key extends string>(value: unknown, keys: readonly Key[], path: string, name: string): Readonly<Record<Key, string>> {
  const held = recordOf(value, path, `\`${name}\``)
  refuseOthers(held, keys, path, `${name}.`)
  return Object.fromEntries(keys.map((key) => [key, textOf(held[key], path, `${name}.${key}`)])) as Record<Key, string>
}

/** All contexts by name, the one that is meant among them. */
export const contextsOf = (config: Config): Readonly<Record<string, Context>> => ({ ...config.others, [config.context ?? DEFAULT_CONTEXT]: ownOf(config) })

const ownOf = ({ url, operator, sign_in: signIn }: Config): Context =>
  ({ ...(url === undefined ? {} : { url }), ...(operator === undefined ? {} : { operator }), ...(signIn === undefined ? {} : { sign_in: signIn }) })

/** The same, seen from another context. */
export function inContext(config: Config, name: string, mayBeNew: boolean): Config {
  if (name === (config.context ?? DEFAULT_CONTEXT)) return config
  const all = contextsOf(config)
  if (!Object.hasOwn(all, name) && name !== DEFAULT_CONTEXT && !mayBeNew) throw usage(`there is no context \`${name}\``, `known here: ${Object.keys(all).join(', ')}`)
  if (!/^[\w.-]{1,60}$/.test(name)) throw usage('a context is named by 1 to 60 letters, digits, dots, hyphens and underscores')
  const { [name]: own = {}, ...others } = all
  const { identities, default_identity: known } = config
  return { identities, ...(known === undefined ? {} : { default_identity: known }), ...own, others, ...(name === DEFAULT_CONTEXT ? {} : { context: name }) }
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

/** Writes the configuration in one step: a reader sees the one before or this one. A context that WRIT_CONTEXT alone names is not made the current one by that. */
export async function writeConfig(environment: NodeJS.ProcessEnv, config: Config): Promise<void> {
  const { [DEFAULT_CONTEXT]: plain = {}, ...contexts } = contextsOf(config)
  const current = environment.WRIT_CONTEXT ? (await readFileIn(environment)).context : config.context
  const { identities, default_identity: known } = config
  const stored = {
    ...plain, identities, ...(known === undefined ? {} : { default_identity: known }), ...(current === undefined ? {} : { context: current }),
    ...(Object.keys(contexts).length === 0 ? {} : { contexts }),
  }
  await writePrivateFile(configPath(environment), `${JSON.stringify(stored, null, 2)}\n`)
}

/** The origin of the server that is meant, exactly as an assertion's `aud` has to name it. */
export function serverOf(settings: Pick<Settings, 'url'>, config: Config): string {
  return originOf(settings.url ?? config.url ?? DEFAULT_URL, (what) => usage(`the server's url ${what}`, `such as ${DEFAULT_URL}`))
}

/** What opens this server for a human: WRIT_TOKEN, else what was made for this very server, a person's sign-in before an operator's key. */
export function bearerFor(server: string, config: Config, environment: NodeJS.ProcessEnv, now = Date.now()): string | undefined {
  if (environment.WRIT_TOKEN) return environment.WRIT_TOKEN
  if (new URL(config.url ?? DEFAULT_URL).origin !== server) return undefined
  const { sign_in: signIn, operator } = config
  if (signIn !== undefined && (Date.parse(signIn.ends_at) > now || operator === undefined)) return signIn.secret
  return operator?.key
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
