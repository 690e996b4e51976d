import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { Server as NetServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { SecureContextOptions } from 'node:tls'
import { within } from '../platform/within.ts'
import type { IsProxy } from './forwarded.ts'
import { OLDEST_TLS, type TlsIdentity } from './tls.ts'

export type ListenerOrder = {
  /** Null for plain HTTP. */
  readonly tls: TlsIdentity | null
  /** Nobody but these may connect; undefined for everybody. */
  readonly onlyFrom: IsProxy | undefined
  /** Somebody else has tried. */
  readonly onStranger: (address: string) => void
}

export type Listeners = {
  /** Makes a server; there is one for each address that a name such as `localhost` stands for. */
  readonly make: (handler: RequestListener) => Server
  /** What connections are shown from now on. */
  readonly renew: (identity: TlsIdentity) => void
  /**
   * Takes no more connections, and resolves when the last has ended. Those that are on their way are still taken, and whoever is idle may
   * bring one more request: both are answered, so that a client that asks at this very moment is not cut off. Whoever is not done in time is;
   * then the answer is false.
   */
  readonly drain: (mostMs: number) => Promise<boolean>
}

const LONGEST_REQUEST_MS = 120_000
const LONGEST_HEADERS_MS = 10_000
const LONGEST_HANDSHAKE_MS = 10_000
/** How late whoever takes too long may be noticed. */
const LOOK_EVERY_MS = 5000
/** Longer than proxies keep an idle connection (a minute, as a rule): else a request meets one that is being closed, and is lost. */
const LONGEST_IDLE_MS = 75_000
/**
 * Connections that wait to be taken while the server is busy. The system allows that many or fewer; of whoever comes beyond them it resets the
 * connection, some seconds later and without a word of ours.
 */
export const MOST_WAITING = 4096
/** For a request that is on its way while the server begins to stop. */
const LAST_WORD_MS = 250
const CLOSE_IDLE_EVERY_MS = 50

export function listeners({ tls, onlyFrom, onStranger }: ListenerOrder): Listeners {
  const made: { readonly server: Server; readonly renew: (identity: TlsIdentity) => void }[] = []
  return {
    make(handler) {
      const secure = tls === null ? undefined : createHttpsServer({ ...contextOf(tls), handshakeTimeout: LONGEST_HANDSHAKE_MS, connectionsCheckingInterval: LOOK_EVERY_MS }, handler)
      // The same class of server over another transport, which the types keep apart.
      const server = secure === undefined ? createHttpServer({ connectionsCheckingInterval: LOOK_EVERY_MS }, handler) : secure as unknown as Server
      server.requestTimeout = LONGEST_REQUEST_MS
      server.headersTimeout = LONGEST_HEADERS_MS
      server.keepAliveTimeout = LONGEST_IDLE_MS
      server.setTimeout(LONGEST_REQUEST_MS)
      if (onlyFrom !== undefined) {
        server.on('connection', (socket) => {
          const address = socket.remoteAddress ?? ''
          if (onlyFrom(address)) return
          socket.destroy()
          onStranger(address)
        })
      }
      made.push({ server, renew: (identity) => { secure?.setSecureContext(contextOf(identity)) } })
      return server
    },
    renew: (identity) => { for (const one of made) one.renew(identity) },
    async drain(mostMs) {
      const servers = made.map(({ server }) => server)
      await pause(Math.min(LAST_WORD_MS, mostMs))
      // Not the close of an HTTP server, which ends idle connections in the middle of a request's coming.
      const closed = Promise.all(servers.map((server) => new Promise((resolve) => { NetServer.prototype.close.call(server, resolve) })))
      for (const server of servers) server.closeIdleConnections()
      const closing = setInterval(() => { for (const server of servers) server.closeIdleConnections() }, CLOSE_IDLE_EVERY_MS)
      const isDone = await within(closed, Math.max(0, mostMs - LAST_WORD_MS))
      clearInterval(closing)
      for (const server of servers) server.closeAllConnections()
      return isDone
    },
  }
}

const contextOf = ({ cert, key }: TlsIdentity): SecureContextOptions => ({ cert, key, minVersion: OLDEST_TLS })
