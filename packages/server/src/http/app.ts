import fastify, { type FastifyInstance, type FastifyError, type FastifyRequest } from 'fastify'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Logger } from 'pino'
import { BackendFault } from '../connectors/connector.ts'
import { StorageBusy, StorageUnavailable } from '../store/faults.ts'
import { boundBodies } from './bodies-under-way.ts'
import type { Route } from './call.ts'
import { isOfConsole, serveConsole, type Console } from './console.ts'
import type { Listeners } from './listener.ts'
import { allowedMethods, type ServedAddress } from './methods.ts'
import { observe, tell, type ObserveNeeds } from './observe.ts'
import { problem, toProblem, type ProblemAnswer } from './problem.ts'
import { serveForms, type FormRoute } from './serve-form.ts'
import { serveRaw, type RawNeeds, type RawRoute } from './raw-route.ts'
import { sendProblem, serve, type ServeNeeds } from './serve.ts'

/** R46: no body of ours is larger, but where its endpoint says so. */
const MOST_BODY_BYTES = 1_048_576
const MOST_BYTES_UNDER_WAY = 16 * 1_048_576

export type AppNeeds = ServeNeeds & RawNeeds & {
  readonly console: Console
  readonly listeners: Listeners
  /** Once it is aborted, whoever still comes is sent away. */
  readonly stopping: AbortSignal
  /** Whether its callers come by TLS. */
  readonly isHttps: boolean
  readonly observed: Omit<ObserveNeeds, 'log'>
}

export type App = { readonly app: FastifyInstance; /** Complete once it listens. */ readonly served: readonly ServedAddress[] }

/** `raw`: of other protocols. */
export type AppRoutes = { readonly routes: readonly Route[]; readonly forms: readonly FormRoute[]; readonly raw: readonly RawRoute[] }

/** The HTTP surface: routes from the contract, bodies as text that `serve` reads once, and one shape for everything that goes wrong. */
export function makeApp(needs: AppNeeds, { routes, forms, raw }: AppRoutes, log: Logger): App {
  const traceId = (): string => Buffer.from(needs.entropy.bytes(8)).toString('hex')
  const headersOf = (request: FastifyRequest) => ({
    'x-content-type-options': 'nosniff', 'x-request-id': requestIdOf(request),
    ...(needs.isHttps ? { 'strict-transport-security': HSTS } : {}), ...(needs.stopping.aborted ? { connection: 'close' } : {}),
  })
  const app = fastify({
    logger: false,
    bodyLimit: MOST_BODY_BYTES,
    serverFactory: (handler) => needs.listeners.make(handler),
    routerOptions: { maxParamLength: 2100, caseSensitive: true },
    genReqId: traceId,
    forceCloseConnections: 'idle',
    // We say it in our own words, and to every request.
    return503OnClosing: false,
    clientErrorHandler: (error, socket) => { answerUnread(error, socket, { traceId: traceId(), log }) },
    // An address that can not be read comes to no route, and so to no hook and no error handler.
    frameworkErrors: (error, request, reply) => {
      void reply.headers(headersOf(request))
      void sendProblem(reply, answerOf(error))
      tell(request, reply, { ...needs.observed, log })
    },
  })
  observe(app, { ...needs.observed, log })
  boundBodies(app, {
    mostBytes: MOST_BYTES_UNDER_WAY,
    giveUp(socket) {
      answerUnread(Object.assign(new Error('given up for others'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), socket, { traceId: traceId(), log })
      // At once: until it is gone, what still comes would be kept.
      socket.destroy()
    },
  })
  const served: ServedAddress[] = []
  app.addHook('onRoute', ({ method, url, config }) => {
    if (isOfConsole(config)) return
    for (const one of [method].flat()) served.push({ method: one, path: url.replaceAll(/:(\w+)/g, '{$1}') })
  })
  const methodsOf = lazily(() => allowedMethods(served))
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body as Buffer))
    } catch {
      done(Object.assign(new Error('the body is not UTF-8'), { code: 'WRIT_NOT_UTF8' }))
    }
  })
  app.addHook('onRequest', async (_request, reply) => {
    if (needs.stopping.aborted) return sendProblem(reply, problem('stopping', { hint: 'ask again: another server, or this one once it is back' }))
  })
  app.addHook('onSend', async (request, reply) => {
    void reply.headers(headersOf(request))
  })
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0]!
    const allowed = methodsOf()(path)
    if (allowed.length === 0) return sendProblem(reply, problem('not-found', { detail: `there is nothing at ${request.method} ${path}`, code: 'no_such_address' }))
    return sendProblem(reply, { ...problem('method-not-allowed', { detail: `this address takes ${allowed.join(', ')}` }), headers: { allow: allowed.join(', ') } })
  })
  app.setErrorHandler((error, request, reply) => {
    const answer = answerOf(error as FastifyError, { mostBytes: request.routeOptions.bodyLimit, authzen: isAuthzen(request) })
    if (answer.problem === 'internal') log.error({ trace_id: request.id, route: request.routeOptions.url, err: error }, 'request failed')
    else if (answer.problem === 'storage-unavailable') log.warn({ trace_id: request.id, code: (error as StorageUnavailable).code }, 'storage unavailable')
    return sendProblem(reply, answer)
  })
  for (const route of routes) serve(app, needs, route)
  serveForms(app, needs, { routes: forms, log })
  serveRaw(app, needs, raw)
  serveConsole(app, needs.console, (reply) => sendProblem(reply, problem('not-found', { code: 'no_such_address' })))
  return { app, served }
}

