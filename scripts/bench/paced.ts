import { request, type Agent } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { timed, type Timed } from './figure.ts'

/** Where something is asked for; `allowed` is what stands in a good answer. */
export type Place = { readonly url: string; readonly allowed: string }
export type Ask = { readonly body: string; readonly headers: Readonly<Record<string, string>> }
export type Paced = Timed & { /** What a server that had too much to do did not answer. */ readonly refused: number }

/** So many a second, whether those before are answered or not; each is timed from when it should have been sent. */
export async function paced(ops: number, perSecond: number, one: (index: number) => Promise<void>): Promise<Paced> {
  const took: number[] = []
  let refused = 0
  const sent: Promise<void>[] = []
  const began = performance.now()
  const dueOf = (index: number): number => began + (index * 1000) / perSecond
  const send = async (index: number): Promise<void> => {
    try {
      await one(index)
      took.push(performance.now() - dueOf(index))
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      refused += 1
    }
  }
  for (let index = 0; index < ops;) {
    const early = dueOf(index) - performance.now()
    if (early > 0) {
      await pause(early)
      continue
    }
    const sending = send(index++)
    // One that fails ends the measure below, where it is awaited.
    sending.catch(() => undefined)
    sent.push(sending)
  }
  await Promise.all(sent)
  return { ...timed(took, performance.now() - began), refused }
}

/** The server says that it can't now, or has no place left for one more connection. */
class Refused extends Error {}

export function post(agent: Agent, { url, allowed }: Place, { body, headers }: Ask): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', agent, headers: { ...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (chunk: string) => { text += chunk }).on('end', () => {
        if (answer.statusCode === 200 && text.includes(allowed)) resolve()
        else reject(new (answer.statusCode === 503 || text.includes('"storage_unavailable"') ? Refused : Error)(`${url} answered ${answer.statusCode}: ${text}`))
      })
    })
    sent.on('error', (cause: NodeJS.ErrnoException) => { reject(cause.code === 'ECONNRESET' && !sent.reusedSocket ? new Refused(`${url} took no connection`, { cause }) : cause) }).end(body)
  })
}
