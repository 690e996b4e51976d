import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer as createPlainServer } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import { test } from 'node:test'
import { testAuthority } from '../../test/fakes/x509.ts'
import { outbound, type OpenOrder } from './outbound.ts'

const authority = testAuthority()
const order: OpenOrder = { method: 'GET', headers: {}, signal: new AbortController().signal, headersDeadlineMs: 5000, ca: authority.cert }
const away = Object.values(networkInterfaces()).flat().find((one) => one?.family === 'IPv4' && !one.internal)?.address

for (const { what, names, peersName, answer } of [
  { what: 'by a certificate for the name of the installation', names: ['writ.example'], peersName: 'writ.example', answer: 200 },
  { what: 'by a certificate for the address alone', names: ['127.0.0.1'], peersName: 'writ.example', answer: 'ERR_TLS_CERT_ALTNAME_INVALID' },
  { what: 'by a certificate for another name', names: ['evil.example'], peersName: 'writ.example', answer: 'ERR_TLS_CERT_ALTNAME_INVALID' },
  { what: 'by a certificate for the address that the installation goes by', names: ['192.0.2.1'], peersName: '192.0.2.1', answer: 200 },
] as const) {
  test(`another server of the installation is ${answer === 200 ? 'known' : 'not known'} ${what}`, async () => {
    const server = createServer(authority.certify({ names }), (_request, response) => { response.end('{}') }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
    const opened = await outbound({ allow: [{ kind: 'host', host }], peersName }).open(`https://${host}/`, order)
    assert.equal(opened.ok ? opened.value.status : opened.refusal.kind === 'no_connection' && opened.refusal.code, answer)
    if (opened.ok) await Array.fromAsync(opened.value.body)
    server.close()
    server.closeAllConnections()
  })
}

test('other servers of the installation are called over plain http too, where the rules name them, and nobody else is', { skip: away === undefined && 'skipped: this machine has no other address' }, async () => {
  const server = createPlainServer((_request, response) => { response.end('{}') }).listen(0, away)
  await once(server, 'listening')
  const host = `${away}:${(server.address() as AddressInfo).port}`
  const asked = async (rules: Parameters<typeof outbound>[0]): Promise<unknown> => {
    const opened = await outbound(rules).open(`http://${host}/`, order)
    if (!opened.ok) return opened.refusal
    await Array.fromAsync(opened.value.body)
    return opened.value.status
  }
  const named = { kind: 'host', host } as const
  assert.equal(await asked({ allow: [named], peersName: 'writ.example' }), 200)
  assert.deepEqual(await asked({ allow: [], peersName: 'writ.example' }), { kind: 'bad_url', why: 'scheme' })
  assert.deepEqual(await asked({ allow: [named] }), { kind: 'bad_url', why: 'scheme' })
  server.close()
  server.closeAllConnections()
})
