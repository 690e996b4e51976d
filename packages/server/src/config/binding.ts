import { BlockList, isIP } from 'node:net'
import { resolve } from 'node:path'

/** Where the server listens, and who may reach it there. */
export type Binding = {
  readonly host: string
  readonly port: number
  /** What clients call this server, and the audience of their assertions; made from host and port when not given. */
  readonly issuer: string | null
  readonly tls: { readonly certificateFile: string; readonly keyFile: string } | null
  /** Addresses and CIDR blocks; where there are some, nobody else is answered. */
  readonly trustedProxies: readonly string[]
  /** Whether anyone who can connect may read the metrics. */
  readonly metricsOpen: boolean
}

type Environment = Readonly<Record<string, string | undefined>>
type Fault = (setting: string, message: string) => void

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')

/** Whether only this machine can connect to the address. */
export const isLoopback = (host: string): boolean => host === 'localhost' || (isIP(host) !== 0 && LOOPBACK.check(host, isIP(host) === 6 ? 'ipv6' : 'ipv4'))

/** Undefined where a fault was told. A server that others can reach speaks TLS, or stands behind a named proxy that does. */
export function readBinding(env: Environment, dataDirectory: string, tell: Fault): Binding | undefined {
  let isFaulty = false
  const fault: Fault = (setting, message) => {
    isFaulty = true
    tell(setting, message)
  }
  const host = env.WRIT_HOST || '127.0.0.1'
  const isAddress = host === 'localhost' || isIP(host) !== 0
  if (!isAddress) fault('WRIT_HOST', 'must be an address of this machine such as `127.0.0.1`')
  const port = readPort(env.WRIT_PORT)
  if (port === undefined) fault('WRIT_PORT', `\`${env.WRIT_PORT}\` is no port: a whole number from 0 to 65535`)
  const tls = readTls(env, dataDirectory, fault)
  const trustedProxies = readProxies(env.WRIT_TRUSTED_PROXY, fault)
  const isLocal = isLoopback(host) && trustedProxies.length === 0
  const isProtected = isLoopback(host) || env.WRIT_TLS_CERT || env.WRIT_TLS_KEY || env.WRIT_TRUSTED_PROXY
  if (isAddress && !isProtected) {
    fault('WRIT_HOST', 'must be a loopback address, or be protected: set WRIT_TLS_CERT and WRIT_TLS_KEY, or name in WRIT_TRUSTED_PROXY the TLS proxy before it')
  }
  const issuer = readIssuer(env.WRIT_ISSUER)
  if (issuer === undefined) fault('WRIT_ISSUER', 'must be an origin such as `https://writ.acme.example`, without path or trailing slash')
  else if (issuer === null && !isLocal && isProtected) fault('WRIT_ISSUER', 'is missing: where others can reach this server, say the `https://` origin that they call it by')
  else if (issuer?.startsWith('http:') && (tls !== null || (!isLocal && isProtected))) fault('WRIT_ISSUER', 'must begin with `https://`: its callers come by TLS')
  const metrics = env.WRIT_METRICS || undefined
  if (metrics !== undefined && metrics !== 'open') fault('WRIT_METRICS', 'must be `open`, or be left out: then operators may read the metrics, and anyone on this machine where nobody else can ask')
  if (isFaulty || port === undefined || issuer === undefined) return undefined
  const isAlone = isLocal && (issuer === null || isLoopback(new URL(issuer).hostname.replaceAll(/^\[|\]$/g, '')))
  return { host, port, issuer, tls, trustedProxies, metricsOpen: metrics === 'open' || isAlone }
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

function readTls(env: Environment, dataDirectory: string, fault: Fault): Binding['tls'] {
  const [certificate, key] = [env.WRIT_TLS_CERT, env.WRIT_TLS_KEY]
  if (!certificate && !key) return null
  if (!certificate) fault('WRIT_TLS_CERT', 'is missing: WRIT_TLS_KEY is of no use without it')
  if (!key) fault('WRIT_TLS_KEY', 'is missing: WRIT_TLS_CERT is of no use without it')
  if (!certificate || !key) return null
  const keyFile = resolve(key)
  if (keyFile.startsWith(`${dataDirectory}/`)) fault('WRIT_TLS_KEY', 'must lie outside of WRIT_DATA: a copy of the data must hold no key')
  return { certificateFile: resolve(certificate), keyFile }
}

/** A wider block is no name for a proxy. */
const WIDEST = { 4: 8, 6: 32 } as const

function readProxies(text: string | undefined, fault: Fault): readonly string[] {
  if (text === undefined || text === '') return []
  const named = text.split(',').map((one) => one.trim())
  for (const one of named) {
    const [address, prefix, ...more] = one.split('/')
    const family = isIP(address!)
    const bits = prefix === undefined ? undefined : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN
    if (family === 0 || address!.includes('%') || more.length > 0 || (bits !== undefined && !(bits <= (family === 4 ? 32 : 128)))) {
      fault('WRIT_TRUSTED_PROXY', `\`${one}\` is no address: name the proxy's, or a CIDR block such as \`10.0.0.0/24\`; several with commas`)
    } else if (bits !== undefined && bits < WIDEST[family as 4 | 6]) {
      fault('WRIT_TRUSTED_PROXY', `\`${one}\` names too many: a block of /${WIDEST[family as 4 | 6]} at most`)
    }
  }
  return named
}

/** Whether an address is among these; one of IPv4 that came over IPv6 is the same one. */
export function addressesOf(named: readonly string[]): (address: string) => boolean {
  const list = new BlockList()
  for (const one of named) {
    const [address, prefix] = one.split('/')
    const family = isIP(address!) === 6 ? 'ipv6' : 'ipv4'
    if (prefix === undefined) list.addAddress(address!, family)
    else list.addSubnet(address!, Number(prefix), family)
  }
  return (address) => isIP(address) !== 0 && list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}
