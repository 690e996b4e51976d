import { lookup as hostLookup } from 'node:dns/promises'
import { once } from 'node:events'
import { Agent as PlainAgent, request as plainRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { Agent as TlsAgent, request as tlsRequest } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { parseStrictJson } from '@writ/contract/strict-json'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { blockOf, isInBlock, reachOf } from './addresses.ts'
import { textOf } from './utf8.ts'

/** Exceptions to "the internet alone": a block of addresses, or one host and port as a URL spells them. */
export type OutboundRule =
  | { readonly kind: 'block'; readonly address: string; readonly bits: number }
  | { readonly kind: 'host'; readonly host: string }

/** What is wrong with a URL before anything is looked up. */
export type UrlFault =
  | { readonly kind: 'bad_url'; readonly why: 'not_a_url' | 'scheme' | 'userinfo' | 'fragment' | 'port' }
  | { readonly kind: 'address_not_allowed'; readonly host: string }

/** Why a document did not come. `code` is a word of the system's, never what the other side wrote. */
export type OutboundRefusal =
  | UrlFault
  | { readonly kind: 'no_such_host'; readonly host: string }
  | { readonly kind: 'no_connection'; readonly code: string }
  | { readonly kind: 'too_slow'; readonly mostMs: number }
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'not_json'; readonly why: 'type' | 'encoding' | 'text' }
  | { readonly kind: 'too_large'; readonly most: number }

export type OutboundOptions = {
  /** Certification authorities in PEM, in place of those that everybody trusts. */
  readonly ca?: string | null
}

/** Everything that Writ asks of strangers: one GET of one JSON document, at an address that was looked at before it is called. */
export type Outbound = {
  /** Whether the URL may be asked at all, before anything is looked up; undefined when it may. */
  readonly faultOf: (url: string) => UrlFault | undefined
  readonly getJson: (url: string, options?: OutboundOptions) => Promise<Outcome<unknown, OutboundRefusal>>
}

export type OutboundNeeds = {
  readonly allow: readonly OutboundRule[]
  /** All addresses of a host; throws when there is none. The system's own when left out. */
  readonly resolve?: (host: string) => Promise<readonly string[]>
  readonly deadlineMs?: number
}

export const MOST_DOCUMENT_BYTES = 512 * 1024
const DEADLINE_MS = 5000
const MOST_ADDRESSES = 16
const LOOPBACK: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]'])
const JSON_TYPE = /^application\/(?:[a-z0-9.-]+\+)?json(?:\s*;|\s*$)/i

/**
 * Calls out under these rules: https, no redirect, no proxy, no cookie, one name look-up whose addresses are judged and then pinned, so that a
 * name which changes its mind is not followed; a bound on size and one on the whole time. Plain http only where a rule names that very host and
 * port and it is this machine.
 */
export function outbound({ allow, resolve = resolveByHost, deadlineMs = DEADLINE_MS }: OutboundNeeds): Outbound {
  const blocks = allow.flatMap((rule) => (rule.kind === 'block' ? [blockOf(rule.address, rule.bits)] : []))
  const isNamed = (url: URL): boolean => allow.some((rule) => rule.kind === 'host' && rule.host === hostAndPort(url))
  const mayReach = (address: string, named: boolean): boolean => {
    const reach = reachOf(address)
    return reach === 'public' || (reach === 'private' && (named || blocks.some((block) => isInBlock(block, address))))
  }
  const read = (text: string): Outcome<URL, UrlFault> => {
    const url = readUrl(text)
    if (!url.ok) return url
    if (url.value.protocol === 'http:' && !(LOOPBACK.has(url.value.hostname) && isNamed(url.value))) return refuse({ kind: 'bad_url', why: 'scheme' })
    const literal = literalOf(url.value)
    return literal === undefined || mayReach(literal, isNamed(url.value)) ? url : refuse({ kind: 'address_not_allowed', host: url.value.hostname })
  }
  const addressesOf = async (url: URL): Promise<Outcome<readonly string[], OutboundRefusal>> => {
    const literal = literalOf(url)
    if (literal !== undefined) return ok([literal])
    const addresses = await resolve(url.hostname).catch(() => [])
    if (addresses.length === 0) return refuse({ kind: 'no_such_host', host: url.hostname })
    // One bad address among good ones is no accident: the next look-up might bring it alone.
    const named = isNamed(url)
    if (!addresses.every((address) => mayReach(address, named))) return refuse({ kind: 'address_not_allowed', host: url.hostname })
    return ok(addresses.slice(0, MOST_ADDRESSES))
  }
  return {
    faultOf(text) {
      const url = read(text)
      return url.ok ? undefined : url.refusal
    },
    async getJson(text, options = {}) {
      const url = read(text)
      if (!url.ok) return url
      const tooSlow = refuse<OutboundRefusal>({ kind: 'too_slow', mostMs: deadlineMs })
      const stop = new AbortController()
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<typeof tooSlow>((done) => {
        timer = setTimeout(() => {
          done(tooSlow)
          stop.abort()
        }, deadlineMs)
      })
      const work = async (): Promise<Outcome<unknown, OutboundRefusal>> => {
        const addresses = await addressesOf(url.value)
        if (!addresses.ok) return addresses
        return stop.signal.aborted ? tooSlow : ask(url.value, addresses.value, options, stop.signal)
      }
      try {
        return await Promise.race([work(), late])
      } finally {
        clearTimeout(timer)
        stop.abort()
      }
    },
  }
}

