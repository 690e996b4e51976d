import type { Random } from './fuzz-random.ts'

export type Header = readonly [name: string, value: string]

/** A request before it is written down. */
export type Draft = { readonly path: string; readonly head: readonly Header[]; readonly body: Buffer }

/** Changes a head that every reader still reads as one request. */
export type HeadChange = { readonly name: string; readonly to: (draft: Draft, random: Random) => Draft }

const base64 = (text: string): string => Buffer.from(text).toString('base64')
const MIRRORS = ['mcp-method', 'mcp-name', 'mcp-param-region', 'mcp-param-size', 'mcp-protocol-version', 'mcp-session-id'] as const
const STRANGE = [
  'secret', 'put', 'PUT', 'tools/call', 'tools/list', 'resources/read', 'west', 'east', '3', '3.0', '03', '', ' ', '=?base64?c2VjcmV0?=', '=?base64?cHV0?=', '=?base64?cHV0?', '=?base64?cHV0=?=', '=?BASE64?cHV0?=', '=?base64?/w==?=', '=?base64??=', '=?utf-8?B?cHV0?=',
  'put, secret', 'put;secret', 'put\tsecret', '"put"', 'p%75t', '\u00e9', '2025-11-25', '2026-07-28', '2025-03-26', '1900-01-01', 'null', `${'x'.repeat(2000)}`,
] as const
const inAnyCase = (name: string, random: Random): string => name.replaceAll(/./g, (letter) => (random.onceIn(2) ? letter.toUpperCase() : letter))

const without = (head: readonly Header[], name: string): readonly Header[] => head.filter(([one]) => one !== name)
const valueOf = (head: readonly Header[], name: string): string | undefined => head.find(([one]) => one === name)?.[1]
const put = (draft: Draft, ...more: readonly Header[]): Draft => ({ ...draft, head: [...draft.head, ...more] })
/** At the place where it stood, for which of two counts may hang on their order. */
const set = (draft: Draft, name: string, value: string): Draft => ({ ...draft, head: valueOf(draft.head, name) === undefined ? [...draft.head, [name, value]] : draft.head.map((one) => (one[0] === name ? [name, value] as const : one)) })

