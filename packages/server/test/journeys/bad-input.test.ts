import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import * as registry from '@writ/contract/registry'
import { keptIn, onEachStore } from '../kept.ts'
import { rawRequest, type RawAnswer, type RawAsk } from '../raw-request.ts'
import { REGISTRATION, type RunningWrit } from '../running-writ.ts'

type Bad = {
  readonly what: string
  readonly body: string | Uint8Array
  readonly status: number
  readonly code?: string
  readonly headers?: RawAsk['headers']
}

const GOOD = { ...REGISTRATION, spiffe_id: 'spiffe://acme.example/bad' }
const JSON_TYPE = ['content-type', 'application/json'] as const
const withPurpose = (raw: string): string => JSON.stringify({ ...GOOD, purpose: 'HERE' }).replace('"HERE"', raw)
const deep = (by: number): string => withPurpose('['.repeat(by) + ']'.repeat(by))

const CORPUS: readonly Bad[] = [
  { what: 'nothing', body: '', status: 400, code: 'invalid_fields' },
  { what: 'blanks', body: ' \n\t ', status: 400, code: 'malformed_json' },
  { what: 'half an object', body: JSON.stringify(GOOD).slice(0, -10), status: 400, code: 'malformed_json' },
  { what: 'two objects', body: `${JSON.stringify(GOOD)}{}`, status: 400, code: 'malformed_json' },
  { what: 'a trailing comma', body: '{"purpose":"x",}', status: 400, code: 'malformed_json' },
  { what: 'single quotes', body: '{\'purpose\':\'x\'}', status: 400, code: 'malformed_json' },
  { what: 'a comment', body: '{"purpose":"x"/* */}', status: 400, code: 'malformed_json' },
  { what: 'NaN', body: withPurpose('NaN'), status: 400, code: 'malformed_json' },
  { what: 'a byte order mark', body: `\uFEFF${JSON.stringify(GOOD)}`, status: 400, code: 'malformed_json' },
  { what: 'an array', body: '[]', status: 400, code: 'invalid_fields' },
  { what: 'null', body: 'null', status: 400, code: 'invalid_fields' },
  { what: 'a text', body: '"x"', status: 400, code: 'invalid_fields' },
  { what: 'a number', body: '1', status: 400, code: 'invalid_fields' },
  { what: 'a name twice', body: `{"purpose":"a",${JSON.stringify(GOOD).slice(1)}`, status: 400, code: 'duplicate_key' },
  { what: 'a name twice, once with an escape', body: `{"purpos\\u0065":"a",${JSON.stringify(GOOD).slice(1)}`, status: 400, code: 'duplicate_key' },
  ...['__proto__', 'constructor', 'prototype', '\\u005f_proto__'].map((name) => ({
    what: `the name ${name}`, body: `{"${name}":{"state":"active"},${JSON.stringify(GOOD).slice(1)}`, status: 400, code: 'forbidden_key',
  })),
  { what: 'a lone surrogate', body: withPurpose('"\\ud800"'), status: 400, code: 'unsafe_text' },
  { what: 'NUL', body: withPurpose('"a\\u0000b"'), status: 400, code: 'unsafe_text' },
  { what: 'a raw control character', body: withPurpose('"a\u0001b"'), status: 400, code: 'malformed_json' },
  { what: 'a number beyond a double', body: withPurpose('1e400'), status: 400, code: 'unsafe_number' },
  { what: 'a number that a double changes', body: withPurpose('9007199254740993'), status: 400, code: 'unsafe_number' },
  { what: 'minus zero', body: withPurpose('-0'), status: 400, code: 'unsafe_number' },
  { what: 'a number of a million digits', body: withPurpose('1'.repeat(900_000)), status: 400, code: 'unsafe_number' },
  { what: 'nesting of 100', body: deep(100), status: 400, code: 'too_deep' },
  { what: 'nesting of 100,000', body: deep(100_000), status: 400, code: 'too_deep' },
  { what: 'nesting of 400,000 that never ends', body: '['.repeat(400_000), status: 400, code: 'too_deep' },
  { what: 'objects nested 100,000 deep', body: withPurpose('{"a":'.repeat(100_000) + '1' + '}'.repeat(100_000)), status: 400, code: 'too_deep' },
  { what: '100,000 names', body: `{${Array.from({ length: 80_000 }, (_, i) => `"k${i}":1`).join(',')}}`, status: 400, code: 'too_many_keys' },
  { what: 'two megabytes', body: withPurpose(`"${'x'.repeat(2_000_000)}"`), status: 413, code: 'too_large' },
  { what: 'twenty megabytes', body: Buffer.alloc(20_000_000, 0x20), status: 413, code: 'too_large' },
  { what: 'not UTF-8', body: Buffer.concat([Buffer.from(withPurpose('"').slice(0, -1)), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]), status: 400,
    code: 'not_utf8' },
  { what: 'an overlong slash', body: Buffer.from([0x7b, 0x22, 0xc0, 0xaf, 0x22, 0x3a, 0x31, 0x7d]), status: 400, code: 'not_utf8' },
  { what: 'UTF-16', body: Buffer.from(JSON.stringify(GOOD), 'utf16le'), status: 400 },
  { what: 'gzip', body: gzipSync(JSON.stringify(GOOD)), status: 400, code: 'not_utf8', headers: [JSON_TYPE, ['content-encoding', 'gzip']] },
  { what: 'plain text', body: JSON.stringify(GOOD), status: 415, code: 'unsupported_media_type', headers: [['content-type', 'text/plain']] },
  { what: 'a form', body: 'purpose=x', status: 415, code: 'unsupported_media_type',
    headers: [['content-type', 'application/x-www-form-urlencoded']] },
  { what: 'no content type', body: JSON.stringify(GOOD), status: 415, code: 'unsupported_media_type', headers: [] },
  { what: 'a content type that is none', body: JSON.stringify(GOOD), status: 415, code: 'unsupported_media_type',
    headers: [['content-type', ';;;']] },
  { what: 'a thousand grants too many', body: JSON.stringify({ ...GOOD, authority: Array.from({ length: 1100 }, (_, i) => `a:b:c${i}`) }),
    status: 400, code: 'invalid_fields' },
]

