import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { connect as connectPlain } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { eventually } from '../eventually.ts'
import { testAuthority, type Certified } from '../fakes/x509.ts'
import { rawRequest } from '../raw-request.ts'
import { refusedStart } from '../refused-start.ts'
import { started, type Started } from '../started.ts'

const ISSUER = 'https://writ.acme.example'
const authority = testAuthority()
const folder = mkdtempSync(join(tmpdir(), 'writ-entrance-'))
after(() => { rmSync(folder, { recursive: true, force: true }) })

let count = 0
const dataIn = (): string => join(folder, `${++count}`, 'data')

/** Puts certificate and key where a server looks, one after the other as most tools do. */
function put(name: string, { cert, key }: Certified): { readonly WRIT_TLS_CERT: string; readonly WRIT_TLS_KEY: string } {
  const files = { WRIT_TLS_CERT: join(folder, `${name}.crt`), WRIT_TLS_KEY: join(folder, `${name}.key`) }
  for (const [file, text] of [[files.WRIT_TLS_CERT, cert], [files.WRIT_TLS_KEY, key]] as const) {
    writeFileSync(`${file}.new`, text, { mode: 0o600 })
    renameSync(`${file}.new`, file)
  }
  return files
}

const certified = (more: { readonly from?: Date; readonly to?: Date } = {}): Certified => authority.certify({ names: ['writ.acme.example', '127.0.0.1'], ...more })

/** Shakes hands and hangs up; answers what the server showed. */
function shake(at: string, more: ConnectionOptions = {}): Promise<{ readonly serial: string; readonly protocol: string | null }> {
  const { hostname, port } = new URL(at)
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect({ host: hostname, port: Number(port), servername: 'writ.acme.example', ca: authority.cert, ...more }, () => {
      resolve({ serial: socket.getPeerCertificate().serialNumber, protocol: socket.getProtocol() })
      socket.destroy()
    })
    socket.on('error', reject)
  })
}

/** What comes back for these bytes, until the other end closes; '' when it closes without a word. */
function sendBytes(at: string, bytes: string, from?: string): Promise<string> {
  const { hostname, port } = new URL(at)
  return new Promise((resolve) => {
    let got = ''
    const socket = connectPlain({ host: hostname, port: Number(port), ...(from === undefined ? {} : { localAddress: from }) }, () => { socket.write(bytes) })
    socket.on('data', (chunk) => { got += chunk.toString() })
    socket.on('error', () => {})
    socket.on('close', () => { resolve(got) })
  })
}

const ASK = 'GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n'

describe('a server with a certificate', () => {
  let server: Started
  const agent = new Agent({ keepAlive: true, ca: authority.cert, servername: 'writ.acme.example' })
  const get = (path: string): Promise<{ status: number; headers: NodeJS.Dict<string | string[]> }> => new Promise((resolve, reject) => {
    request(`${server.listensAt}${path}`, { agent }, (answer) => {
      answer.resume()
      answer.on('end', () => { resolve({ status: answer.statusCode!, headers: answer.headers }) })
    }).on('error', reject).end()
  })
  before(async () => {
    server = await started({ WRIT_DATA: dataIn(), WRIT_HOST: '0.0.0.0', WRIT_ISSUER: ISSUER, ...put('server', certified()) })
  })
  after(async () => {
    agent.destroy()
    await server.stop()
  })

  test('may listen on every address, speaks TLS 1.2 and 1.3 and nothing older, and says so to browsers', async () => {
    assert.deepEqual([server.url, new URL(server.listensAt).hostname], [ISSUER, '0.0.0.0'])
    assert.match(server.out(), /address {2}https:\/\/writ\.acme\.example\n {2}listens {2}https:\/\/0\.0\.0\.0:\d+/)
    const { status, headers } = await get('/healthz')
    assert.deepEqual([status, headers['strict-transport-security']], [200, 'max-age=31536000'])
    assert.equal((await shake(server.listensAt)).protocol, 'TLSv1.3')
    assert.equal((await shake(server.listensAt, { maxVersion: 'TLSv1.2' })).protocol, 'TLSv1.2')
    await assert.rejects(shake(server.listensAt, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }), /alert|protocol/i)
  })

  test('answers nothing to who speaks plain HTTP, or garbage', async () => {
    for (const bytes of [`${ASK}\r\n`, '\x16\x03\x01garbage', '\0'.repeat(1000)]) {
      assert.doesNotMatch(await sendBytes(server.listensAt, bytes), /HTTP|writ/i)
    }
    assert.equal((await get('/healthz')).status, 200)
  })

  test('shows a renewed certificate within seconds, ends nobody\'s connection for it, and stays with the old one while the new one is half there or worthless', async () => {
    const before = await shake(server.listensAt)
    const ports = new Set<unknown>()
    agent.on('free', (socket: TLSSocket) => { ports.add(socket.localPort) })
    await get('/healthz')
    put('server', { ...certified(), key: certified().key })
    await eventually('it says why not', () => server.log().includes('is not the key of the certificate'))
    assert.equal((await shake(server.listensAt)).serial, before.serial)
    put('server', certified({ to: new Date(Date.now() - 1000), from: new Date(Date.now() - 2000) }))
    await eventually('it says why not', () => server.log().includes('has ended on'))
    assert.equal((await shake(server.listensAt)).serial, before.serial)
    put('server', certified())
    await eventually('the new one', async () => (await shake(server.listensAt)).serial !== before.serial)
    await get('/healthz')
    assert.equal(ports.size, 1)
  })
})

