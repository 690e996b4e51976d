import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { normalTargetUri } from './target-uri.ts'

for (const [uri, normal] of [
  ['https://a.example', 'https://a.example/'],
  ['https://a.example/', 'https://a.example/'],
  ['HTTPS://A.Example/B', 'https://a.example/B'],
  ['https://a.example:443/b', 'https://a.example/b'],
  ['http://a.example:80/b', 'http://a.example/b'],
  ['http://a.example:443/b', 'http://a.example:443/b'],
  ['https://a.example:/b', 'https://a.example/b'],
  ['http://127.0.0.1:7400/b', 'http://127.0.0.1:7400/b'],
  ['http://[::1]:7400/b', 'http://[::1]:7400/b'],
  ['https://a.example/b?c=d', 'https://a.example/b'],
  ['https://a.example/b?c=/../d?e', 'https://a.example/b'],
  ['https://a.example/b#c', 'https://a.example/b'],
  ['https://a.example?b', 'https://a.example/'],
  ['https://a.example/%7euser/%c3%a4', 'https://a.example/~user/%C3%A4'],
  ['https://a.example/a%2fb', 'https://a.example/a%2Fb'],
  ['https://a.example/b/./c/../d', 'https://a.example/b/d'],
  ['https://a.example/b/%2e%2E/d', 'https://a.example/d'],
  ['https://a.example/../../b', 'https://a.example/b'],
  ['https://a.example/b/..', 'https://a.example/'],
  ['https://a.example/b/.', 'https://a.example/b/'],
  ['https://a.example//b', 'https://a.example//b'],
] as const) {
  test(`${uri} is ${normal}`, () => { assert.equal(normalTargetUri(uri), normal) })
}

for (const uri of [
  '', 'a', '/b', '//a.example/b', 'ftp://a.example/b', 'https:/a.example', 'https:///b', 'https://', 'https://user@a.example/b', 'https://a.example\\b', 'https://a.example/b c',
  ' https://a.example/b', 'https://a.example/b\t', 'https://a.example/%', 'https://a.example/%2', 'https://a.example/%zz', 'https://ä.example/b', 'https://a.example/ä', 'https://a.example/<b>',
  'https://a.example/b"', 'https://a.example/b|c', 'javascript:alert(1)', 'https://a.example/b\u0000',
]) {
  test(`${JSON.stringify(uri)} is no address of an HTTP server`, () => { assert.equal(normalTargetUri(uri), undefined) })
}

// A parser would take each of these for 127.0.0.1; here a host is what its text says.
for (const host of ['2130706433', '0x7f.1', '127.1', '127.0.0.1.', '0177.0.0.1']) {
  test(`the host ${host} is not 127.0.0.1`, () => { assert.notEqual(normalTargetUri(`http://${host}/b`), 'http://127.0.0.1/b') })
}

test('what is normal stays as it is, and agrees with the URL standard where that one changes nothing', () => {
  const segment = fc.string({ unit: fc.constantFrom('a', 'B', '.', '..', '%2e', '%41', '~', ';', '@', '%2f'), maxLength: 6 })
  fc.assert(fc.property(fc.array(segment, { maxLength: 6 }), (segments) => {
    const uri = `https://a.example${segments.map((one) => `/${one}`).join('')}`
    const normal = normalTargetUri(uri)!
    assert.equal(normalTargetUri(normal), normal)
    assert.equal(new URL(normal).href, normal)
    assert.equal(normalTargetUri(new URL(uri).href), normal)
  }))
})
