import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { completedText, readEnvelope } from './newer-words.ts'

test('a result is passed on as it was written, with what this generation adds', () => {
  assert.equal(completedText('tools/call', '{"content":[],"n":1.0,"big":12345678901234567890}'), '{"resultType":"complete","content":[],"n":1.0,"big":12345678901234567890}')
  assert.equal(completedText('tools/call', '{}'), '{"resultType":"complete"}')
  assert.equal(completedText('tools/call', '{ }'), '{"resultType":"complete"}')
})

test('what holds for this task alone is held by nobody else, whatever the server said', () => {
  assert.equal(completedText('resources/read', '{"contents":[],"ttlMs":60000,"cacheScope":"public"}'), '{"resultType":"complete","ttlMs":0,"cacheScope":"private","contents":[]}')
  assert.equal(completedText('tools/list', '{"cacheScope":"public"}'), '{"resultType":"complete","ttlMs":0,"cacheScope":"private"}')
})

const words: fc.Arbitrary<string> = fc.constantFrom('tools/call', 'tools/list', 'prompts/get', 'resources/read', 'Tools/call', 'echo', 'Echo', 'echo ', ' echo', '2026-07-28', '2025-11-25', '', '=?base64?ZWNobw==?=', '=?base64?RWNobw==?=', '=?BASE64?ZWNobw==?=')
const header = fc.option(words, { nil: undefined })

test('a request whose headers say anything else than its body is refused (10,000 cases)', () => {
  fc.assert(fc.property(words, words, words, header, header, header, (method, name, version, sentMethod, sentName, sentVersion) => {
    const headers = Object.fromEntries(Object.entries({ 'mcp-method': sentMethod, 'mcp-name': sentName, 'mcp-protocol-version': sentVersion }).filter((one): one is [string, string] => one[1] !== undefined))
    const params = { name, uri: name, _meta: { 'io.modelcontextprotocol/protocolVersion': version, 'io.modelcontextprotocol/clientCapabilities': {} } }
    const read = readEnvelope({ headers }, { method, params })
    if (!read.ok) return
    const said = sentName?.startsWith('=?base64?') === true && sentName.endsWith('?=') ? Buffer.from(sentName.slice(9, -2), 'base64').toString() : sentName
    assert.deepEqual([sentMethod, sentVersion, version], [method, '2026-07-28', '2026-07-28'])
    if (['tools/call', 'prompts/get', 'resources/read'].includes(method)) assert.equal(said, name)
  }), { numRuns: 10_000 })
})