/** Worth a megabyte each, and each of their elements wrong in many ways. */
const MANY: readonly Bad[] = [
  { what: 'a hundred thousand empty identities', body: `{"identities":[${Array(100_000).fill('{}').join(',')}]}`, status: 400 },
  { what: 'three hundred thousand empty identities', body: `{"identities":[${Array(300_000).fill('{}').join(',')}]}`, status: 400 },
  { what: 'half a million numbers', body: `{"identities":[${Array(500_000).fill('1').join(',')}]}`, status: 400 },
]

const MOST_GROWTH = 100 * 1024 * 1024

const memoryOf = (writ: RunningWrit): number => {
  const pid = readFileSync(join(writ.folder, 'data', 'writ.pid'), 'utf8').trim()
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024
}

/** A server that hangs up on what is too large may do so before its answer has been read; then there is none to look at. */
const sent = async (writ: RunningWrit, path: string, bad: Bad): Promise<RawAnswer | undefined> => {
  const headers = [...bad.headers ?? [JSON_TYPE], ['authorization', `Bearer ${writ.operatorKey}`] as const]
  try {
    return await rawRequest(writ.url, { method: 'POST', path, headers, body: bad.body })
  } catch (error) {
    assert.ok(bad.status === 413 && ['EPIPE', 'ECONNRESET'].includes(String((error as NodeJS.ErrnoException).code)), `${bad.what}: ${String(error)}`)
    return undefined
  }
}

function assertProblem(got: RawAnswer, what: string): { readonly status: number; readonly code: string; readonly trace_id: string } {
  assert.equal(got.type, 'application/problem+json; charset=utf-8', `${what}: ${got.text.slice(0, 300)}`)
  const problem = JSON.parse(got.text) as { status: number; code: string; trace_id: string }
  assert.deepEqual([problem.status, problem.trace_id], [got.status, got.header('x-request-id')])
  return problem
}

