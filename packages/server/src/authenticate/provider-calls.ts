import type { CustomFetch } from 'openid-client'
import { MOST_DOCUMENT_BYTES, OutboundFault, type Opened, type OutboundRefusal, type OutboundStreams } from '../platform/outbound.ts'

/** The provider could not be asked, or did not answer to the end. */
export class ProviderUnreachable extends Error {
  /** A word of ours or of the system's, never what the other side wrote. */
  readonly because: string

  constructor(because: string, more: { readonly cause?: unknown } = {}) {
    super(`the provider can not be asked: ${because}`, more)
    this.because = because
  }
}

/** The library's way out, under the rules for all that Writ calls: where to, by which addresses, how long and how much. No redirect is followed. */
export const providerCalls = (outbound: OutboundStreams, mostMs: number): CustomFetch => async (url, { method, headers, body, signal }) => {
  if (method !== 'GET' && method !== 'POST') throw new ProviderUnreachable('method')
  const ours = AbortSignal.timeout(mostMs)
  const cut = AbortSignal.any([ours, ...(signal === undefined ? [] : [signal])])
  try {
    const opened = await outbound.open(url, {
      method, headers, ...(body === undefined || body === null ? {} : { body: textIn(body) }), signal: cut, headersDeadlineMs: mostMs,
    })
    if (!opened.ok) throw new ProviderUnreachable(wordFor(opened.refusal))
    const { status, headers: answered } = opened.value
    const bytes = await readAll(opened.value)
    // What has no body, and what is none of HTTP's final words, is no answer to anything that is asked here.
    if (status < 200 || status === 204 || status > 599) throw new ProviderUnreachable('status')
    return new Response(status === 205 || status === 304 ? null : bytes, { status, headers: typeIn(answered) })
  } catch (cause) {
    if (cause instanceof ProviderUnreachable) throw cause
    if (ours.aborted) throw new ProviderUnreachable('too_slow', { cause })
    throw new ProviderUnreachable(cause instanceof OutboundFault ? cause.code : 'no_connection', { cause })
  }
}

/** Form bodies are all that is sent. */
const textIn = (body: unknown): string => {
  if (typeof body === 'string') return body
  if (body instanceof URLSearchParams) return body.toString()
  throw new ProviderUnreachable('body')
}

async function readAll(answer: Opened): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of answer.body) {
    size += chunk.length
    if (size > MOST_DOCUMENT_BYTES) {
      answer.close()
      throw new ProviderUnreachable('too_large')
    }
    chunks.push(chunk)
  }
  return new Uint8Array(Buffer.concat(chunks))
}

/** No other header of an answer counts for anything here. */
const typeIn = (headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> =>
  Object.fromEntries(['content-type', 'www-authenticate', 'dpop-nonce'].flatMap((name) => (typeof headers[name] === 'string' ? [[name, headers[name]]] : [])))

const wordFor = (refusal: OutboundRefusal): string => (refusal.kind === 'no_connection' ? refusal.code : refusal.kind)
