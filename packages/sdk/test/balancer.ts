import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

/**
 * What stands before several servers, as small as it can be: each connection goes to the next server that takes one, and ends with it. It looks
 * at no byte, and takes no server out before it stops.
 */
export async function balancer(t: Pick<TestContext, 'after'>, ports: readonly number[]): Promise<{ readonly url: string; failedOver(): number }> {
  const open = new Set<Socket>()
  let turn = 0
  let failedOver = 0

  function forward(near: Socket, [port, ...others]: readonly number[]): void {
    if (port === undefined) return void near.destroy()
    let isThrough = false
    const far = connect({ port, host: '127.0.0.1' }, () => {
      isThrough = true
      near.pipe(far).pipe(near)
    })
    keep(far)
    near.once('close', () => far.destroy())
    far.on('error', () => { /* its close says the same */ })
    far.once('close', () => {
      if (isThrough || near.destroyed) return void near.destroy()
      failedOver++
      forward(near, others)
    })
  }
  function keep(socket: Socket): void {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  }
  const server = createServer((near) => {
    keep(near)
    near.on('error', () => { /* its close says the same */ })
    const first = turn++ % ports.length
    forward(near, [...ports.slice(first), ...ports.slice(0, first)])
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, failedOver: () => failedOver }
}
