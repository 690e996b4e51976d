import { lookup as hostLookup } from 'node:dns/promises'
import { once } from 'node:events'
import { Agent as PlainAgent, request as plainRequest, type IncomingHttpHeaders, type IncomingMessage, type RequestOptions } from 'node:http'
import { Agent as TlsAgent, request as tlsRequest, type AgentOptions } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { checkServerIdentity } from 'node:tls'
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

export type OpenOrder = OutboundOptions & {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  /** Once it is aborted, the line is cut and its reason thrown. */
  readonly signal: AbortSignal
  /** How long the head of the answer may take, the look-up and the connection included. */
  readonly headersDeadlineMs: number
}

/** An answer whose body comes as it comes. A body that breaks off throws an `OutboundFault`; one that is aborted, the signal's reason. */
export type Opened = {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: AsyncIterable<Uint8Array>
  /** Lets go of the answer: what is still to come is not read. */
  close(): void
}

/** The line broke after the head of the answer. `code` is a word of the system's, never what the other side wrote. */
export class OutboundFault extends Error {
  readonly code: string

  constructor(code: string, more: { readonly cause?: unknown } = {}) {
    super(`the line broke: ${code}`, more)
    this.code = code
  }
}

/** Whole exchanges under the same rules, for back ends that an operator has named. The status is the asker's to judge; a redirect is not followed. */
export type OutboundStreams = {
  readonly open: (url: string, order: OpenOrder) => Promise<Outcome<Opened, OutboundRefusal>>
}

/** For a line that is no HTTP: the addresses to which it may go, and to no others, at the host and port of an `https:` URL. */
export type OutboundJudge = { readonly judge: (url: string) => Promise<Outcome<readonly string[], OutboundRefusal>> }

export type OutboundNeeds = {
  readonly allow: readonly OutboundRule[]
  /** All addresses of a host; throws when there is none. The system's own when left out. */
  readonly resolve?: (host: string) => Promise<readonly string[]>
  readonly deadlineMs?: number
  /** How long what was judged of a host holds for connections that are kept open. */
  readonly judgementMs?: number
  /** Of other servers of this installation, whom a rule names: they are called over plain http too, and over TLS by a certificate for this name. */
  readonly peersName?: string
}

export const MOST_DOCUMENT_BYTES = 512 * 1024
const DEADLINE_MS = 5000
const MOST_ADDRESSES = 16
const JUDGEMENT_MS = 60_000
const MOST_KEPT_HOSTS = 500
/** Shorter than the 5 s after which many servers drop an idle connection: a request must not meet that moment. */
const IDLE_CONNECTION_MS = 4000
const MOST_IDLE_CONNECTIONS = 64
const MOST_HEAD_BYTES = 32 * 1024
const LOOPBACK: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]'])
const JSON_TYPE = /^application\/(?:[a-z0-9.-]+\+)?json(?:\s*;|\s*$)/i

/**
 * Calls out under these rules: https, no redirect, no proxy, no cookie, one name look-up whose addresses are judged and then pinned, so that a
 * name which changes its mind is not followed; a bound on size and one on the whole time. Plain http only where a rule names that very host and
 * port and it is this machine.
 */
