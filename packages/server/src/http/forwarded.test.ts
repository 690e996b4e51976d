import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addressesOf } from '../config/binding.ts'
import { clientOf } from './forwarded.ts'

const isProxy = addressesOf(['10.0.0.5', '10.1.0.0/16', '2001:db8::/32'])

for (const { what, peer = '10.0.0.5', headers, client } of [
  { what: 'a stranger\'s header does not count', peer: '192.0.2.9', headers: { 'x-forwarded-for': '127.0.0.1', forwarded: 'for=127.0.0.1' }, client: '192.0.2.9' },
  { what: 'without a header it is the proxy', headers: {}, client: '10.0.0.5' },
  { what: 'the proxy\'s word counts', headers: { 'x-forwarded-for': '192.0.2.1' }, client: '192.0.2.1' },
  { what: 'of what a client wrote before, only what the proxy has added counts', headers: { 'x-forwarded-for': '127.0.0.1, 10.0.0.5, 192.0.2.1' }, client: '192.0.2.1' },
  { what: 'a chain of named proxies is followed', headers: { 'x-forwarded-for': '6.6.6.6, 192.0.2.1, 10.1.2.3' }, client: '192.0.2.1' },
  { what: 'IPv4 over IPv6 is the same proxy', peer: '::ffff:10.0.0.5', headers: { 'x-forwarded-for': '192.0.2.1' }, client: '192.0.2.1' },
  { what: 'a port is left out', headers: { 'x-forwarded-for': '192.0.2.1:4711' }, client: '192.0.2.1' },
  { what: 'IPv6 in brackets is read', headers: { 'x-forwarded-for': '[2001:dead::1]:4711' }, client: '2001:dead::1' },
  { what: 'what is no address is nobody', headers: { 'x-forwarded-for': '192.0.2.1, unknown' }, client: '10.0.0.5' },
  { what: 'an end of line is nobody', headers: { 'x-forwarded-for': '192.0.2.1\r\nx: y' }, client: '10.0.0.5' },
  { what: 'nothing is nobody', headers: { 'x-forwarded-for': '' }, client: '10.0.0.5' },
  { what: 'proxies alone are nobody', headers: { 'x-forwarded-for': '10.1.2.3, 10.1.2.4' }, client: '10.0.0.5' },
  { what: 'a long chain is cut', headers: { 'x-forwarded-for': `192.0.2.1${', 10.1.2.3'.repeat(5000)}` }, client: '10.0.0.5' },
  { what: 'RFC 7239 is read', headers: { forwarded: 'for=192.0.2.1;proto=https;host=writ.acme.example' }, client: '192.0.2.1' },
  { what: 'RFC 7239 with IPv6 is read', headers: { forwarded: 'for=6.6.6.6, For="[2001:dead::1]:4711" ;by=10.0.0.5' }, client: '2001:dead::1' },
  { what: 'a hidden name is nobody', headers: { forwarded: 'for=_hidden' }, client: '10.0.0.5' },
  { what: 'two names in one hop are nobody', headers: { forwarded: 'for=192.0.2.1;for=192.0.2.2' }, client: '10.0.0.5' },
  { what: 'two headers that agree are one', headers: { 'x-forwarded-for': '192.0.2.1', forwarded: 'for=192.0.2.1' }, client: '192.0.2.1' },
  { what: 'two headers that differ are nobody', headers: { 'x-forwarded-for': '192.0.2.1', forwarded: 'for=192.0.2.2' }, client: '10.0.0.5' },
] as const satisfies readonly { what: string; peer?: string; headers: object; client: string }[] as readonly { what: string; peer?: string; headers: Record<string, string>; client: string }[]) {
  test(what, () => { assert.equal(clientOf(peer, headers, isProxy), client) })
}
