import assert from 'node:assert/strict'
import { test } from 'node:test'
import { linesOf } from './lines.ts'

async function* chunksOf(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield Buffer.from(text)
}

async function read(texts: readonly string[], longest?: number): Promise<readonly (string | null)[]> {
  const lines: (string | null)[] = []
  for await (const line of linesOf(chunksOf(...texts), longest)) lines.push(line.kind === 'line' ? Buffer.from(line.bytes).toString() : null)
  return lines
}

for (const { when, texts, lines } of [
  { when: 'they come one by one', texts: ['{"a":1}\n', '{"b":2}\n'], lines: ['{"a":1}', '{"b":2}'] },
  { when: 'one comes in pieces, cut within a character', texts: ['{"a":', '"ü', '"}\n{'], lines: ['{"a":"ü"}'] },
  { when: 'several come at once, with blank ones between', texts: ['1\n\r\n\n2\r\n3\n'], lines: ['1', '2', '3'] },
  { when: 'the last was never finished', texts: ['1\n2'], lines: ['1'] },
]) {
  test(`messages are taken apart when ${when}`, async () => {
    assert.deepEqual(await read(texts), lines)
  })
}

test('a line that is too long is told and not held, and the next one is read', async () => {
  assert.deepEqual(await read(['12345', '67890', '1\n', 'ok\n'], 10), [null, 'ok'])
})