const COMES_ONCE = [...MIRRORS, 'content-type', 'authorization', 'content-length', 'host', 'origin', 'dpop'] as const
const BESIDE: readonly Header[] = [
  ['x-http-method-override', 'DELETE'], ['x-original-url', '/mcp/older'], ['x-forwarded-host', 'evil.example'], ['forwarded', 'host=evil.example'], ['x-mcp-name', 'secret'], ['mcp_name', 'secret'], ['mcp-name.', 'secret'], ['mcp-param-other', 'x'], ['mcp_param_region', 'east'],
  ['connection', 'mcp-name, mcp-method'], ['connection', 'keep-alive, authorization'], ['te', 'trailers'], ['trailer', 'mcp-name'], ['content-encoding', 'gzip'], ['content-encoding', 'identity'], ['expect', 'nothing'], ['cookie', 'a=a-canary-of-the-caller'], ['x-canary', 'a-canary-of-the-caller'],
  ['mcp-tool', 'secret'], ['baggage', 'k=a-canary-of-the-caller'], ['traceparent', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'], ['last-event-id', '1-1'], ['writ-hop', '1.x'], ['dpop', 'x.y.z'], ['upgrade', 'h2c'], ['origin', 'https://evil.example'], ['accept', 'application/json'], ['accept', '*/*'],
]
const TYPES = ['application/json; charset=utf-16', 'application/json;charset=utf-8', 'text/plain', 'APPLICATION/JSON', 'application/json, text/plain', 'application/json; charset=iso-8859-1', 'application/x-ndjson', 'application/json;', ''] as const
const PATHS = ['/mcp/newer', '/mcp/older', '/mcp/newer/', '/mcp/newer%2f', '/mcp//newer', '//mcp/newer', '/mcp/./newer', '/mcp/x/../newer', '/mcp/newer?server=older', '/mcp/newer;x', '/MCP/newer', '/mcp/Newer', '/mcp/new%65r', '/mcp/newer%00', '/mcp/newer%20', '/mcp/__proto__', '/mcp/', '/mcp/newer#x'] as const

export const HEAD_CHANGES: readonly HeadChange[] = [
  { name: 'a header of another value', to: (draft, random) => set(draft, random.pick(MIRRORS), random.pick(STRANGE)) },
  { name: 'a header of another value', to: (draft, random) => set(draft, random.pick(MIRRORS), random.pick(STRANGE)) },
  { name: 'a header away', to: (draft, random) => ({ ...draft, head: without(draft.head, random.pick(MIRRORS)) }) },
  { name: 'a header in base64', to: (draft, random) => {
    const name = random.pick(MIRRORS)
    const value = valueOf(draft.head, name)
    return value === undefined ? draft : set(draft, name, `=?base64?${base64(value)}?=`)
  } },
  { name: 'a header twice', to: (draft, random) => {
    const name = random.pick(COMES_ONCE)
    const value = random.onceIn(2) ? valueOf(draft.head, name) ?? 'x' : random.pick(STRANGE)
    const other: Header = [inAnyCase(name, random), name === 'content-length' ? String(random.below(2000)) : value]
    return random.onceIn(2) ? put(draft, other) : { ...draft, head: [other, ...draft.head] }
  } },
  { name: 'headers in any case and order', to: (draft, random) => ({ ...draft, head: draft.head.map(([name, value]) => [inAnyCase(name, random), value] as const).toSorted(() => random.below(3) - 1) }) },
  { name: 'white space around a value', to: (draft, random) => {
    const name = random.pick(MIRRORS)
    return set(draft, name, `${random.pick([' ', '\t', '  '])}${valueOf(draft.head, name) ?? 'x'}${random.pick([' ', '\t', ' \t '])}`)
  } },
  { name: 'a header beside', to: (draft, random) => put(draft, random.pick(BESIDE)) },
  { name: 'a header beside', to: (draft, random) => put(draft, random.pick(BESIDE), random.pick(BESIDE)) },
  { name: 'another type', to: (draft, random) => set(draft, 'content-type', random.pick(TYPES)) },
  { name: 'another path', to: (draft, random) => ({ ...draft, path: random.pick(PATHS) }) },
  { name: 'another token', to: (draft, random) => {
    const token = valueOf(draft.head, 'authorization') ?? ''
    return set(draft, 'authorization', random.pick([token.replace('Bearer', 'bearer'), token.replace('Bearer', 'DPoP'), `${token}x`, token.slice(0, -1), `${token},Bearer x`, token.replace('Bearer ', 'Bearer  '), 'Bearer', 'Basic eDp4']))
  } },
]

/** A whole request, with its length where the head says none. */
export function written({ path, head, body }: Draft, host: string): Buffer {
  const lines = [`POST ${path} HTTP/1.1`, `host: ${host}`, ...head.map((pair) => pair.join(': ')), `content-length: ${body.length}`]
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), body])
}

export type Framing = { readonly name: string; readonly to: (draft: Draft, random: Random, host: string) => Buffer }

const chunk = (bytes: Buffer, size = bytes.length.toString(16)): Buffer => Buffer.concat([Buffer.from(`${size}\r\n`), bytes, Buffer.from('\r\n')])
const LAST_CHUNK = Buffer.from('0\r\n\r\n')
const bytesOf = (lines: readonly string[], ...rest: readonly Buffer[]): Buffer => Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), ...rest])
const linesOf = ({ path, head }: Draft, host: string, line = `POST ${path} HTTP/1.1`): string[] => [line, `host: ${host}`, ...head.map((pair) => pair.join(': '))]