describe('a server behind a named proxy', () => {
  let server: Started
  before(async () => {
    server = await started({ WRIT_DATA: dataIn(), WRIT_HOST: '0.0.0.0', WRIT_ISSUER: ISSUER, WRIT_TRUSTED_PROXY: '127.0.0.9, 127.0.3.0/24', WRIT_REFUSED_PER_MINUTE: '20' })
  })
  after(() => server.stop())
  const local = (): string => server.listensAt.replace('0.0.0.0', '127.0.0.1')
  const linesOf = (client: string): readonly string[] => server.log().split('\n').filter((line) => line.includes(`"client":"${client}"`))

  test('answers the proxy, and hangs up on everybody else without a word, whatever they say that they are', async () => {
    for (const from of ['127.0.0.9', '127.0.3.77']) assert.match(await sendBytes(local(), `${ASK}\r\n`, from), /^HTTP\/1\.1 200 /)
    const others = ['127.0.0.1', '127.0.4.1', ...Object.values(networkInterfaces()).flat().filter((one) => one?.family === 'IPv4' && !one.internal).map((one) => one!.address)]
    for (const from of others) {
      for (const header of ['', 'x-forwarded-for: 127.0.0.9\r\n', 'forwarded: for=127.0.0.9\r\n', 'x-real-ip: 127.0.0.9\r\n', 'true-client-ip: 127.0.0.9\r\n']) {
        const at = from.startsWith('127.') ? local() : server.listensAt.replace('0.0.0.0', from)
        assert.equal(await sendBytes(at, `${ASK}${header}\r\n`, from), '', `${from} ${header}`)
      }
    }
    assert.match(server.log(), /"level":"warn".*WRIT_TRUSTED_PROXY/)
    assert.equal(server.log().split('are refused').length, 2, 'told of once, not for each')
  })

  test('believes the proxy who asks, and nothing else of what it says', async () => {
    await sendBytes(local(), `${ASK}x-forwarded-for: 6.6.6.6, 192.0.2.1\r\n\r\n`, '127.0.0.9')
    await eventually('the log', () => linesOf('192.0.2.1').length === 1)
    assert.deepEqual(linesOf('6.6.6.6'), [])
    // The issuer, what a proof is about and where links lead are configured: no header moves them.
    for (const header of ['x-forwarded-host: evil.example', 'x-forwarded-proto: http', 'forwarded: host=evil.example;proto=http', 'host: evil.example']) {
      const answer = await sendBytes(local(), `GET /.well-known/oauth-authorization-server HTTP/1.1\r\n${header.startsWith('host') ? '' : 'host: x\r\n'}${header}\r\nconnection: close\r\n\r\n`, '127.0.0.9')
      assert.ok(answer.includes(`"issuer":"${ISSUER}"`) && !answer.includes('evil'), answer)
    }
  })

  test('counts refused evidence for whom the proxy says that it is from', async () => {
    const knock = (client: string): Promise<string> => sendBytes(local(), `GET /v1/whoami HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer garbage\r\nx-forwarded-for: ${client}\r\n\r\n`, '127.0.0.9')
    const bodyIn = (answer: string): { readonly trace_id: string } => JSON.parse(answer.split('\r\n\r\n')[1]!) as { readonly trace_id: string }
    const whyOf = async (client: string): Promise<string | undefined> => {
      const { trace_id: traceId } = bodyIn(await knock(client))
      return server.log().split('\n').map((line) => (line.includes(traceId) ? /"refusal":\{"kind":"(\w+)"/.exec(line)?.[1] : undefined)).find((kind) => kind !== undefined)
    }
    for (let i = 0; i < 20; i++) assert.match(await knock('192.0.2.50'), /^HTTP\/1\.1 401 /)
    assert.deepEqual([await whyOf('192.0.2.50'), await whyOf('192.0.2.51')], ['refused_too_often', 'malformed_token'])
  })

  test('tells browsers to come by TLS', async () => {
    assert.match(await sendBytes(local(), `${ASK}\r\n`, '127.0.0.9'), /strict-transport-security: max-age=31536000/)
  })
})

describe('a server on the loopback interface', () => {
  let server: Started
  before(async () => { server = await started({ WRIT_DATA: dataIn() }) })
  after(() => server.stop())

  test('ignores who a request says that it is from, at every door that a credential opens', async () => {
    const spoofed = [['x-forwarded-for', '192.0.2.66'], ['forwarded', 'for=192.0.2.66'], ['x-real-ip', '192.0.2.66'], ['x-forwarded-proto', 'https'], ['x-forwarded-host', 'evil.example']] as const
    const without = (text: string): string => text.replaceAll(/"trace_id":"[^"]*"/g, '')
    for (const [method, path, body] of [['POST', '/v1/bootstrap', '{"code":"x","operator":"me"}'], ['GET', '/v1/whoami', undefined], ['POST', '/v1/tasks', '{}']] as const) {
      const ask = { method, path, ...(body === undefined ? {} : { body }) }
      const json = body === undefined ? [] : [['content-type', 'application/json'] as const]
      const [plain, told] = [await rawRequest(server.url, { ...ask, headers: json }), await rawRequest(server.url, { ...ask, headers: [...json, ...spoofed] })]
      assert.deepEqual([told.status, without(told.text)], [plain.status, without(plain.text)])
      assert.equal(told.header('strict-transport-security'), undefined)
    }
    assert.ok(!server.log().includes('192.0.2.66') && !server.log().includes('evil.example'))
  })

  test('answers what is no HTTP, or too much of it, as a problem, and goes on', async () => {
    for (const [bytes, status, code] of [
      ['nonsense\r\n\r\n', 400, 'not_http'], [`GET / HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`, 413, 'too_large'], ['GET / HTTP/1.1\r\nhost: x\r\nbad\x00name: x\r\n\r\n', 400, 'not_http'],
      ['POST /v1/tasks HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n', 400, 'not_http'], ['GET / HTTP/1.1\r\nhost: x\r\nx: a\r\n b\rc\r\n\r\n', 400, 'not_http'],
    ] as const) {
      const answer = await sendBytes(server.url, bytes)
      const problem = JSON.parse(answer.split('\r\n\r\n')[1]!) as { status: number; code: string; trace_id: string }
      assert.deepEqual([answer.split(' ')[1], problem.status, problem.code], [String(status), status, code], answer)
      assert.match(answer, new RegExp(`x-request-id: ${problem.trace_id}\r\n`))
    }
    assert.equal((await rawRequest(server.url, { path: '/healthz' })).status, 200)
  })
})

describe('a certificate that can not be used ends the server with 78 and names the setting', () => {
  const good = put('good', certified())
  const pem = (name: string, text: string, mode = 0o600): string => {
    const file = join(folder, name)
    writeFileSync(file, text)
    chmodSync(file, mode)
    return file
  }
  const ended = put('ended', certified({ from: new Date('2020-01-01'), to: new Date('2020-02-01') }))
  const other = put('other', certified())
  for (const { what, env, says } of [
    { what: 'the certificate is not there', env: { ...good, WRIT_TLS_CERT: join(folder, 'nowhere') }, says: /WRIT_TLS_CERT `.*nowhere` can not be read \(ENOENT\)/ },
    { what: 'the key is not there', env: { ...good, WRIT_TLS_KEY: join(folder, 'nowhere') }, says: /WRIT_TLS_KEY `.*nowhere` can not be read \(ENOENT\)/ },
    { what: 'the certificate is a folder', env: { ...good, WRIT_TLS_CERT: folder }, says: /WRIT_TLS_CERT .*EISDIR/ },
    { what: 'the certificate is none', env: { ...good, WRIT_TLS_CERT: pem('none.crt', 'hunter2') }, says: /WRIT_TLS_CERT .*does not hold a certificate in PEM/ },
    { what: 'the key is none', env: { ...good, WRIT_TLS_KEY: pem('none.key', 'hunter2') }, says: /WRIT_TLS_KEY .*does not hold a private key in PEM/ },
    { what: 'the key is another one\'s', env: { ...good, WRIT_TLS_KEY: other.WRIT_TLS_KEY }, says: /WRIT_TLS_KEY .*is not the key of the certificate/ },
    { what: 'the certificate has ended', env: ended, says: /WRIT_TLS_CERT .*has ended on 2020-02-01/ },
    { what: 'others can read the key', env: { ...good, WRIT_TLS_KEY: pem('open.key', 'x', 0o644) }, says: /WRIT_TLS_KEY .*open to other users \(mode 644\): run `chmod 600/ },
  ]) {
    test(`when ${what}`, async () => {
      const data = dataIn()
      const got = await refusedStart({ WRIT_DATA: data, ...env })
      assert.equal(got.code, 78, got.said)
      assert.match(got.said, says)
      assert.doesNotMatch(got.said, /hunter2/)
      assert.deepEqual([existsSync(data), existsSync(`${data}-keys`)], [false, false])
    })
  }
})
