import { refuse, type Outcome } from '@writ/domain/outcome'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Readable } from 'node:stream'
import type { Proved } from '../authenticate/authenticator.ts'
import type { SparingAuthentication } from '../authenticate/refused-often.ts'
import { textOf } from '../platform/utf8.ts'
import type { TellRefused } from './at-door.ts'
import { challenge, nonceChallenge, presentedIn } from './evidence.ts'
import { problem, toProblem } from './problem.ts'

/** A request for a protocol that is not ours: whoever serves it reads the body, and answers in its own words. */
export type RawCall = {
  readonly method: RawMethod
  /** As it stands in the request line. */
  readonly path: string
  readonly parameters: Readonly<Record<string, string>>
  /** By lower-case name; of one that came several times, the first. */
  readonly headers: Readonly<Record<string, string>>
  /** The names of those that came several times: which of them counts would depend on who reads. */
  readonly repeated: readonly string[]
  /** Undefined of what is not UTF-8. */
  readonly body: string | undefined
  readonly traceId: string
  /** Aborted when the client goes away before it has its answer. */
  readonly signal: AbortSignal
  /** Who comes with an access token for just this resource; else the answer. `metadata` is where the resource says what it takes (RFC 9728). */
  authenticate(of: { readonly audience: string; readonly metadata: string }): Promise<Outcome<Proved, RawAnswer>>
}

export type RawMethod = 'GET' | 'POST' | 'DELETE'

export type RawAnswer = { readonly status: number; readonly headers: Readonly<Record<string, string>>; readonly body: string | AsyncIterable<string> | null }

export type RawRoute = {
  readonly methods: readonly RawMethod[]
  /** Parameters in braces. */
  readonly path: string
  readonly mostBytes: number
  readonly handle: (call: RawCall) => Promise<RawAnswer>
}

export type RawNeeds = {
  readonly atResource: SparingAuthentication['atResource']
  readonly tellRefused: TellRefused
  /** RFC 9449 §8.2: the nonce for a client's next proof, where proofs need one. */
  readonly nextNonce: () => string | undefined
}

export function serveRaw(app: FastifyInstance, needs: RawNeeds, routes: readonly RawRoute[]): void {
  void app.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => { done(null, body) })
    for (const { methods, path, mostBytes, handle } of routes) {
      scope.route({
        method: [...methods],
        url: path.replaceAll(/\{(\w+)\}/g, ':$1'),
        bodyLimit: mostBytes,
        exposeHeadRoute: false,
        handler: async (request, reply) => {
          const nonce = request.headers.dpop === undefined ? undefined : needs.nextNonce()
          if (nonce !== undefined) void reply.header('dpop-nonce', nonce)
          return send(reply, await handle(callOf(needs, request, signalOf(reply))))
        },
      })
    }
  })
}

function callOf(needs: RawNeeds, request: FastifyRequest, signal: AbortSignal): RawCall {
  const { headers, repeated } = headersIn(request.raw.rawHeaders)
  return {
    method: request.method as RawMethod, path: request.raw.url ?? '', parameters: request.params as Record<string, string>, headers, repeated,
    body: request.body instanceof Uint8Array ? textOf(request.body) : '', traceId: request.id, signal,
    async authenticate({ audience, metadata }) {
      const presented = presentedIn(request)
      const found = presented && await needs.atResource(presented, audience)
      if (found?.ok) return found
      if (found !== undefined) needs.tellRefused(found.refusal, request.id)
      const nonce = found?.refusal.kind === 'use_dpop_nonce' ? found.refusal.nonce : undefined
      const asked = nonce === undefined ? { 'www-authenticate': challenge(presented?.scheme, metadata) } : nonceChallenge(nonce, metadata)
      const body = toProblem(problem('unauthenticated', { hint: TOKEN_HINT }), request.id)
      return refuse({ status: body.status, headers: { 'content-type': 'application/problem+json; charset=utf-8', ...asked }, body: JSON.stringify(body) })
    },
  }
}

const TOKEN_HINT = 'ask /oauth/token for an access token with this address as its `resource`, and send it as `Authorization: DPoP` with a fresh proof, or as `Bearer` where it is bound to no key'

function headersIn(raw: readonly string[]): Pick<RawCall, 'headers' | 'repeated'> {
  const headers = new Map<string, string>()
  const repeated = new Set<string>()
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase()
    if (headers.has(name)) repeated.add(name)
    else headers.set(name, raw[i + 1]!)
  }
  return { headers: Object.fromEntries(headers), repeated: [...repeated] }
}

function signalOf(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => { if (!reply.raw.writableFinished) gone.abort() })
  return gone.signal
}

function send(reply: FastifyReply, { status, headers, body }: RawAnswer): FastifyReply {
  void reply.status(status).headers({ 'cache-control': 'no-store', ...headers })
  if (body === null || typeof body === 'string') return reply.send(body ?? undefined)
  return reply.send(Readable.from(body))
}
