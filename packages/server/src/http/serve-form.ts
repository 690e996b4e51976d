import { createHash } from 'node:crypto'
import type { Endpoint } from '@writ/contract/endpoint'
import type { OauthErrorCode } from '@writ/contract/oauth'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { z } from 'zod'
import type { EventMac } from '../keys/mac.ts'
import type { Clock } from '../platform/clock.ts'
import { StorageBusy, StorageUnavailable } from '../store/faults.ts'
import type { Once } from '../store/store.ts'

/** What an OAuth client is told when its request was in vain; `why` is for the log alone. */
export type OauthRefusal = {
  readonly error: OauthErrorCode
  readonly description?: string
  readonly status?: 400 | 401 | 413 | 415 | 429 | 500 | 503
  readonly headers?: Readonly<Record<string, string>>
  /** Why the task ended, for its holder. */
  readonly endReason?: string
  readonly why?: unknown
}

export type FormEndpoint = Endpoint & { readonly form: true; readonly body: z.ZodType }

export type FormCall<E extends FormEndpoint> = {
  readonly body: z.output<E['body']>
  readonly request: FastifyRequest
  /** Names the request for this caller, so that its repeat is recognised. `but`: parameters that a repeat has anew; `more`: what else it has to repeat. */
  readonly once: (caller: string, but: readonly string[], more: string) => Once
}

export type FormAnswer<E extends FormEndpoint> = Outcome<z.input<E['reply']> | null, OauthRefusal>
export type FormRoute = { readonly endpoint: FormEndpoint; readonly answer: (call: never) => Promise<FormAnswer<FormEndpoint>> }

export const formRoute = <E extends FormEndpoint>(endpoint: E, answer: (call: FormCall<E>) => Promise<FormAnswer<E>>): FormRoute =>
  ({ endpoint, answer: answer as FormRoute['answer'] })

export type FormNeeds = {
  readonly eventMac: Pick<EventMac, 'macOf'>
  readonly clock: Clock
  /** RFC 9449 §8.2: the nonce for a client's next proof, where proofs need one. */
  readonly nextNonce: () => string | undefined
}

/** No request of a client needs more: two tokens and a grant. */
const MOST_FORM_BYTES = 65_536
const MOST_PARAMETERS = 50
const IDEMPOTENCY_KEY = /^[\x21-\x7e]{8,200}$/
const FORM = 'application/x-www-form-urlencoded'

/** Serves the endpoints that standard OAuth clients call: their bodies are forms, and their errors those of RFC 6749 §5.2. */
export function serveForms(app: FastifyInstance, needs: FormNeeds, { routes, log }: { readonly routes: readonly FormRoute[]; readonly log: Logger }): void {
  void app.register(async (scope) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser(FORM, { parseAs: 'string', bodyLimit: MOST_FORM_BYTES }, (_request, body, done) => { done(null, body) })
    scope.setErrorHandler((error, request, reply) => sendError(reply, refusalOf(error as FastifyError), { request, log }))
    for (const { endpoint, answer } of routes) {
      scope.route({
        method: endpoint.method,
        url: endpoint.path,
        bodyLimit: MOST_FORM_BYTES,
        handler: async (request, reply) => {
          const call = readForm(needs, endpoint, request)
          const answered = call.ok ? await answer(call.value as never) : call
          if (!answered.ok) return sendError(reply, answered.refusal, { request, log })
          const nonce = request.headers.dpop === undefined ? undefined : needs.nextNonce()
          if (nonce !== undefined) void reply.header('dpop-nonce', nonce)
          void reply.headers(NEVER_STORED)
          return answered.value === null ? reply.send() : reply.type('application/json; charset=utf-8').send(JSON.stringify(answered.value))
        },
      })
    }
  })
}

/** RFC 6749 §5.1. */
const NEVER_STORED = { 'cache-control': 'no-store', 'pragma': 'no-cache' } as const