/** Changes where a request ends, or how it is written down, so that two readers may see two. `draft` may hold a second one in its body. */
export const FRAMINGS: readonly Framing[] = [
  { name: 'in chunks', to: (draft, random, host) => {
    const at = random.below(draft.body.length + 1)
    return bytesOf([...linesOf(draft, host), 'transfer-encoding: chunked'], ...[draft.body.subarray(0, at), draft.body.subarray(at)].filter((part) => part.length > 0).map((part) => chunk(part)), LAST_CHUNK)
  } },
  { name: 'chunks and a length', to: (draft, random, host) => bytesOf([...linesOf(draft, host), ...random.pick([['transfer-encoding: chunked', `content-length: ${draft.body.length}`], ['content-length: 4', 'transfer-encoding: chunked']])], chunk(draft.body), LAST_CHUNK) },
  { name: 'chunks by a strange word', to: (draft, random, host) => bytesOf([...linesOf(draft, host), random.pick(['transfer-encoding: xchunked', 'transfer-encoding : chunked', 'transfer-encoding: chunked, identity', 'transfer-encoding: identity, chunked', 'Transfer-Encoding:\tchunked', 'transfer-encoding: \x0bchunked', 'transfer-encoding: chunked\r\ntransfer-encoding: x', ' transfer-encoding: chunked', 'x: x\r\n transfer-encoding: chunked', 'transfer\x00-encoding: chunked', 'transfer-encoding: "chunked"', 'transfer-encoding: CHUNKED'])], chunk(draft.body), LAST_CHUNK) },
  { name: 'strange chunks', to: (draft, random, host) => {
    const size = draft.body.length.toString(16)
    const how = random.pick([`${size};x=y`, `${size};${'x'.repeat(50)}`, `0${size}`, `0x${size}`, `${size} `, ` ${size}`, `-${size}`, `+${size}`, `1${'0'.repeat(16)}`, `${size}\n`, 'zz', `${size}\r`])
    return bytesOf([...linesOf(draft, host), 'transfer-encoding: chunked'], chunk(draft.body, how), LAST_CHUNK)
  } },
  { name: 'a trailer', to: (draft, random, host) => bytesOf([...linesOf(draft, host), 'transfer-encoding: chunked', 'trailer: mcp-name'], chunk(draft.body), Buffer.from(`0\r\n${random.pick(['mcp-name: secret', 'content-length: 5', 'authorization: Bearer x', 'transfer-encoding: chunked'])}\r\n\r\n`)) },
  { name: 'another length', to: (draft, random, host) => bytesOf([...linesOf(draft, host), `content-length: ${random.pick([String(random.below(draft.body.length)), String(draft.body.length + 1 + random.below(100)), '0', '-1', `+${draft.body.length}`, `${draft.body.length}, ${draft.body.length}`, `0x${draft.body.length.toString(16)}`, `0${draft.body.length}`, '99999999999999999999', ''])}`], draft.body) },
  { name: 'a second request inside', to: (draft, random, host) => {
    const inner = written({ ...draft, body: Buffer.from(draft.body.toString('latin1').replace(/"name":"[^"]*"/, '"name":"secret"'), 'latin1') }, host)
    const outer = bytesOf([...linesOf(draft, host), ...random.pick([['content-length: 0'], ['content-length: 0', `content-length: ${inner.length}`], ['transfer-encoding: chunked', `content-length: ${inner.length + 5}`], ['content-length: 0\nx: y'], [`content-length:\n ${inner.length}`]])])
    return Buffer.concat([outer, random.onceIn(2) ? Buffer.from('0\r\n\r\n') : Buffer.alloc(0), inner])
  } },
  { name: 'another first line', to: (draft, random, host) => bytesOf([...linesOf(draft, host, random.pick([
    `POST http://${host}${draft.path} HTTP/1.1`, `POST http://evil.example${draft.path} HTTP/1.1`, `POST ${draft.path} HTTP/1.0`, `POST ${draft.path} HTTP/2.0`, `post ${draft.path} HTTP/1.1`, `POST  ${draft.path}  HTTP/1.1`, `POST\t${draft.path}\tHTTP/1.1`,
    `POST ${draft.path}`, `PUT ${draft.path} HTTP/1.1`, `GET ${draft.path} HTTP/1.1`, `POST ${draft.path} HTTP/1.1\r\n`, `\r\nPOST ${draft.path} HTTP/1.1`, `POST ${draft.path}\0 HTTP/1.1`, `POST ${draft.path} HTTP/1.1 HTTP/1.1`, 'PRI * HTTP/2.0',
  ])), `content-length: ${draft.body.length}`], draft.body) },
  { name: 'a strange header', to: (draft, random, host) => bytesOf([...linesOf(draft, host), random.pick([
    'mcp-name : secret', ' mcp-name: secret', 'mcp-name\t: secret', 'x: y\r\n mcp-name: secret', 'mcp-name: put\r\n secret', 'mcp-name: put\0secret', 'mcp-name: put\rmcp-name: secret', 'mcp-name: put\nmcp-name: secret', 'mcp-name', ': secret', 'mcp-n\xe4me: secret', 'mcp-name:', `x-long: ${'x'.repeat(20_000)}`, '\x00', 'host: other.example',
  ]), `content-length: ${draft.body.length}`], draft.body) },
  { name: 'bare line feeds', to: (draft, random, host) => Buffer.concat([Buffer.from([...linesOf(draft, host), `content-length: ${draft.body.length}`].join(random.pick(['\n', '\r'])) + random.pick(['\n\n', '\r\n\r\n', '\r\r']), 'latin1'), draft.body]) },
  { name: 'with expectations', to: (draft, random, host) => bytesOf([...linesOf(draft, host), random.pick(['expect: 100-continue', 'expect: 200-ok', 'upgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABkAAQAAP__', 'connection: close', 'connection: upgrade\r\nupgrade: websocket']), `content-length: ${draft.body.length}`], draft.body) },
]