async function resolveByHost(host: string): Promise<readonly string[]> {
  return (await hostLookup(host, { all: true, order: 'verbatim' })).map(({ address }) => address)
}

function readUrl(text: string): Outcome<URL, UrlFault> {
  const url = URL.parse(text)
  if (url === null || url.hostname === '') return refuse({ kind: 'bad_url', why: 'not_a_url' })
  if (url.protocol !== 'https:' && url.protocol !== 'http:') return refuse({ kind: 'bad_url', why: 'scheme' })
  if (url.username !== '' || url.password !== '' || /^[a-z]+:[/\\]*[^/\\?#]*@/i.test(text)) return refuse({ kind: 'bad_url', why: 'userinfo' })
  if (text.includes('#')) return refuse({ kind: 'bad_url', why: 'fragment' })
  return url.port === '0' ? refuse({ kind: 'bad_url', why: 'port' }) : ok(url)
}

/** The address that stands in the URL itself; the URL parser has given it its one spelling (`0x7f.1` is `127.0.0.1`). */
function literalOf({ hostname }: URL): string | undefined {
  const inner = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
  return isIP(inner) === 0 ? undefined : inner
}

const hostAndPort = (url: URL): string => `${url.hostname}:${url.port || (url.protocol === 'http:' ? '80' : '443')}`

/** Answers the addresses that were judged, whatever is asked: no second look-up. */
const pinned = (addresses: readonly string[]): LookupFunction => (_host, options, done) => {
  const all = addresses.map((address) => ({ address, family: isIP(address) }))
  if (options.all) return done(null, all)
  return done(null, all[0]!.address, all[0]!.family)
}

async function ask(url: URL, addresses: readonly string[], { ca }: OutboundOptions, signal: AbortSignal): Promise<Outcome<unknown, OutboundRefusal>> {
  const common: RequestOptions = {
    method: 'GET', signal, lookup: pinned(addresses),
    headers: { accept: 'application/json, application/jwk-set+json', 'accept-encoding': 'identity', 'user-agent': 'writ' },
  }
  try {
    // An agent of its own: nothing is kept open, nothing comes from the environment.
    const asking = url.protocol === 'http:'
      ? plainRequest(url, { ...common, agent: new PlainAgent({ keepAlive: false }) })
      : tlsRequest(url, {
        ...common, agent: new TlsAgent({ keepAlive: false, maxCachedSessions: 0 }), minVersion: 'TLSv1.2', rejectUnauthorized: true,
        ...(ca === undefined || ca === null ? {} : { ca }),
      })
    asking.end()
    const [response] = await once(asking, 'response') as [IncomingMessage]
    // Whatever comes after the answer is read is nobody's business any more.
    asking.on('error', () => undefined)
    return await readAnswer(response)
  } catch (cause) {
    return refuse({ kind: 'no_connection', code: codeOf(cause) })
  }
}

async function readAnswer(response: IncomingMessage): Promise<Outcome<unknown, OutboundRefusal>> {
  const dropped = (refusal: OutboundRefusal): Outcome<never, OutboundRefusal> => {
    response.destroy()
    return refuse(refusal)
  }
  const { 'content-type': type = '', 'content-encoding': encoding = 'identity', 'content-length': length = '0' } = response.headers
  // A redirect is an answer like any other that is not the document.
  if (response.statusCode !== 200) return dropped({ kind: 'status', status: response.statusCode ?? 0 })
  if (!JSON_TYPE.test(type)) return dropped({ kind: 'not_json', why: 'type' })
  // Nothing is unpacked, so that no small answer becomes a large one.
  if (encoding.toLowerCase() !== 'identity') return dropped({ kind: 'not_json', why: 'encoding' })
  if (Number(length) > MOST_DOCUMENT_BYTES) return dropped({ kind: 'too_large', most: MOST_DOCUMENT_BYTES })
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MOST_DOCUMENT_BYTES) return dropped({ kind: 'too_large', most: MOST_DOCUMENT_BYTES })
    chunks.push(chunk)
  }
  const text = textOf(Buffer.concat(chunks))
  const parsed = text === undefined ? undefined : parseStrictJson(text, { depth: 16 })
  return parsed?.ok ? ok(parsed.value) : refuse({ kind: 'not_json', why: 'text' })
}

/** `ECONNREFUSED`, `CERT_HAS_EXPIRED`: Node's own words, and no text of a stranger's. */
function codeOf(cause: unknown): string {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  return typeof code === 'string' && /^[A-Z0-9_]{1,60}$/.test(code) ? code : 'unknown'
}
