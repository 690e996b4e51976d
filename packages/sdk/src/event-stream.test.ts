import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Unreachable } from './errors.ts'
import { eventsIn } from './event-stream.ts'

const streamOf = (parts: readonly Uint8Array[]): ReadableStream<Uint8Array<ArrayBuffer>> => ReadableStream.from(parts) as ReadableStream<Uint8Array<ArrayBuffer>>

async function read(parts: readonly Uint8Array[], most = 10_000): Promise<readonly string[]> {
  const found: string[] = []
  for await (const one of eventsIn(streamOf(parts), most)) found.push(one)
  return found
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

test('events are read whatever their lines end with, and comments and other fields are none', async () => {
  const text = ': hello\n\nevent: message\nid: 1\ndata: {"a":"ä"}\n\ndata:one\r\ndata: two\r\n\r\ndata: last\r\rdata: unfinished'
  assert.deepEqual(await read([bytes(text)]), ['{"a":"ä"}', 'one\ntwo', 'last'])
})

test('it does not matter where a stream is cut', async () => {
  await fc.assert(fc.asyncProperty(
    fc.array(fc.string({ unit: 'grapheme', maxLength: 8 }).filter((one) => !/[\r\n]/.test(one)), { maxLength: 5 }), fc.constantFrom('\n', '\r\n', '\r'), fc.infiniteStream(fc.nat({ max: 5 })),
    async (texts, end, sizes) => {
      const all = bytes(texts.map((text) => `: x${end}data: ${text}${end}${end}`).join('') + end)
      const parts: Uint8Array[] = []
      for (let at = 0; at < all.length;) {
        const size = 1 + sizes.next().value
        parts.push(all.subarray(at, at + size))
        at += size
      }
      assert.deepEqual(await read(parts), texts)
    },
  ), { numRuns: 300 })
})

test('a stream without end is read no further than it may be', async () => {
  await assert.rejects(read(Array.from({ length: 100 }, () => bytes('data: x\n')), 100), Unreachable)
})