function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined
  return () => (made ??= { value: make() }).value
}

/** An address that can not be read leads to no route. */
const isAuthzen = (request: FastifyRequest): boolean => (request.routeOptions?.config as { readonly authzen?: boolean } | undefined)?.authzen === true

/** AuthZEN 1.0 gives back how the caller calls its request (certification c-2-5-1); anywhere else it is our own name for it. */
function requestIdOf(request: FastifyRequest): string {
  const given = isAuthzen(request) ? request.headers['x-request-id'] : undefined
  return typeof given === 'string' && given !== '' ? given : request.id
}

/** RFC 6797 §6.1.1: a year. */
const HSTS = 'max-age=31536000'

/** What comes before there is a request: no HTTP, a head that is too large, nothing for too long. */
function answerUnread(error: Error & { readonly code?: string }, socket: Socket, { traceId, log }: { readonly traceId: string; readonly log: Logger }): void {
  const isHttp = error.code?.startsWith('HPE_') === true || error.code?.startsWith('ERR_HTTP_') === true
  if (!isHttp || !socket.writable) {
    socket.destroy()
    return
  }
  const answer = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? problem('too-slow')
    : error.code === 'HPE_HEADER_OVERFLOW' ? problem('too-large', { detail: 'the head of a request is too large' })
      : problem('malformed-request', { code: 'not_http' })
  const body = toProblem(answer, traceId)
  log.info({ trace_id: traceId, status: body.status, code: error.code, client: socket.remoteAddress }, 'answered')
  const text = JSON.stringify(body)
  const head = ['content-type: application/problem+json; charset=utf-8', `content-length: ${Buffer.byteLength(text)}`, 'cache-control: no-store', 'x-content-type-options: nosniff', `x-request-id: ${traceId}`, 'connection: close']
  socket.end(`HTTP/1.1 ${body.status} ${STATUS_CODES[body.status]}\r\n${head.join('\r\n')}\r\n\r\n${text}`)
}

/** What went wrong, in as much as a stranger may know. */
function answerOf(error: FastifyError, { mostBytes = MOST_BODY_BYTES, authzen = false }: { readonly mostBytes?: number | undefined; readonly authzen?: boolean } = {}): ProblemAnswer {
  if (error instanceof StorageUnavailable || error instanceof StorageBusy) return problem('storage-unavailable', { hint: 'try again with the same Idempotency-Key' })
  if (error instanceof BackendFault) return problem('backend-unavailable', { code: 'backend_fault', detail: `the back end answered ${error.code}` })
  switch (error.code) {
    case 'WRIT_NOT_UTF8': return problem('malformed-request', { code: 'not_utf8' })
    case 'FST_ERR_CTP_BODY_TOO_LARGE': return problem('too-large', { detail: `a request has at most ${mostBytes} bytes` })
    // AuthZEN's certification wants 400 (c-2-4-3).
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE': return authzen ? problem('malformed-request', { code: 'unsupported_media_type', detail: 'the body must be application/json' }) : problem('unsupported-media-type')
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
    case 'FST_ERR_BAD_URL': return problem('malformed-request')
    default: return error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500 ? problem('malformed-request') : problem('internal')
  }
}
