import type { FastifyInstance } from 'fastify'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

export type BodiesOrder = {
  /** R46: of all bodies together that are not whole yet. */
  readonly mostBytes: number
  /** Hangs up on somebody who has had more time than others. */
  readonly giveUp: (socket: Socket) => void
}

/**
 * Bounds what is kept of bodies that have not come whole, for who sends them is not known before that. Where they are too much, those that have
 * been on their way for the longest are given up: a good request takes milliseconds.
 */
export function boundBodies(app: FastifyInstance, { mostBytes, giveUp }: BodiesOrder): void {
  // In the order in which they began.
  const underWay = new Map<IncomingMessage, number>()
  let bytes = 0
  const done = (raw: IncomingMessage): void => {
    bytes -= underWay.get(raw) ?? 0
    underWay.delete(raw)
  }
  // INVARIANT: not asynchronous, so that whoever reads the body listens before its first piece comes.
  app.addHook('preParsing', ({ raw }, _reply, payload, next) => {
    underWay.set(raw, 0)
    payload.on('data', (piece: Uint8Array) => {
      const before = underWay.get(raw)
      if (before === undefined) return
      underWay.set(raw, before + piece.length)
      bytes += piece.length
      for (const oldest of underWay.keys()) {
        if (bytes <= mostBytes) break
        done(oldest)
        giveUp(oldest.socket)
      }
    })
    for (const event of ['end', 'close']) raw.once(event, () => { done(raw) })
    next(null, payload)
  })
}
