import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** What came back on a connection, answer by answer. */
export type Reply = { readonly status: number; readonly head: string; readonly text: string }

export type Replies = { readonly replies: readonly Reply[]; /** `silent`: neither all answers nor an end came in time. */ readonly end: 'answered' | 'closed' | 'silent' }

const LONGEST_MS = 15_000
const HEAD_END = '\r\n\r\n'

type Taken = { readonly reply: Reply; readonly length: number }

/** The first answer in these bytes, each byte a character; undefined as long as it is not whole. */
function take(bytes: string): Taken | undefined {
  const headEnd = bytes.indexOf(HEAD_END)
  if (headEnd < 0) return undefined
  const head = bytes.slice(0, headEnd)
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? Number.NaN)
  const start = headEnd + HEAD_END.length
  const header = (name: string): string | undefined => new RegExp(`^${name}: *(.*)$`, 'im').exec(head)?.[1]?.trim()
  if (header('transfer-encoding') === 'chunked') return takeChunks(bytes, start, { status, head })
  const length = Number(header('content-length') ?? 0)
  return bytes.length < start + length ? undefined : { reply: { status, head, text: bytes.slice(start, start + length) }, length: start + length }
}

function takeChunks(bytes: string, start: number, about: Omit<Reply, 'text'>): Taken | undefined {
  let text = ''
  for (let at = start; ;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd < 0) return undefined
    const size = Number.parseInt(bytes.slice(at, lineEnd), 16)
    const next = lineEnd + 2 + size + 2
    if (bytes.length < next) return undefined
    text += bytes.slice(lineEnd + 2, lineEnd + 2 + size)
    at = next
    if (size === 0) return { reply: { ...about, text }, length: at }
  }
}

export type Pipelined = {
  /** Writes all of this in one go, and reads that many answers. */
  ask(bytes: Uint8Array, answers: number): Promise<Replies>
  close(): void
}

/** A connection that is kept as long as the server keeps it. */
export function pipelined(url: string): Pipelined {
  const { hostname, port } = new URL(url)
  let open: Socket | undefined
  const socketNow = async (): Promise<Socket> => {
    if (open?.readyState === 'open' && open.readable) return open
    open = connect(Number(port), hostname)
    open.on('error', () => undefined)
    await once(open, 'connect')
    return open
  }
  return {
    async ask(bytes, answers) {
      const socket = await socketNow()
      socket.write(bytes)
      const got = await read(socket, answers)
      if (got.end !== 'answered') socket.destroy()
      return got
    },
    close: () => { open?.destroy() },
  }
}

/** For an answer, and for another one after it: what is less than a request gets none before the end. */
const [FIRST_MS, NEXT_MS] = [150, 20]

/** Writes this on a connection of its own, hangs up once nothing more comes, and reads to the end. */
export async function alone(url: string, bytes: Uint8Array): Promise<Replies> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => undefined)
  const hangUp = (): void => { socket.end() }
  let quiet = setTimeout(hangUp, FIRST_MS)
  socket.on('data', () => {
    clearTimeout(quiet)
    quiet = setTimeout(hangUp, NEXT_MS)
  })
  socket.write(bytes)
  const got = await read(socket, Infinity)
  clearTimeout(quiet)
  socket.destroy()
  return got
}

function read(socket: Socket, answers: number): Promise<Replies> {
  const { promise, resolve } = Promise.withResolvers<Replies>()
  const replies: Reply[] = []
  let bytes = ''
  const settle = (end: Replies['end']): void => {
    clearTimeout(late)
    socket.off('data', onData).off('close', onClose)
    resolve({ replies, end })
  }
  const onData = (chunk: Buffer): void => {
    bytes += chunk.toString('latin1')
    for (let taken = take(bytes); taken !== undefined; taken = take(bytes)) {
      bytes = bytes.slice(taken.length)
      // RFC 9110 §15.2: an answer in between is none.
      if (taken.reply.status >= 200) replies.push(taken.reply)
    }
    if (replies.length >= answers) settle('answered')
  }
  const onClose = (): void => { settle('closed') }
  const late = setTimeout(() => { settle('silent') }, LONGEST_MS)
  socket.on('data', onData).on('close', onClose)
  return promise
}
