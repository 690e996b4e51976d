import { liveStream, type LiveEvent, type LiveHello } from '@writ/contract/live'
import { eventually } from './eventually.ts'
import type { RunningWrit } from './running-writ.ts'

export type LiveWord = { readonly word: string; readonly id: string | undefined; readonly data: unknown }

/** A stream as a client reads it: what came, and what it would go on from. */
export type OpenStream = {
  readonly status: number
  readonly words: readonly LiveWord[]
  readonly hello: () => LiveHello
  readonly events: () => readonly LiveEvent[]
  /** What a client sends as `Last-Event-ID` when it comes back. */
  readonly lastId: () => string | undefined
  readonly sees: (type: string) => Promise<LiveEvent>
  /** Resolves when the server has ended it. */
  readonly ended: Promise<void>
  cut(): void
}

export type ListenOrder = { readonly bearer?: string; /** Of a person, in place of a bearer value. */ readonly cookie?: string; readonly lastId?: string | undefined; readonly query?: Readonly<Record<string, string>> }

export async function listen(writ: Pick<RunningWrit, 'url' | 'operatorKey'>, { bearer = writ.operatorKey, cookie, lastId, query = {} }: ListenOrder = {}): Promise<OpenStream> {
  const cut = new AbortController()
  const answer = await fetch(`${writ.url}${liveStream.path}?${new URLSearchParams(query).toString()}`, {
    signal: cut.signal, headers: { ...(cookie === undefined ? { authorization: `Bearer ${bearer}` } : { cookie }), ...(lastId === undefined ? {} : { 'last-event-id': lastId }) },
  })
  const words: LiveWord[] = []
  let last = lastId
  const reading = (async () => {
    let text = ''
    for await (const piece of answer.body!.pipeThrough(new TextDecoderStream())) {
      text += piece
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const fields = new Map(text.slice(0, end).split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]))
        text = text.slice(end + 2)
        last = fields.get('id') ?? last
        words.push({ word: fields.get('event') ?? '', id: fields.get('id'), data: JSON.parse(fields.get('data') ?? 'null') })
      }
    }
  })().catch((error: unknown) => { if (!cut.signal.aborted) throw error })
  const events = () => words.filter(({ word }) => word === 'event').map(({ data }) => data as LiveEvent)
  const stream: OpenStream = {
    status: answer.status, words, events, ended: reading, lastId: () => last,
    hello: () => words.find(({ word }) => word === 'hello')!.data as LiveHello,
    sees: (type) => eventually(`\`${type}\` on the live stream`, () => events().find((event) => event.type === type)),
    cut: () => { cut.abort() },
  }
  if (answer.status === 200) await eventually('the first word of the live stream', () => words.length > 0)
  return stream
}
