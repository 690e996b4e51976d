import { Unreachable } from './errors.ts'

/** The data of each event of a stream (HTML Living Standard §9.2.6), as they come, and no more than so many bytes of all of them. */
export async function* eventsIn(body: ReadableStream<Uint8Array<ArrayBuffer>> | null, mostBytes: number): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let left = mostBytes
  let text = ''
  let data: string[] = []
  for await (const part of body ?? []) {
    left -= part.byteLength
    if (left < 0) throw new Unreachable(`the answer is longer than ${mostBytes} bytes`, { code: 'unknown_reply' })
    text += decoder.decode(part, { stream: true })
    // A carriage return at the end may be half of the end of a line.
    const lines = text.split(/\r\n|\n|\r(?!$)/)
    text = lines.pop()!
    for (const line of lines) {
      if (line.startsWith('data:')) data.push(line.slice(line.startsWith('data: ') ? 6 : 5))
      if (line !== '' || data.length === 0) continue
      yield data.join('\n')
      data = []
    }
  }
}
