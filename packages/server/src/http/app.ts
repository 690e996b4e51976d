import fastify, { type FastifyInstance, type FastifyError, type FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { BackendFault } from '../connectors/connector.ts'
import { StorageBusy, StorageUnavailable } from '../store/faults.ts'
import type { Route } from './call.ts'
import { problem, type ProblemAnswer } from './problem.ts'
import { sendProblem, serve, type ServeNeeds } from './serve.ts'

/** R46: no body of ours is larger. */
const MOST_BODY_BYTES = 1_048_576
const LONGEST_REQUEST_MS = 120_000
const LONGEST_HEADERS_MS = 10_000

/** The HTTP surface: routes from the contract, bodies as text that `serve` reads once, and one shape for everything that goes wrong. */
export function makeApp(needs: ServeNeeds, routes: readonly Route[], log: Logger): FastifyInstance {
  const app = fastify({
    logger: false,
    bodyLimit: MOST_BODY_BYTES,
    requestTimeout: LONGEST_REQUEST_MS,
    connectionTimeout: LONGEST_REQUEST_MS,
    routerOptions: { maxParamLength: 2100, caseSensitive: true },
    genReqId: () => Buffer.from(needs.entropy.bytes(8)).toString('hex'),
    forceCloseConnections: 'idle',
    // An address that can not be read comes to no route, and so to no hook and no error handler.
    frameworkErrors: (error, request, reply) => {
      void reply.headers(headersOf(request))
      void sendProblem(reply, answerOf(error))
    },
  })
  app.server.headersTimeout = LONGEST_HEADERS_MS
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body as Buffer))
    } catch {
      done(Object.assign(new Error('the body is not UTF-8'), { code: 'WRIT_NOT_UTF8' }))
    }
  })
  app.addHook('onSend', async (request, reply) => {
    void reply.headers(headersOf(request))
  })
  app.setNotFoundHandler((request, reply) => sendProblem(reply, problem('not-found', { detail: `there is nothing at ${request.method} ${request.url.split('?', 1)[0]}`, code: 'no_such_address' })))
  app.setErrorHandler((error, request, reply) => {
    const answer = answerOf(error as FastifyError)
    if (answer.problem === 'internal') log.error({ trace_id: request.id, route: request.routeOptions.url, err: error }, 'request failed')
    else if (answer.problem === 'storage-unavailable') log.warn({ trace_id: request.id, code: (error as StorageUnavailable).code }, 'storage unavailable')
    return sendProblem(reply, answer)
  })
  for (const route of routes) serve(app, needs, route)
  return app
}

const headersOf = (request: FastifyRequest) => ({ 'x-content-type-options': 'nosniff', 'x-request-id': request.id })

/** What went wrong, in as much as a stranger may know. */
function answerOf(error: FastifyError): ProblemAnswer {
  if (error instanceof StorageUnavailable || error instanceof StorageBusy) return problem('storage-unavailable', { hint: 'try again with the same Idempotency-Key' })
  if (error instanceof BackendFault) return problem('backend-unavailable', { code: 'backend_fault', detail: `the back end answered ${error.code}` })
  switch (error.code) {
    case 'WRIT_NOT_UTF8': return problem('malformed-request', { code: 'not_utf8' })
    case 'FST_ERR_CTP_BODY_TOO_LARGE': return problem('too-large', { detail: `a request has at most ${MOST_BODY_BYTES} bytes` })
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE': return problem('unsupported-media-type')
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
    case 'FST_ERR_BAD_URL': return problem('malformed-request')
    default: return error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500 ? problem('malformed-request') : problem('internal')
  }
}
