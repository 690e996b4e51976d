import { resolve } from 'node:path'
import { ENVIRONMENTS } from '@writ/domain/identity'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { milliseconds, parseDuration, type Milliseconds } from '@writ/domain/time'
import { readBinding, type Binding } from './binding.ts'
import { PER_MINUTE_SETTINGS, readPerMinute, type MostPerMinute } from './per-minute.ts'
import { readSignInProvider, SIGN_IN_PROVIDER_SETTINGS, type SignInProviderSettings } from './sign-in-provider.ts'
import { parseOutboundRules, type OutboundRule } from './outbound-rules.ts'

export type Config = Binding & {
  readonly store: { readonly kind: 'sqlite'; readonly directory: string } | { readonly kind: 'postgres'; readonly url: string; readonly allowMissingChecksums: boolean }
  /** Where the one-time bootstrap link is left for the command line. */
  readonly dataDirectory: string
  /** Outside of the data directory, so that a copy of the data holds no key (R37). */
  readonly keyDirectory: string
  readonly logLevel: string
  /** Why this start offers a sign-in link although there are operators; undefined when it offers none. */
  readonly newOperatorLink: string | undefined
  /** Whether a DPoP proof has to hold a nonce of ours (RFC 9449 §8, §9), so that none can be made ahead of time. */
  readonly dpopNonceRequired: boolean
  /** Where Writ may call out to besides the internet: issuers in a private network. */
  readonly outboundAllow: readonly OutboundRule[]
  /** The first pause after a failed withdrawal. */
  readonly retryBase: Milliseconds
  readonly mostPerMinute: MostPerMinute
  /** What this installation is for, as its console shows it on every page; null where nobody has said so. */
  readonly environment: (typeof ENVIRONMENTS)[number] | null
  /** Null where people sign in by passkeys alone. */
  readonly signInProvider: SignInProviderSettings | null
}

/** A setting that can not be used: its name, what is wrong with it, and the way out. */
export type ConfigRefusal = { readonly setting: string; readonly message: string }

type Environment = Readonly<Record<string, string | undefined>>

/** Every variable that Writ's programs read; another one that begins with `WRIT_` is a typing mistake. */
const SERVER_SETTINGS = ['WRIT_DATA', 'WRIT_KEYS', 'WRIT_HOST', 'WRIT_PORT', 'WRIT_ISSUER', 'WRIT_TLS_CERT', 'WRIT_TLS_KEY', 'WRIT_TRUSTED_PROXY', 'WRIT_METRICS', 'WRIT_DATABASE_URL', 'WRIT_DATABASE_WITHOUT_CHECKSUMS', 'WRIT_LOG', 'WRIT_DPOP_NONCE', 'WRIT_OUTBOUND_ALLOW', 'WRIT_RETRY_BASE', 'WRIT_NEW_OPERATOR_LINK', 'WRIT_ENVIRONMENT', ...Object.values(PER_MINUTE_SETTINGS), ...SIGN_IN_PROVIDER_SETTINGS] as const
const OTHER_SETTINGS = ['WRIT_URL', 'WRIT_TOKEN', 'WRIT_CONFIG', 'WRIT_CONTEXT', 'WRIT_OUTPUT', 'WRIT_NO_INPUT', 'WRIT_KEY_FILE', 'WRIT_IDENTITY', 'WRIT_FAILPOINT', 'WRIT_VECTORS', 'WRIT_TEST_POSTGRES_15', 'WRIT_TEST_POSTGRES_18', 'WRIT_TEST_LONG'] as const
/** As every reason that is recorded. */
const LONGEST_REASON = 500
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']

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
  const binding = readBinding(env, dataDirectory, fault)
  const logLevel = env.WRIT_LOG || 'warn'
  if (!LOG_LEVELS.includes(logLevel)) fault('WRIT_LOG', `\`${logLevel}\` is no level: one of ${LOG_LEVELS.join(', ')}`)
  const retryBase = env.WRIT_RETRY_BASE === undefined || env.WRIT_RETRY_BASE === ''
    ? milliseconds(10_000)
    : parseDuration(env.WRIT_RETRY_BASE) ?? fault('WRIT_RETRY_BASE', 'must be a length such as `10s`')
  const dpopNonce = env.WRIT_DPOP_NONCE
  if (dpopNonce !== undefined && dpopNonce !== '' && dpopNonce !== 'required') fault('WRIT_DPOP_NONCE', 'must be `required`, or be left out')
  const newOperatorLink = env.WRIT_NEW_OPERATOR_LINK?.trim() || undefined
  if (newOperatorLink !== undefined && (newOperatorLink.length > LONGEST_REASON || /\p{Cc}/u.test(newOperatorLink))) {
    fault('WRIT_NEW_OPERATOR_LINK', `must say in one line of at most ${LONGEST_REASON} characters why one more operator is to sign in, or be left out`)
  }
  const outboundAllow = parseOutboundRules(env.WRIT_OUTBOUND_ALLOW ?? '')
    ?? fault('WRIT_OUTBOUND_ALLOW', 'must be blocks such as `10.20.0.0/16` and hosts with their port such as `issuer.acme.example:8443`, with commas between them')
  const environment = ENVIRONMENTS.find((one) => one === env.WRIT_ENVIRONMENT) ?? null
  if (environment === null && env.WRIT_ENVIRONMENT) fault('WRIT_ENVIRONMENT', `must be one of ${ENVIRONMENTS.map((one) => `\`${one}\``).join(', ')}, or be left out`)
  const mostPerMinute = readPerMinute(env, fault)
  const signInProvider = readSignInProvider(env, dataDirectory, fault)
  const withoutChecksums = env.WRIT_DATABASE_WITHOUT_CHECKSUMS
  if (withoutChecksums !== undefined && withoutChecksums !== '' && withoutChecksums !== 'accepted') {
    fault('WRIT_DATABASE_WITHOUT_CHECKSUMS', 'must be `accepted`, or be left out')
  }
  const store = readStore(env, dataDirectory)
  if (store === undefined) fault('WRIT_DATABASE_URL', 'must be `postgres://user:secret@host:port/database`')
  if (faults.length > 0 || binding === undefined || retryBase === null || outboundAllow === null || store === undefined) return refuse(faults)
  return ok({ ...binding, store, dataDirectory, keyDirectory, logLevel, newOperatorLink, dpopNonceRequired: dpopNonce === 'required', outboundAllow, retryBase, mostPerMinute, environment, signInProvider })
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