export function outbound({ allow, resolve = resolveByHost, deadlineMs = DEADLINE_MS, judgementMs = JUDGEMENT_MS, peersName }: OutboundNeeds): Outbound & OutboundStreams & OutboundJudge {
  const blocks = allow.flatMap((rule) => (rule.kind === 'block' ? [blockOf(rule.address, rule.bits)] : []))
  const isNamed = (url: URL): boolean => allow.some((rule) => rule.kind === 'host' && rule.host === hostAndPort(url))
  const mayReach = (address: string, named: boolean): boolean => {
    const reach = reachOf(address)
    return reach === 'public' || (reach === 'private' && (named || blocks.some((block) => isInBlock(block, address))))
  }
  const read = (text: string): Outcome<URL, UrlFault> => {
    const url = readUrl(text)
    if (!url.ok) return url
    if (url.value.protocol === 'http:' && !((LOOPBACK.has(url.value.hostname) || peersName !== undefined) && isNamed(url.value))) return refuse({ kind: 'bad_url', why: 'scheme' })
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
  const kept = keptConnections({ addressesOf, judgementMs, peersName })
  return {
    faultOf(text) {
      const url = read(text)
      return url.ok ? undefined : url.refusal
    },
    async judge(text) {
      const url = read(text)
      return url.ok ? addressesOf(url.value) : url
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
    async open(text, order) {
      const url = read(text)
      if (!url.ok) return url
      order.signal.throwIfAborted()
      const cut = new AbortController()
      const signal = AbortSignal.any([order.signal, cut.signal])
      const timer = setTimeout(() => { cut.abort() }, order.headersDeadlineMs)
      try {
        const agent = await unlessAborted(kept(url.value, order.ca ?? null), signal)
        return agent.ok ? await openAt(url.value, agent.value, order, signal) : agent
      } catch (cause) {
        order.signal.throwIfAborted()
        if (cut.signal.aborted) return refuse({ kind: 'too_slow', mostMs: order.headersDeadlineMs })
        return refuse({ kind: 'no_connection', code: codeOf(cause) })
      } finally {
        clearTimeout(timer)
      }
    },
  }
}

type Judge = (url: URL) => Promise<Outcome<readonly string[], OutboundRefusal>>
/** Connections to one host, at the addresses that were judged, under the authorities that were named. */
type Kept = { agent: PlainAgent; addresses: readonly string[]; isFresh: boolean }
type KeptNeeds = { readonly addressesOf: Judge; readonly judgementMs: number; readonly peersName: string | undefined }

/**
 * Keeps connections open between two requests. What was judged of a name is asked again once it is older than a minute, and where the answer
 * is another one, no connection of before serves again; those in use come to their end.
 */
function keptConnections({ addressesOf, judgementMs, peersName }: KeptNeeds): (url: URL, ca: string | null) => Promise<Outcome<PlainAgent, OutboundRefusal>> {
  const hosts = new Map<string, Kept>()
  const forget = (name: string): void => {
    const old = hosts.get(name)
    if (old === undefined) return
    hosts.delete(name)
    old.agent.maxFreeSockets = 0
    for (const socket of Object.values(old.agent.freeSockets).flat()) socket?.destroy()
  }
  return async (url, ca) => {
    const name = `${url.protocol}//${hostAndPort(url)} ${ca ?? ''}`
    const known = hosts.get(name)
    if (known?.isFresh) return ok(known.agent)
    const addresses = await addressesOf(url)
    if (!addresses.ok) {
      forget(name)
      return addresses
    }
    // Another request may have judged in the meantime.
    const now = hosts.get(name)
    const isSame = now !== undefined && sameSet(now.addresses, addresses.value)
    if (!isSame) forget(name)
    const kept: Kept = isSame ? now : { agent: agentFor(url, addresses.value, { ca, peersName }), addresses: addresses.value, isFresh: true }
    hosts.delete(name)
    hosts.set(name, kept)
    for (const [oldest] of hosts) {
      if (hosts.size <= MOST_KEPT_HOSTS) break
      forget(oldest)
    }
    kept.isFresh = true
    setTimeout(() => { kept.isFresh = false }, judgementMs).unref()
    return ok(kept.agent)
  }
}

const sameSet = (these: readonly string[], those: readonly string[]): boolean => these.toSorted().join() === those.toSorted().join()

function agentFor(url: URL, addresses: readonly string[], { ca, peersName }: { readonly ca: string | null; readonly peersName: string | undefined }): PlainAgent {
  const common = { keepAlive: true, timeout: IDLE_CONNECTION_MS, maxFreeSockets: MOST_IDLE_CONNECTIONS, scheduling: 'lifo', lookup: pinned(addresses) } as const
  if (url.protocol === 'http:') return new PlainAgent(common)
  const named: Pick<AgentOptions, 'checkServerIdentity'> = peersName === undefined ? {} : { checkServerIdentity: (_, certificate) => checkServerIdentity(peersName, certificate) }
  return new TlsAgent({ ...common, maxCachedSessions: 0, minVersion: 'TLSv1.2', rejectUnauthorized: true, ...(ca === null ? {} : { ca }), ...named })
}

async function openAt(url: URL, agent: PlainAgent, order: OpenOrder, signal: AbortSignal): Promise<Outcome<Opened, OutboundRefusal>> {
  const body = order.body === undefined ? undefined : Buffer.from(order.body)
  // Where a message ends is nobody's to say but ours.
  const given = Object.entries(order.headers).filter(([name]) => !/^(?:content-length|transfer-encoding|connection|upgrade|expect|te|trailer|host)$/i.test(name))
  const ours = { 'accept-encoding': 'identity', 'user-agent': 'writ', ...(body === undefined ? {} : { 'content-length': String(body.length) }) }
  const asking = (url.protocol === 'http:' ? plainRequest : tlsRequest)(url, {
    method: order.method, headers: { ...Object.fromEntries(given), ...ours }, agent, signal, maxHeaderSize: MOST_HEAD_BYTES,
  })
  asking.end(body)
  const [response] = await once(asking, 'response') as [IncomingMessage]
  asking.on('error', () => undefined)
  return ok({
    status: response.statusCode ?? 0,
    headers: response.headers,
    body: bodyOf(response, order.signal),
    close: () => { response.destroy() },
  })
}

async function* bodyOf(response: IncomingMessage, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) yield chunk
  } catch (cause) {
    signal.throwIfAborted()
    throw new OutboundFault(codeOf(cause), { cause })
  }
}

/** What comes after the abort is nobody's any more. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => { reject(signal.reason) }
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
    work.catch(() => undefined)
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
