import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { addressesOf, isLoopback } from './binding.ts'
import { readConfig } from './config.ts'

const proxied = { WRIT_HOST: '0.0.0.0', WRIT_ISSUER: 'https://writ.acme.example' }
const certified = { ...proxied, WRIT_TLS_CERT: '/keys/writ.crt', WRIT_TLS_KEY: '/keys/writ.key' }

describe('a server is not bound', () => {
  for (const { what, env, says } of [
    { what: 'a proxy is named by a name', env: { ...proxied, WRIT_TRUSTED_PROXY: 'proxy.acme.example' }, says: [/WRIT_TRUSTED_PROXY `proxy\.acme\.example` is no address/] },
    { what: 'a proxy is named with its port', env: { ...proxied, WRIT_TRUSTED_PROXY: '10.0.0.5:443' }, says: [/WRIT_TRUSTED_PROXY `10\.0\.0\.5:443` is no address/] },
    { what: 'a proxy is everybody', env: { ...proxied, WRIT_TRUSTED_PROXY: '0.0.0.0/0' }, says: [/WRIT_TRUSTED_PROXY `0\.0\.0\.0\/0` names too many/] },
    { what: 'a proxy is everybody of six', env: { ...proxied, WRIT_TRUSTED_PROXY: '::/0' }, says: [/WRIT_TRUSTED_PROXY `::\/0` names too many/] },
    { what: 'a block is too narrow', env: { ...proxied, WRIT_TRUSTED_PROXY: '10.0.0.0/33' }, says: [/WRIT_TRUSTED_PROXY `10\.0\.0\.0\/33` is no address/] },
    { what: 'a block has no number', env: { ...proxied, WRIT_TRUSTED_PROXY: '10.0.0.0/x' }, says: [/WRIT_TRUSTED_PROXY/] },
    { what: 'a proxy is nothing', env: { ...proxied, WRIT_TRUSTED_PROXY: '10.0.0.5,' }, says: [/WRIT_TRUSTED_PROXY `` is no address/] },
    { what: 'two of three proxies are none', env: { ...proxied, WRIT_TRUSTED_PROXY: '10.0.0.5, *, true' }, says: [/WRIT_TRUSTED_PROXY `\*`/, /WRIT_TRUSTED_PROXY `true`/] },
    { what: 'a proxy has no issuer', env: { WRIT_TRUSTED_PROXY: '10.0.0.5' }, says: [/WRIT_ISSUER is missing.*https/] },
    { what: 'a public address behind a proxy has no issuer', env: { WRIT_HOST: '0.0.0.0', WRIT_TRUSTED_PROXY: '10.0.0.5' }, says: [/WRIT_ISSUER is missing/] },
    { what: 'a public address with TLS has no issuer', env: { ...certified, WRIT_ISSUER: '' }, says: [/WRIT_ISSUER is missing/] },
    { what: 'the issuer behind a proxy is plain HTTP', env: { ...proxied, WRIT_TRUSTED_PROXY: '10.0.0.5', WRIT_ISSUER: 'http://writ.acme.example' }, says: [/WRIT_ISSUER must begin with `https:\/\/`/] },
    { what: 'the issuer with TLS is plain HTTP', env: { ...certified, WRIT_HOST: '127.0.0.1', WRIT_ISSUER: 'http://writ.acme.example' }, says: [/WRIT_ISSUER must begin with `https:\/\/`/] },
    { what: 'an issuer alone is to make a public address safe', env: proxied, says: [/WRIT_HOST must be a loopback address, or be protected/] },
    { what: 'an address of the network is bare', env: { WRIT_HOST: '192.168.7.7' }, says: [/WRIT_HOST must be a loopback address, or be protected/] },
    { what: 'loopback over six is not loopback', env: { WRIT_HOST: '::ffff:10.0.0.1' }, says: [/WRIT_HOST must be a loopback address, or be protected/] },
    { what: 'there is a certificate without a key', env: { WRIT_TLS_CERT: '/keys/writ.crt' }, says: [/WRIT_TLS_KEY is missing: WRIT_TLS_CERT is of no use/] },
    { what: 'there is a key without a certificate', env: { ...proxied, WRIT_TLS_KEY: '/keys/writ.key' }, says: [/WRIT_TLS_CERT is missing: WRIT_TLS_KEY is of no use/] },
    { what: 'the key lies in the data', env: { ...certified, WRIT_DATA: '/keys' }, says: [/WRIT_TLS_KEY must lie outside of WRIT_DATA/] },
    { what: 'everything is wrong', env: { WRIT_HOST: 'x', WRIT_PORT: 'x', WRIT_ISSUER: 'x', WRIT_TLS_KEY: 'x', WRIT_TRUSTED_PROXY: 'x', WRIT_METRICS: 'x' }, says: [/WRIT_HOST/, /WRIT_PORT/, /WRIT_TLS_CERT/, /WRIT_TRUSTED_PROXY/, /WRIT_ISSUER/, /WRIT_METRICS/] },
  ] as const) {
    test(`when ${what}`, () => {
      const read = readConfig(env)
      assert.ok(!read.ok)
      const said = read.refusal.map(({ setting, message }) => `${setting} ${message}`)
      assert.equal(said.length, says.length, said.join('\n'))
      for (const one of says) assert.ok(said.some((line) => one.test(line)), said.join('\n'))
    })
  }
})

