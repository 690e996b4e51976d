import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readFiles, PROJECT_ROOT } from './breach.ts'
import { importsOf, lineOf, only } from './source-text.ts'

for (const { when, source, code } of [
  { when: 'a line comment ends with its line', source: 'a // b\nc', code: 'a     \nc' },
  { when: 'a comment holds a quote', source: "a /* don't */ b", code: 'a             b' },
  { when: 'a string holds what looks like a comment', source: "a('// b') + c", code: 'a(      ) + c' },
  { when: 'a string holds an escaped quote', source: String.raw`a('\'b') + c`, code: 'a(     ) + c' },
  { when: 'a template has holes', source: 'a`b${c}d${e}f`g', code: 'a    c    e   g' },
  { when: 'a hole holds braces and a template', source: 'a`${b({ c: `d${e}` })}`f', code: 'a   b({ c:     e   })  f' },
  { when: 'a regular expression holds quotes', source: "a.replace(/['\"`]/g, b)", code: 'a.replace(       g, b)' },
  { when: 'a regular expression holds a slash in a class', source: 'const a = /[/]b/.test(c)', code: 'const a =       .test(c)' },
  { when: 'a slash divides', source: 'a / b / c', code: 'a / b / c' },
  { when: 'a slash follows a bracket', source: '(a) / b[0] / 2 // c', code: '(a) / b[0] / 2     ' },
  { when: 'nothing ends', source: "a 'b", code: 'a   ' },
]) {
  test(`the code of a source is told from the rest when ${when}`, () => {
    assert.equal(only(source, 'code'), code)
  })
}

test('only the comments can be asked for, and lines stay where they are', () => {
  assert.equal(only("a // RFC 1\n'RFC 2'\n/* RFC 3\n */", 'comment'), '  // RFC 1\n       \n/* RFC 3\n */')
  assert.equal(lineOf('a\nb\nc', 4), 3)
})

test('every way to import is found, with its line, and what only looks like one is not', () => {
  const source = [
    "import a from 'one'",
    "import type { b } from \"two\"",
    'import {',
    '  c,',
    "} from 'three'",
    "export * from 'four'",
    "import 'five'",
    "const d = await import('six')",
    "type E = import('seven').E",
    "// import 'no'",
    "const f = \"import 'no'\"",
    "import.meta.resolve('no')",
    "const g = Array.from('no')",
    "select({ from: 'no' })",
  ].join('\n')
  assert.deepEqual(importsOf(source).map(({ specifier, line }) => `${line} ${specifier}`),
    ['1 one', '2 two', '5 three', '6 four', '7 five', '8 six', '9 seven'])
})

test('in every source of this project brackets pair up once comments and texts are gone', () => {
  for (const { path, text } of readFiles(PROJECT_ROOT, 'packages/*/src/**/*.ts', 'scripts/*.ts')) {
    const code = only(text, 'code')
    for (const [open, close] of [['{', '}'], ['(', ')'], ['[', ']']] as const) {
      // A hole of a template loses its opening brace with `${` and its closing one with the text that follows it.
      assert.equal(code.split(open).length, code.split(close).length, `${path}: ${open} ${close}`)
    }
  }
})