onEachStore('what nobody should send', (writ, store) => {
  for (const bad of CORPUS) {
    test(`${bad.what} is answered with ${bad.status}, and nothing is written`, async () => {
      const before = await keptIn(writ())
      const got = await sent(writ(), registry.registerIdentity.path, bad)
      if (got !== undefined) {
        const problem = assertProblem(got, bad.what)
        assert.equal(problem.status, bad.status, got.text.slice(0, 300))
        if (bad.code !== undefined) assert.equal(problem.code, bad.code)
        assert.ok(got.text.length < 20_000, `an answer of ${got.text.length} characters`)
      }
      assert.deepEqual(await keptIn(writ()), before)
    })
  }

  const skip = store === 'postgres' || process.platform !== 'linux' ? 'one store says it for both' : false
  const growth = async (path: string, corpus: readonly Bad[]): Promise<number> => {
    const start = memoryOf(writ())
    let most = start
    for (let round = 0; round < 5; round++) {
      for (const bad of corpus) {
        const got = await sent(writ(), path, bad)
        if (got !== undefined) assert.equal(assertProblem(got, bad.what).status, bad.status)
        assert.ok((got?.text.length ?? 0) < 20_000, `${bad.what}: an answer of ${got?.text.length} characters`)
        most = Math.max(most, memoryOf(writ()))
      }
    }
    assert.equal((await writ().stranger(registry.health)).status, 200)
    return most - start
  }

  test('memory is bounded, whatever is sent, and the server lives', { skip }, async () => {
    const grown = await growth(registry.registerIdentity.path, CORPUS)
    assert.ok(grown < MOST_GROWTH, `grew by ${Math.round(grown / 1024 / 1024)} MB`)
  })

  test('memory is bounded when a body has hundreds of thousands of elements', { skip },
    async () => {
    const grown = await growth(registry.applyManifest.path, MANY)
    assert.ok(grown < MOST_GROWTH, `grew by ${Math.round(grown / 1024 / 1024)} MB`)
  })

  for (const { what, id } of [
    { what: 'SQL', id: '\' or 1=1 --' }, { what: 'a semicolon', id: 'x;drop table identity' }, { what: 'dots', id: '..%2f..%2fetc%2fpasswd' },
      { what: 'NUL', id: 'nhi_%00' },
    { what: 'a NUL in a name', id: 'spiffe%3A%2F%2Facme.example%2F%00' }, { what: 'a wildcard', id: '%25' }, { what: 'a star', id: '*' },
      { what: 'a long id', id: 'x'.repeat(2050) },
    { what: 'an id that is too long', id: 'x'.repeat(8000) }, { what: 'half an escape', id: '%e0%a4' }, { what: 'a bad escape', id: '%zz' },
      { what: 'a smile', id: '%F0%9F%98%80' },
    { what: 'a name of Object', id: '__proto__' }, { what: 'an encoded slash', id: '%2F' }, { what: 'a backslash', id: '%5C..%5C' },
  ]) {
    test(`an address with ${what} in it leads nowhere, and does nothing`, async () => {
      const before = await keptIn(writ())
      const authorization = ['authorization', `Bearer ${writ().operatorKey}`] as const
      const escaped = id.replaceAll(/[ ']/g, encodeURIComponent)
      for (const [method, path] of [
        ['GET', `/v1/identities/${escaped}`], ['POST', `/v1/identities/${escaped}/retire`],
          ['POST', `/v1/identities/${escaped}/keys/${escaped}/revoke`], ['GET', `/v1/tasks/${escaped}`],
        ['POST', `/v1/tasks/${escaped}/end`], ['POST', `/v1/leases/${escaped}/revoke`], ['GET', `/v1/tasks/${escaped}/certificate`],
          ['POST', `/v1/backends/${escaped}/remove`],
        ['POST', `/v1/issuers/${escaped}/remove`], ['GET', `/v1/logs/${escaped}/export`], ['GET', `/logs/${escaped}/checkpoint`],
          ['GET', `/logs/human/tile/${escaped}`], ['GET', `/${escaped}`],
      ] as const) {
        const got = await rawRequest(writ().url, {
          method, path, headers: [authorization, ...(method === 'POST' ? [JSON_TYPE] : [])], ...(method === 'POST' ? { body: '{"reason":"x"}' } : {}),
        })
        const problem = assertProblem(got, path)
        assert.ok([400, 404, 414].includes(problem.status), `${method} ${path.slice(0, 60)}: ${got.text.slice(0, 300)}`)
      }
      assert.deepEqual(await keptIn(writ()), before)
    })
  }

  test('a question with NUL, nonsense or too much in it is refused, at every list', async () => {
    const authorization = ['authorization', `Bearer ${writ().operatorKey}`] as const
    for (const list of ['/v1/identities', '/v1/tasks', '/v1/events', '/v1/findings', '/v1/incidents']) {
      for (const query of ['cursor=%00', 'limit=0', 'limit=-1', 'limit=1e9', 'limit=x', 'limit=1&limit=2', 'nonsense=1', '__proto__=1',
        `cursor=${'x'.repeat(201)}`, 'state=%00', 'limit=NaN']) {
        const got = await rawRequest(writ().url, { path: `${list}?${query}`, headers: [authorization] })
        assert.equal(assertProblem(got, `${list}?${query}`).status, 400, `${list}?${query}: ${got.text}`)
      }
    }
  })

  test('an address that is not there is a problem too, and so is a method that an address does not take', async () => {
    for (const [method, path] of [['GET', '/nowhere'], ['POST', '/v1'], ['GET', '//v1/whoami'], ['GET', '/v1/../v1/whoami'],
      ['DELETE', '/v1/identities'], ['PUT', '/v1/whoami'], ['TRACE', '/v1/whoami']] as const) {
      const got = await rawRequest(writ().url, { method, path })
      assert.ok([404, 405].includes(assertProblem(got, path).status), `${method} ${path}: ${got.text}`)
    }
  })
})