function readForm(needs: FormNeeds, endpoint: FormEndpoint, request: FastifyRequest): Outcome<FormCall<FormEndpoint>, OauthRefusal> {
  // RFC 6749 §2.3.1: parameters stand in the body; an address is written into too many logs.
  if (request.raw.url?.includes('?') === true) return refuse({ error: 'invalid_request', description: 'parameters stand in the body, never in the address' })
  const key = request.headers['idempotency-key']
  if (key !== undefined && (typeof key !== 'string' || !IDEMPOTENCY_KEY.test(key))) {
    return refuse({ error: 'invalid_request', description: 'the Idempotency-Key header must be 8 to 200 visible characters' })
  }
  const parameters = parametersOf(typeof request.body === 'string' ? request.body : '')
  if (!parameters.ok) return parameters
  const parsed = endpoint.body.safeParse(parameters.value)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    const name = String(issue?.path[0] ?? '')
    const missing = !Object.hasOwn(parameters.value, name)
    return refuse({ error: name === 'resource' ? 'invalid_target' : 'invalid_request', description: `${name}: ${missing ? 'is missing' : issue!.message}` })
  }
  const once = (caller: string, but: readonly string[], more: string): Once => {
    const now = needs.clock.now()
    if (key === undefined) return { caller, key: null, requestHash: '', now }
    const same = Object.entries(parameters.value).filter(([name]) => !but.includes(name)).toSorted(([a], [b]) => (a < b ? -1 : 1))
    const hash = createHash('sha256').update(JSON.stringify([endpoint.path, same, more])).digest()
    return { caller, key, requestHash: Buffer.from(needs.eventMac.macOf(Buffer.concat([Buffer.from('form\0'), hash]))).toString('base64url'), now }
  }
  return ok({ body: parsed.data, request, once })
}

/** RFC 6749 §3.2: no parameter twice, and one without a value is as one that is not there. */
function parametersOf(text: string): Outcome<Readonly<Record<string, string>>, OauthRefusal> {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return refuse({ error: 'invalid_request', description: 'the body is not a form' })
  const all = [...new URLSearchParams(text)]
  if (all.length > MOST_PARAMETERS) return refuse({ error: 'invalid_request', description: 'too many parameters' })
  if (all.some((pair) => pair.some((one) => one.includes('\0') || one.includes('\uFFFD')))) return refuse({ error: 'invalid_request', description: 'the body is not UTF-8 text' })
  const names = all.map(([name]) => name)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  // RFC 8707 §2 lets a client name several; one of our tokens is for one.
  if (twice === 'resource') return refuse({ error: 'invalid_target', description: 'a token is for one resource: name one' })
  if (twice !== undefined) return refuse({ error: 'invalid_request', description: 'a parameter stands twice' })
  return ok(Object.fromEntries(all.filter(([, value]) => value !== '')))
}

type Told = { readonly request: FastifyRequest; readonly log: Logger }

function sendError(reply: FastifyReply, { error, description, status, headers, endReason, why }: OauthRefusal, { request, log }: Told): FastifyReply {
  if (error === 'server_error') log.error({ trace_id: request.id, route: request.routeOptions.url, err: why }, 'request failed')
  else if (why !== undefined) log.info({ trace_id: request.id, error, refusal: why }, 'an OAuth request was refused')
  const body = { error, ...(description === undefined ? {} : { error_description: description }), ...(endReason === undefined ? {} : { end_reason: endReason }), trace_id: request.id }
  void reply.headers({ ...NEVER_STORED, ...headers })
  return reply.status(status ?? 400).type('application/json; charset=utf-8').send(JSON.stringify(body))
}

function refusalOf(error: FastifyError): OauthRefusal {
  if (error instanceof StorageUnavailable || error instanceof StorageBusy) {
    return { error: 'temporarily_unavailable', status: 503, description: 'try again with the same Idempotency-Key', headers: { 'retry-after': '1' }, why: error.message }
  }
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE': return { error: 'invalid_request', status: 413, description: `a request has at most ${MOST_FORM_BYTES} bytes` }
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE': return { error: 'invalid_request', status: 415, description: `the body must be ${FORM}` }
    default: return error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500 ? { error: 'invalid_request' } : { error: 'server_error', status: 500, why: error }
  }
}
