import type { FastifyInstance } from 'fastify'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

export type BodiesOrder = {
  /** R46: of all bodies together that are not whole yet. */
  readonly mostBytes: number
  /** Hangs up on somebody who has had more time than others. */
  readonly giveUp: (socket: Socket) => void
}

type Body = { bytes: number; readonly pieces: Uint8Array[] }

/**
 * Frees the memory of a piece that nobody will read, which the collector would leave lying until there is much of it. INVARIANT: only where the piece has
 * that memory for itself.
 */
function free({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0)
}

/**
 * Bounds what is kept of bodies that have not come whole, for who sends them is not known before that. Where they are too much, those that have
 * been on their way for the longest are given up: a good request takes milliseconds.
 */
export function boundBodies(app: FastifyInstance, { mostBytes, giveUp }: BodiesOrder): void {
  // In the order in which they began.
  const underWay = new Map<IncomingMessage, Body>()
  let bytes = 0
  const done = (raw: IncomingMessage): void => {
    const body = underWay.get(raw)
    if (body === undefined) return
    underWay.delete(raw)
    bytes -= body.bytes
    if (!raw.complete) for (const piece of body.pieces) free(piece)
  }
  // INVARIANT: not asynchronous, so that whoever reads the body listens before its first piece comes.
  app.addHook('preParsing', ({ raw }, _reply, payload, next) => {
    const body: Body = { bytes: 0, pieces: [] }
    underWay.set(raw, body)
    payload.on('data', (piece: Uint8Array) => {
      if (!underWay.has(raw)) return
      body.bytes += piece.length
      body.pieces.push(piece)
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