describe('a server is bound', () => {
  for (const { what, env, open } of [
    { what: 'to the loopback interface by default, where anyone may read the metrics', env: {}, open: true },
    { what: 'to any loopback address', env: { WRIT_HOST: '127.9.9.9' }, open: true },
    { what: 'to the loopback address of six', env: { WRIT_HOST: '::1', WRIT_ISSUER: 'http://[::1]:7400' }, open: true },
    { what: 'to the loopback interface under a public name, and the metrics are for operators', env: { WRIT_ISSUER: 'https://writ.acme.example' }, open: false },
    { what: 'behind a proxy on the same machine, and the metrics are for operators', env: { WRIT_TRUSTED_PROXY: '127.0.0.1', WRIT_ISSUER: 'https://writ.acme.example' }, open: false },
    { what: 'behind proxies of two networks', env: { ...proxied, WRIT_TRUSTED_PROXY: '10.0.0.0/8, 2001:db8::/32,192.0.2.7' }, open: false },
    { what: 'with a certificate', env: certified, open: false },
    { what: 'with a certificate on the loopback interface', env: { WRIT_TLS_CERT: '/keys/writ.crt', WRIT_TLS_KEY: '/keys/writ.key' }, open: true },
    { what: 'where the metrics are said to be open', env: { ...certified, WRIT_METRICS: 'open' }, open: true },
  ]) {
    test(what, () => {
      const read = readConfig(env)
      assert.ok(read.ok, JSON.stringify(read))
      assert.equal(read.value.metricsOpen, open)
    })
  }
})

test('an address is among those named, over IPv4 and over IPv6', () => {
  const isNamed = addressesOf(['10.0.0.5', '192.0.2.0/24', '2001:db8::/32'])
  for (const one of ['10.0.0.5', '::ffff:10.0.0.5', '192.0.2.200', '2001:db8:1::1']) assert.ok(isNamed(one), one)
  for (const one of ['10.0.0.6', '::ffff:10.0.0.6', '192.0.3.1', '2001:db9::1', '', 'localhost', '10.0.0.5 ']) assert.ok(!isNamed(one), one)
  assert.ok(!addressesOf([])('127.0.0.1'))
  assert.deepEqual(['127.0.0.1', '127.255.0.1', '::1', 'localhost', '::ffff:127.0.0.1'].map(isLoopback), [true, true, true, true, true])
  assert.deepEqual(['0.0.0.0', '::', '10.0.0.1', '128.0.0.1', 'localhost.example', ''].map(isLoopback), [false, false, false, false, false, false])
})
