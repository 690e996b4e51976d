import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/**
 * A way to a server that can be cut without anybody being told: nothing is forwarded any more, nothing is closed and nothing refused, which is
 * what either end sees of a network that drops packets.
 */
export type CutProxy = {
  readonly port: number
  /** `all`: new connections are taken and never answered. `open`: only those that stand now are dead, as behind a gateway that has forgotten them. */
  cut(which: 'all' | 'open'): void
  /** What was dead stays dead; new connections go through. */
  mend(): void
  close(): Promise<void>
}

export async function cutProxy(to: { readonly host: string; readonly port: number }): Promise<CutProxy> {
  const open = new Set<Socket>()
  let isCut = false
  const server = createServer((near) => {
    near.on('error', () => { /* its end is all that matters */ })
    open.add(near)
    near.once('close', () => open.delete(near))
    if (isCut) {
      near.pause()
      return
    }
    const far = connect(to)
    open.add(far)
    far.on('error', () => near.destroy())
    far.once('close', () => {
      open.delete(far)
      if (!near.isPaused()) near.destroy()
    })
    near.once('close', () => { if (!far.isPaused()) far.destroy() })
    near.pipe(far)
    far.pipe(near)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    cut(which) {
      isCut = which === 'all'
      for (const socket of open) {
        socket.unpipe()
        socket.pause()
      }
    },
    mend() {
      isCut = false
    },
    async close() {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
