import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { makeLog } from './log.ts'

function logged(write: (log: ReturnType<typeof makeLog>) => void): readonly string[] {
  const lines: string[] = []
  write(makeLog('trace', { write: (line) => { lines.push(line) } }))
  return lines
}

/** One line that parses, in nothing but what a terminal prints. */
function assertLine(line: string): Readonly<Record<string, unknown>> {
  assert.match(line, /^\{[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*\}\n$/u)
  return JSON.parse(line) as Readonly<Record<string, unknown>>
}

test('an event is one line of JSON with its level, its time and what it is about', () => {
  const [line] = logged((log) => { log.info({ trace_id: 'abc', status: 201 }, 'answered') })
  const { time, ...rest } = assertLine(line!)
  assert.deepEqual(rest, { level: 'info', trace_id: 'abc', status: 201, msg: 'answered' })
  assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
})

test('an error is told by its name, its message, its code and its causes', () => {
  const [line] = logged((log) => { log.error({ err: Object.assign(new RangeError('too far', { cause: new Error('a wall') }), { code: 'E1' }) }, 'x') })
  const { err } = assertLine(line!) as { err: { type: string; message: string; code: string; stack: string } }
  assert.deepEqual([err.type, err.message, err.code], ['RangeError', 'too far: a wall', 'E1'])
  assert.match(err.stack, /RangeError: too far/)
})

for (const [what, text] of [
  ['an end of line', 'a\r\n{"level":"info","msg":"forged"}\n'], ['a colour', '\u001b[31mred\u001b[0m\u009b2J'], ['NUL', 'a\0b'], ['a line separator', 'a\u2028b\u2029c\u0085d'],
  ['a change of direction', 'a\u202egpj.exe\u2066'], ['a byte order mark', '\ufeffa\u200b'], ['a mark of an astral plane', 'a\u{e0001}\u{e0041}\u00ad'],
] as const) {
  test(`${what} in a field stays in the field, and means what it meant`, () => {
    const [line, ...more] = logged((log) => { log.info({ path: text, nested: [{ [text]: text }], err: new Error(text) }, 'x') })
    assert.deepEqual(more, [])
    const read = assertLine(line!) as { path: string; nested: Record<string, string>[]; err: { message: string } }
    assert.deepEqual([read.path, read.nested, read.err.message], [text, [{ [text]: text }], text])
  })
}

test('a long text is cut, and its hash tells which it was', () => {
  const text = `${'x'.repeat(1_048_576)}end`
  const [line] = logged((log) => { log.warn({ long: text, err: new Error(text), [text]: 1 }, 'x') })
  assert.ok(line!.length < 4000, `${line!.length} characters`)
  const hash = createHash('sha256').update(text).digest('hex').slice(0, 16)
  assert.equal(assertLine(line!)['long'], `${'x'.repeat(200)}... (1048579 characters, SHA-256 ${hash})`)
})

test('whatever is logged, a line is one line, and short', () => {
  fc.assert(fc.property(fc.object({ maxDepth: 4, maxKeys: 4, withBigInt: true, withNullPrototype: true }), fc.string({ unit: 'binary' }), (fields, text) => {
    const lines = logged((log) => { log.error({ fields, text }, 'x') })
    assert.equal(lines.length, 1)
    assert.equal(assertLine(lines[0]!)['text'], text)
  }), { numRuns: 30 })
})
