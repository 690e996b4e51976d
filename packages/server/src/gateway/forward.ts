import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto'
import type { ServerInstanceId } from '@writ/domain/id'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { seconds } from '@writ/domain/time'
import type { Clock } from '../platform/clock.ts'
import { outbound, OutboundFault, type Opened, type OutboundRefusal, type OutboundStreams } from '../platform/outbound.ts'
import type { FaceAnswer } from './face.ts'

/** A request as it came, unread. */
export type WholeCall = {
  readonly method: 'POST' | 'GET' | 'DELETE'
  /** As it stands in the request line. */
  readonly path: string
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>
  /** Empty where there is none. */
  readonly body: string
  readonly signal: AbortSignal
}

/** `home_gone`: what it kept is gone with it. `unreachable`: nobody knows whether it has the request. */
export type ForwardRefusal = { readonly kind: 'home_gone' } | { readonly kind: 'unreachable'; readonly code: string }

/** The way to what another server of this installation keeps in its memory. */
export type Forwarding = {
  /** What the header says that marks a request as handed over by another server: `none` without it, `for_us` when it is good, else `forged`. */
  hopOf(call: Omit<WholeCall, 'signal'>): 'none' | 'for_us' | 'forged'
  /** Hands the whole exchange over; the answer streams through. */
  forward(call: WholeCall, home: ServerInstanceId): Promise<Outcome<FaceAnswer, ForwardRefusal>>
}

export type ForwardingNeeds = {
  readonly self: ServerInstanceId
  /** The same on every server of the installation, the newest first. */
  readonly hopKeys: readonly KeyObject[]
  /** Where the other server is found by those of the installation; undefined when it is gone. */
  readonly addressOf: (home: ServerInstanceId) => Promise<string | undefined>
  /** What clients call this installation: over TLS its servers show a certificate for that name, whatever address they are called at. */
  readonly issuer: () => string
  readonly clock: Clock
  /** Aborted when this server stops. */
  readonly stopping: AbortSignal
}

export const HOP_HEADER = 'writ-hop'
/** Clocks of servers may differ by so much. */
const HOP_LIVES = seconds(60)
/** Until the head of the answer: the home may have to reach its MCP server first. */
const HEAD_MS = 60_000
const MOST_ADDRESSES = 100

/** RFC 9110 §7.6.1: what is between two ends of one connection; and what the next request says of itself. */
const OF_ONE_HOP: ReadonlySet<string> = new Set([
  'connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade',
  'host', 'content-length', 'expect', 'date', 'x-request-id', HOP_HEADER,
])

export function forwarding(needs: ForwardingNeeds): Forwarding {
  const [newest] = needs.hopKeys
  if (newest === undefined) throw new Error('forwarding needs a key')
  const openTo = lines(needs.issuer)
  const markOf = (key: KeyObject, { method, path, headers }: Omit<WholeCall, 'signal'>, home: ServerInstanceId, at: number): Buffer =>
    createHmac('sha256', key).update(['writ/hop/1', home, method, path, headers['mcp-session-id'] ?? '', String(at)].join('\0')).digest()

  return {
    hopOf(call) {
      const header = call.headers[HOP_HEADER]
      if (header === undefined) return 'none'
      const [, time, mark] = /^(\d{1,16})\.([A-Za-z0-9_-]{43})$/.exec(header) ?? []
      if (time === undefined || mark === undefined || Math.abs(needs.clock.now() - Number(time)) > HOP_LIVES) return 'forged'
      const given = Buffer.from(mark, 'base64url')
      return needs.hopKeys.some((key) => timingSafeEqual(markOf(key, call, needs.self, Number(time)), given)) ? 'for_us' : 'forged'
    },

    async forward(call, home) {
      const address = await needs.addressOf(home)
      if (address === undefined) return refuse({ kind: 'home_gone' })
      const at = needs.clock.now()
      const mark = `${at}.${markOf(newest, call, home, at).toString('base64url')}`
      const opened = await openTo(address).open(new URL(call.path, address).href, {
        method: call.method, headers: { ...endToEnd(call.headers), [HOP_HEADER]: mark }, ...(call.body === '' ? {} : { body: call.body }),
        signal: call.signal, headersDeadlineMs: HEAD_MS,
      })
      // What answers a GET waits for what may never come.
      return opened.ok ? ok(answerOf(opened.value, call.method === 'GET' ? needs.stopping : undefined)) : refuse(isGone(opened.refusal) ? { kind: 'home_gone' } : { kind: 'unreachable', code: codeOf(opened.refusal) })
    },
  }
}

/** One line for each address of the table, whatever the rules are for strangers. */
function lines(issuer: () => string): (address: string) => OutboundStreams {
  const open = new Map<string, OutboundStreams>()
  return (address) => {
    const known = open.get(address)
    if (known !== undefined) return known
    const { hostname, port, protocol } = new URL(address)
    const line = outbound({ allow: [{ kind: 'host', host: `${hostname}:${port || (protocol === 'http:' ? '80' : '443')}` }], peersName: new URL(issuer()).hostname.replace(/^\[|\]$/g, '') })
    if (open.size >= MOST_ADDRESSES) open.delete(open.keys().next().value!)
    open.set(address, line)
    return line
  }
}

/** Nobody listens there: the request has reached nobody. */
const isGone = (refusal: OutboundRefusal): boolean =>
  refusal.kind === 'no_such_host' || (refusal.kind === 'no_connection' && ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH'].includes(refusal.code))

const codeOf = (refusal: OutboundRefusal): string => (refusal.kind === 'no_connection' ? refusal.code : refusal.kind)

function endToEnd(headers: Readonly<Record<string, string>>): Record<string, string> {
  const named = new Set((headers['connection'] ?? '').toLowerCase().split(',').map((name) => name.trim()))
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !OF_ONE_HOP.has(name) && !named.has(name)))
}

function answerOf(opened: Opened, until: AbortSignal | undefined): FaceAnswer {
  const headers = Object.fromEntries(Object.entries(opened.headers).flatMap(([name, value]) => (value === undefined ? [] : [[name, [value].flat().join(', ')]])))
  const isEmpty = opened.status === 202 || opened.status === 204
  if (isEmpty) opened.close()
  return { status: opened.status, headers: endToEnd(headers), body: isEmpty ? null : textsOf(opened, until) }
}

/** A line that breaks breaks ours too: the client sees what has happened, and may come back to its stream. One that we end ourselves ends as it should. */
async function* textsOf(opened: Opened, until: AbortSignal | undefined): AsyncGenerator<string, void> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  const onAbort = (): void => { opened.close() }
  until?.addEventListener('abort', onAbort, { once: true })
  if (until?.aborted) onAbort()
  try {
    for await (const chunk of opened.body) {
      const text = decoder.decode(chunk, { stream: true })
      if (text !== '') yield text
    }
  } catch (cause) {
    if (until?.aborted) return
    if (cause instanceof OutboundFault) throw new Error('the server that keeps this session broke off', { cause })
    throw cause
  } finally {
    until?.removeEventListener('abort', onAbort)
    opened.close()
  }
}
