import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ExactRecord } from '@writ/domain/exact'
import { decodedHeader, mirrorFault } from './mirrored.ts'

const SCHEMA = {
  type: 'object', properties: {
    region: { 'type': 'string', 'x-mcp-header': 'Region' }, size: { 'type': 'integer', 'x-mcp-header': 'Size' }, at: { type: 'object', properties: { deep: { 'type': 'boolean', 'x-mcp-header': 'Deep' } } },
  },
} as const
const base64 = (text: string): string => `=?base64?${Buffer.from(text).toString('base64')}?=`

for (const { when, args, headers, isGood } of [
  { when: 'says what the argument says', args: { region: 'west' }, headers: { 'mcp-param-region': 'west' }, isGood: true },
  { when: 'says it in base64', args: { region: 'wëst' }, headers: { 'mcp-param-region': base64('wëst') }, isGood: true },
  { when: 'is missing', args: { region: 'west' }, headers: {}, isGood: false },
  { when: 'is there without an argument', args: {}, headers: { 'mcp-param-region': 'west' }, isGood: false },
  { when: 'is there for an argument of null', args: { region: null }, headers: { 'mcp-param-region': 'null' }, isGood: false },
  { when: 'differs in case', args: { region: 'west' }, headers: { 'mcp-param-region': 'West' }, isGood: false },
  { when: 'is base64 of something else', args: { region: 'west' }, headers: { 'mcp-param-region': base64('east') }, isGood: false },
  { when: 'is no base64', args: { region: 'west' }, headers: { 'mcp-param-region': '=?base64?d2Vzd?=' }, isGood: false },
  { when: 'says a number', args: { size: 42n }, headers: { 'mcp-param-size': '42' }, isGood: true },
  { when: 'says the same number otherwise', args: { size: 42n }, headers: { 'mcp-param-size': '42.0' }, isGood: true },
  { when: 'says another number', args: { size: 42n }, headers: { 'mcp-param-size': '42.5' }, isGood: false },
  { when: 'says a text that looks like the same number', args: { region: '42' }, headers: { 'mcp-param-region': '42.0' }, isGood: false },
  { when: 'is of an argument below another', args: { at: { deep: true } }, headers: { 'mcp-param-deep': 'true' }, isGood: true },
  { when: 'is one that the tool does not know', args: {}, headers: { 'mcp-param-else': 'x' }, isGood: true },
] as readonly { readonly when: string; readonly args: ExactRecord; readonly headers: Readonly<Record<string, string>>; readonly isGood: boolean }[]) {
  test(`a header that ${when} is ${isGood ? 'good' : 'refused'}`, () => { assert.equal(mirrorFault(SCHEMA, args, headers) === undefined, isGood) })
}

test('a value that is neither plain nor good base64 stands for nothing', () => {
  assert.deepEqual(['plain', base64('ä'), '=?base64?/w==?=', 'wëst', '=?base64?YQ?='].map(decodedHeader), ['plain', 'ä', undefined, undefined, undefined])
})
