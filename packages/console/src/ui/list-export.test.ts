import assert from 'node:assert/strict'
import { test } from 'node:test'
import { csvOf, jsonLinesOf, type ExportColumn } from './list-export.ts'

type Row = { readonly name: string; readonly calls: number | null }
const COLUMNS: readonly ExportColumn<Row>[] = [{ id: 'name', header: 'Name', value: (row) => row.name }, { id: 'calls', header: 'Calls', value: (row) => row.calls }]

for (const { what, name, is } of [
  { what: 'a formula is text', name: '=HYPERLINK("https://evil.example")', is: '"\'=HYPERLINK(""https://evil.example"")"' },
  { what: 'so is what begins with plus, minus or at', name: '@SUM(A1)', is: '\'@SUM(A1)' },
  { what: 'a comma and a quote are quoted', name: 'a, "b"', is: '"a, ""b"""' },
  { what: 'what nobody would see is written out', name: 'a\u202eb\nc', is: 'a\\u{202e}b\\u{a}c' },
  { what: 'a tab before a formula hides nothing', name: '\t=1', is: '\'\\u{9}=1' },
]) test(`in a CSV ${what}`, () => { assert.equal(csvOf(COLUMNS, [{ name, calls: -2 }]), `Name,Calls\r\n${is},-2\r\n`) })

test('what is not known is an empty field, and null in JSON', () => {
  assert.equal(csvOf(COLUMNS, [{ name: 'a', calls: null }]), 'Name,Calls\r\na,\r\n')
  assert.equal(jsonLinesOf(COLUMNS, [{ name: 'a', calls: null }]), '{"name":"a","calls":null}\n')
})

test('JSON lines say the same value, with nothing in them that acts', () => {
  const text = jsonLinesOf(COLUMNS, [{ name: 'a\u202eb\u{e0041}', calls: 1 }])
  assert.match(text, /^[ -~]*\n$/)
  assert.deepEqual(JSON.parse(text), { name: 'a\u202eb\u{e0041}', calls: 1 })
})
