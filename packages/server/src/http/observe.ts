import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { clientOf, type IsProxy } from './forwarded.ts'
import type { Metrics } from './metrics.ts'

export type ObserveNeeds = { readonly log: Logger; readonly metrics: Pick<Metrics, 'began' | 'answered'>; readonly isProxy: IsProxy }

declare module 'fastify' {
  interface FastifyRequest {
    /** The address that it comes from, as far as that can be believed; '' of what comes to no route. */
    from: string
  }
}

/** What is told of a request whose address leads nowhere: the address is the caller's text, and may hold anything. */
const NOWHERE = 'none'

/** Tells the log and the metrics of every answer, once. */
export function observe(app: FastifyInstance, needs: ObserveNeeds): void {
  app.decorateRequest('from', '')
  app.addHook('onRequest', async (request, reply) => {
    reply.raw.once('close', needs.metrics.began())
    request.from = clientOf(request.socket.remoteAddress ?? '', request.headers, needs.isProxy)
  })
  app.addHook('onResponse', async (request, reply) => { tell(request, reply, needs) })
}

/**
 * What asks for a change, and what was refused, is told at `info`; a question that was answered at `debug`; a fault of ours at `error`, and
 * one of what we stand on at `warn`.
 */
export function tell(request: FastifyRequest, reply: FastifyReply, { log, metrics, isProxy }: ObserveNeeds): void {
  const route = request.routeOptions.url ?? NOWHERE
  const { method } = request
  const status = reply.statusCode
  metrics.answered({ method, route, status, seconds: reply.elapsedTime / 1000 })
  const level = levelOf(method, status)
  if (!log.isLevelEnabled(level)) return
  const client = clientOf(request.socket.remoteAddress ?? '', request.headers, isProxy)
  log[level]({ trace_id: request.id, method, route, status, ms: Math.round(reply.elapsedTime * 10) / 10, client }, 'answered')
}

function levelOf(method: string, status: number): 'error' | 'warn' | 'info' | 'debug' {
  if (status >= 500) return status === 500 ? 'error' : 'warn'
  return status >= 400 || !['GET', 'HEAD', 'OPTIONS'].includes(method) ? 'info' : 'debug'
}
