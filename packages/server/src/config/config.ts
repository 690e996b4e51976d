import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { milliseconds, parseDuration, type Milliseconds } from '@writ/domain/time'

export type Config = {
  readonly store: { readonly kind: 'sqlite'; readonly directory: string } | { readonly kind: 'postgres'; readonly url: string; readonly allowMissingChecksums: boolean }
  /** Where the one-time bootstrap link is left for the command line. */
  readonly dataDirectory: string
  /** Outside of the data directory, so that a copy of the data holds no key (R37). */
  readonly keyDirectory: string
  readonly host: string
  readonly port: number
  /** What clients call this server, and the audience of their assertions; made from host and port when not given. */
  readonly issuer: string | null
  readonly logLevel: string
  /** The first pause after a failed withdrawal. */
  readonly retryBase: Milliseconds
}

/** A setting that can not be used: its name, what is wrong with it, and the way out. */
export type ConfigRefusal = { readonly setting: string; readonly message: string }

type Environment = Readonly<Record<string, string | undefined>>

/** Every variable that Writ's programs read; another one that begins with `WRIT_` is a typing mistake. */
const SERVER_SETTINGS = ['WRIT_DATA', 'WRIT_KEYS', 'WRIT_HOST', 'WRIT_PORT', 'WRIT_ISSUER', 'WRIT_DATABASE_URL', 'WRIT_DATABASE_WITHOUT_CHECKSUMS', 'WRIT_LOG', 'WRIT_RETRY_BASE'] as const
const OTHER_SETTINGS = ['WRIT_URL', 'WRIT_TOKEN', 'WRIT_CONFIG', 'WRIT_CONTEXT', 'WRIT_OUTPUT', 'WRIT_NO_INPUT', 'WRIT_KEY_FILE', 'WRIT_IDENTITY', 'WRIT_FAILPOINT', 'WRIT_VECTORS', 'WRIT_TEST_POSTGRES_15', 'WRIT_TEST_POSTGRES_18'] as const
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']
const LOOPBACK = new Set(['localhost', '127.0.0.1', '::1'])

/** Environment -> Config, once. Refused with every fault at once. */
export function readConfig(env: Environment): Outcome<Config, readonly ConfigRefusal[]> {
  const faults: ConfigRefusal[] = unknownSettings(env)
  const fault = (setting: string, message: string): null => {
    faults.push({ setting, message })
    return null
  }
  const dataDirectory = resolve(env.WRIT_DATA || '.writ')
  const keyDirectory = resolve(env.WRIT_KEYS || `${dataDirectory}-keys`)
  if (`${keyDirectory}/`.startsWith(`${dataDirectory}/`)) fault('WRIT_KEYS', 'must lie outside of WRIT_DATA: a copy of the data must hold no key')
  const host = env.WRIT_HOST || '127.0.0.1'
  if (!LOOPBACK.has(host)) fault('WRIT_HOST', isIP(host) === 0 ? 'must be an address of this machine such as `127.0.0.1`' : 'must be a loopback address: this release speaks plain HTTP; put a TLS proxy on the same machine before it')
  const port = readPort(env.WRIT_PORT) ?? fault('WRIT_PORT', `\`${env.WRIT_PORT}\` is no port: a whole number from 0 to 65535`)
  const logLevel = env.WRIT_LOG || 'warn'
  if (!LOG_LEVELS.includes(logLevel)) fault('WRIT_LOG', `\`${logLevel}\` is no level: one of ${LOG_LEVELS.join(', ')}`)
  const retryBase = env.WRIT_RETRY_BASE === undefined || env.WRIT_RETRY_BASE === ''
    ? milliseconds(10_000)
    : parseDuration(env.WRIT_RETRY_BASE) ?? fault('WRIT_RETRY_BASE', 'must be a length such as `10s`')
  const issuer = readIssuer(env.WRIT_ISSUER)
  if (issuer === undefined) fault('WRIT_ISSUER', 'must be an origin such as `https://writ.acme.example`, without path or trailing slash')
  const withoutChecksums = env.WRIT_DATABASE_WITHOUT_CHECKSUMS
  if (withoutChecksums !== undefined && withoutChecksums !== '' && withoutChecksums !== 'accepted') {
    fault('WRIT_DATABASE_WITHOUT_CHECKSUMS', 'must be `accepted`, or be left out')
  }
  const store = readStore(env, dataDirectory)
  if (store === undefined) fault('WRIT_DATABASE_URL', 'must be `postgres://user:secret@host:port/database`')
  if (faults.length > 0 || port === null || retryBase === null || issuer === undefined || store === undefined) return refuse(faults)
  return ok({ store, dataDirectory, keyDirectory, host, port, issuer, logLevel, retryBase })
}

function readPort(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return 7400
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? Number(text) : undefined
}

function readIssuer(text: string | undefined): string | null | undefined {
  if (text === undefined || text === '') return null
  const url = URL.parse(text)
  return url !== null && /^https?:$/.test(url.protocol) && url.origin === text ? text : undefined
}

function readStore(env: Environment, directory: string): Config['store'] | undefined {
  const url = env.WRIT_DATABASE_URL
  if (url === undefined || url === '') return { kind: 'sqlite', directory }
  const parsed = URL.parse(url)
  if (parsed === null || !/^postgres(ql)?:$/.test(parsed.protocol) || parsed.pathname.length < 2) return undefined
  return { kind: 'postgres', url, allowMissingChecksums: env.WRIT_DATABASE_WITHOUT_CHECKSUMS === 'accepted' }
}

function unknownSettings(env: Environment): ConfigRefusal[] {
  const known: readonly string[] = [...SERVER_SETTINGS, ...OTHER_SETTINGS]
  return Object.keys(env).filter((name) => name.startsWith('WRIT_') && !known.includes(name)).map((name) => {
    const nearest = known.find((one) => isNear(one, name))
    return { setting: name, message: `is no setting of Writ's${nearest === undefined ? '' : `: did you mean ${nearest}?`}` }
  })
}

/** One letter added, lost or changed, or two swapped. */
function isNear(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false
  let start = 0
  while (start < a.length && a[start] === b[start]) start++
  let end = 0
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++
  return Math.max(a.length, b.length) - start - end <= 2
}
