import { request } from 'node:http'

export type RawAsk = {
  readonly method?: string
  /** Goes out as it is. */
  readonly path: string
  /** In this order, repeats included. */
  readonly headers?: readonly (readonly [name: string, value: string])[]
  readonly body?: string | Uint8Array
}

export type RawAnswer = { readonly status: number; readonly type: string | undefined; readonly header: (name: string) =>
  string | undefined; readonly text: string }

/** A request that no tidy client would send. */
export function rawRequest(url: string, ask: RawAsk): Promise<RawAnswer> {
  const { hostname, port, host } = new URL(url)
  const body = ask.body === undefined ? undefined : Buffer.from(ask.body as string)
  const headers = [['host', host], ...(body === undefined ? [] : [['content-length', String(body.length)]]), ...ask.headers ?? []].flat()
  return new Promise((resolve, reject) => {
    const asking = request({ hostname, port, path: ask.path, method: ask.method ?? 'GET', headers, agent: false }, (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => { chunks.push(chunk) })
      answer.on('error', reject)
      answer.on('end', () => {
        const header = (name: string): string | undefined => {
          const value = answer.headers[name]
          return Array.isArray(value) ? value.join(', ') : value
        }
        resolve({ status: answer.statusCode!, type: header('content-type'), header, text: Buffer.concat(chunks).toString('utf8') })
      })
    })
    // The server may answer and hang up before it has read everything: then the answer has come first.
    asking.on('error', reject)
    asking.end(body)
  })
}

/** What two callers can compare: the answer without the number that names the request. */
export const withoutTrace = (answer: Pick<RawAnswer, 'status' | 'text'>): string =>
  `${answer.status} ${answer.text.replace(/"trace_id":"[^"]*"/, '')}`
