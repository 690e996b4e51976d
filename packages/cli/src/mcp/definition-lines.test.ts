import assert from 'node:assert/strict'
import { test } from 'node:test'
import { definitionLines, differenceLines } from './definition-lines.ts'

const plain = { dim: (text: string) => text, red: (text: string) => text, green: (text: string) => text, yellow: (text: string) => text }
const definition = (more: object): string => JSON.stringify({ name: 'look', description: 'Looks at a file.', inputSchema: { type: 'object', properties: { path: { type: 'string' } } }, ...more })

test('of a definition that changed the words that are gone and new are marked, and what is far away is left out', () => {
  assert.deepEqual(differenceLines(definition({}), definition({ description: 'Looks at a file, and sends it.' }), plain), [
    '  {', '    "name": "look",', '~   "description": "Looks at a file{+, and sends it+}.",', '    "inputSchema": {', '      "type": "object",', '  ...',
  ])
})

test('lines that came or went are marked whole', () => {
  const lines = differenceLines(definition({}), definition({ annotations: { readOnlyHint: true } }), plain)
  assert.deepEqual(lines.slice(-6), ['      }', '~ {+  },+}', '~ {+  "annotations": {+}', '~ {+    "readOnlyHint": true+}', '    }', '  }'])
})

test('what nobody would see is spelt, wherever it stands, and no mark can be forged past it', () => {
  const [before, after] = [definition({}), definition({ description: `Looks\u{200b} at a file.\u{e0069}\u{1b}[8m`, ['na\u{202e}me']: 1 })]
  const lines = differenceLines(before, after, plain).join('\n')
  for (const spelt of ['\\u{200b}', '\\u{e0069}', '\\u{202e}', '\\\\u001b']) assert.ok(lines.includes(spelt), spelt)
  for (const hidden of ['\u200b', '\u202e', '\u001b', '\u{e0069}']) assert.ok(!lines.includes(hidden), hidden)
  const forged = differenceLines(before, definition({ description: 'Looks at a file. [-gone-] {+new+}' }), plain).join('\n')
  assert.ok(forged.includes('{+ \\u{5b}-gone\\u{2d}] \\u{7b}+new\\u{2b}}+}'), forged)
})

test('of a text of ten thousand characters without a blank not one is left out', () => {
  const long = Array.from({ length: 10_000 }, (_, i) => String.fromCodePoint(0x4e00 + (i % 5000))).join('')
  assert.ok(definitionLines(definition({ description: long })).join('').includes(long))
  assert.ok(differenceLines(definition({}), definition({ description: long }), plain).join('').includes(long))
  assert.doesNotMatch(definitionLines(definition({ description: '\\'.repeat(5000) })).join(''), /more characters/)
})

test('digits that a double would round are shown as they are', () => {
  assert.ok(definitionLines('{"name":"look","most":9223372036854775807}').includes('  "most": 9223372036854775807'))
})

test('definitions that are the same have no lines to show but their context', () => {
  assert.deepEqual(differenceLines(definition({}), definition({}), plain).filter((line) => line.startsWith('~')), [])
})
