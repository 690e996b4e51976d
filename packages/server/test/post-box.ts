import { createHmac } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export type GotPost = { readonly path: string; readonly headers: Readonly<Record<string, string>>; readonly body: string }

/** A receiver of webhooks: keeps what it gets, and answers on each path as it is told to. */
export type PostBox = {
  readonly port: number
  readonly got: readonly GotPost[]
  urlOf(path: string): string
  on(path: string): readonly GotPost[]
  /** The next answers on this path; after them 204. */
  answer(path: string, ...statuses: readonly number[]): void
  stop(): Promise<void>
}

export async function postBox(): Promise<PostBox> {
  const got: GotPost[] = []
  const answers = new Map<string, number[]>()
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (piece: string) => { body += piece }).on('end', () => {
      got.push({ path: request.url!, headers: request.headers as Record<string, string>, body })
      response.writeHead(answers.get(request.url!)?.shift() ?? 204).end()
    })
  })
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const { port } = server.address() as AddressInfo
  return {
    port, got, urlOf: (path) => `http://127.0.0.1:${port}${path}`, on: (path) => got.filter((one) => one.path === path),
    answer(path, ...statuses) { answers.set(path, [...statuses]) },
    stop: () => new Promise((resolve) => {
      server.closeAllConnections()
      server.close(() => { resolve() })
    }),
  }
}

/** Standard Webhooks 1.0, as its receivers check it. */
export function isSigned(secret: string, { headers, body }: GotPost): boolean {
  const signature = createHmac('sha256', Buffer.from(secret.replace(/^whsec_/, ''), 'base64')).update(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`).digest('base64')
  return headers['webhook-signature']!.split(' ').includes(`v1,${signature}`)
}
