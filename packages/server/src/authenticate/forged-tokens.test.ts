import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { authenticatorFor, DEPLOY_BOT, encode, signBytes, signToken, workload } from '../../test/fakes/workload.ts'
import type { AuthenticateRefusal } from './authenticator.ts'

const bot = workload('ES256')
const rsaBot = workload('RS256')
const edBot = workload('Ed25519')
const thief = workload('ES256')
const server = authenticatorFor([bot, rsaBot, edBot])
const honest = server.claims()
const payload = encode(honest)
const thiefJwk = thief.publicKey.export({ format: 'jwk' })

/** A real place that a careless verifier would fetch a key from. */
const lure = createServer((_, response) => response.end(JSON.stringify({ keys: [thiefJwk] })))
const fetched: string[] = []
const seen = (_: unknown, channel: string | symbol): void => {
  fetched.push(String(channel))
}
const CHANNELS = ['net.client.socket', 'undici:request:create', 'http.client.request.start']

before(async () => {
  lure.listen(0, '127.0.0.1')
  await once(lure, 'listening')
  lure.on('connection', () => fetched.push('lure'))
  for (const channel of CHANNELS) subscribe(channel, seen)
})

after(() => {
  for (const channel of CHANNELS) unsubscribe(channel, seen)
  lure.close()
})

const lureUrl = (path: string): string => `http://127.0.0.1:${(lure.address() as AddressInfo).port}/${path}`

const unsigned = (header: object | string, signature = ''): string => `${encode(header)}.${payload}.${signature}`
const hmacOf = (header: object, secret: string | Uint8Array): string => {
  const input = `${encode(header)}.${payload}`
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}
const pem = (one: typeof bot, type: 'spki' | 'pkcs1' = 'spki') => one.publicKey.export({ format: 'pem', type }).toString()
const der = (one: typeof bot) => one.publicKey.export({ format: 'der', type: 'spki' })
const byThief = (header: object | string) => signToken(thief, header, honest)
const withSignature = (alg: string, signature: Uint8Array | string) => unsigned({ alg }, encode(signature))
const good = () => signToken(bot, { alg: 'ES256' }, honest)
const goodSignature = () => Buffer.from(good().split('.')[2]!, 'base64url')
const text = (members: string) => signToken(bot, members, honest)
const p384 = () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  const input = `${encode({ alg: 'ES384' })}.${payload}`
  return `${input}.${encode(sign('sha384', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }))}`
}
/** ECDSA of another curve under the name of ours. */
const secp256k1 = () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
  return signToken({ alg: 'ES256', privateKey }, { alg: 'ES256' }, honest)
}
const ORDER = 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'
const hex = (...parts: readonly string[]) => Buffer.from(parts.join(''), 'hex')
const ZERO = '0'.repeat(64)
const ONE = `${'0'.repeat(63)}1`

type Attack = { readonly what: string; readonly token: () => string; readonly kind: AuthenticateRefusal['kind'] }

const noSignature: readonly Attack[] = ['none', 'None', 'NONE', 'nOnE', 'noNe', 'nonE', 'NonE', 'nONE'].flatMap((alg) => [
  { what: `alg \`${alg}\` without a signature`, token: () => unsigned({ alg }), kind: 'malformed_token' },
  { what: `alg \`${alg}\` with any signature`, token: () => withSignature(alg, randomBytes(64)), kind: 'alg_not_allowed' },
])

const sharedSecrets: readonly Attack[] = [
  { what: 'HS256 with the EC public key in PEM as its secret', token: () => hmacOf({ alg: 'HS256' }, pem(bot)), kind: 'alg_not_allowed' },
  { what: 'HS256 with the EC public key in DER as its secret', token: () => hmacOf({ alg: 'HS256' }, der(bot)), kind: 'alg_not_allowed' },
  { what: 'HS256 with the RSA public key in PEM as its secret', token: () => hmacOf({ alg: 'HS256' }, pem(rsaBot)), kind: 'alg_not_allowed' },
  { what: 'HS256 with the RSA key in PKCS #1 as its secret', token: () => hmacOf({ alg: 'HS256' }, pem(rsaBot, 'pkcs1')), kind: 'alg_not_allowed' },
  { what: 'HS256 with the JWK as its secret', token: () => hmacOf({ alg: 'HS256' }, JSON.stringify(bot.registered.jwk)), kind: 'alg_not_allowed' },
  { what: 'HS256 with an empty secret and /dev/null as `kid`', token: () => hmacOf({ alg: 'HS256', kid: '/dev/null' }, ''), kind: 'alg_not_allowed' },
  { what: 'RS256 that is an HMAC with the public key', token: () => hmacOf({ alg: 'RS256' }, pem(rsaBot)), kind: 'bad_signature' },
  { what: 'ES256 that is an HMAC with the public key', token: () => hmacOf({ alg: 'ES256' }, pem(bot)), kind: 'bad_signature' },
  { what: 'HS512', token: () => hmacOf({ alg: 'HS512' }, pem(bot)), kind: 'alg_not_allowed' },
]

const names: readonly Attack[] = [
  ...['es256', 'ES256 ', 'ES256\u0000', 'ES256K', 'ES384', 'ES512', 'RS1', 'RS384', 'PS512', 'Ed448', 'eddsa', '', 'dir', 'RSA-OAEP', 'A128KW']
    .map((alg): Attack => ({
      what: `alg ${JSON.stringify(alg)}`,
      token: () => signToken(bot, { alg }, honest),
      kind: alg.includes('\u0000') ? 'malformed_token' : 'alg_not_allowed',
    })),
  ...[null, 7, true, ['ES256'], { alg: 'ES256' }, undefined].map((alg): Attack => ({
    what: `alg ${JSON.stringify(alg)}`,
    token: () => signToken(bot, { alg, typ: 'JWT' }, honest),
    kind: 'alg_not_allowed',
  })),
]

const broughtKeys: readonly Attack[] = [
  { what: 'its own key in `jwk`', token: () => byThief({ alg: 'ES256', jwk: thiefJwk }), kind: 'header_not_allowed' },
  { what: 'the right key in `jwk`', token: () => signToken(bot, { alg: 'ES256', jwk: bot.registered.jwk }, honest), kind: 'header_not_allowed' },
  { what: 'a shared secret in `jwk`', token: () => byThief({ alg: 'ES256', jwk: { kty: 'oct', k: 'AAAA' } }), kind: 'header_not_allowed' },
  { what: 'a key set to fetch in `jku`', token: () => byThief({ alg: 'ES256', jku: lureUrl('jwks') }), kind: 'header_not_allowed' },
  { what: 'a file in `jku`', token: () => byThief({ alg: 'ES256', jku: 'file:///etc/passwd' }), kind: 'header_not_allowed' },
  { what: 'a certificate to fetch in `x5u`', token: () => byThief({ alg: 'ES256', x5u: lureUrl('cert.pem') }), kind: 'header_not_allowed' },
  { what: 'its own certificate in `x5c`', token: () => byThief({ alg: 'ES256', x5c: ['MIIB'] }), kind: 'header_not_allowed' },
  { what: 'the key of another', token: () => byThief({ alg: 'ES256' }), kind: 'bad_signature' },
  { what: 'its own key as `kid`', token: () => byThief({ alg: 'ES256', kid: thief.registered.thumbprint }), kind: 'unknown_key' },
  { what: 'the thumbprint of the right key', token: () => byThief({ alg: 'ES256', kid: bot.registered.thumbprint }), kind: 'bad_signature' },
]

const kids: readonly Attack[] = [
  '../../../../etc/passwd', '/dev/null', 'file:///proc/self/environ', "' or '1'='1", "x' union select 'AA==' --", '"; drop table credential; --',
  '$(id)', '|id', '', 'http://169.254.169.254/latest/meta-data/', '__proto__', 'constructor', '%00', '\n', '\u202e',
].map((kid) => ({ what: `the \`kid\` ${JSON.stringify(kid)}`, token: () => signToken(bot, { alg: 'ES256', kid }, honest), kind: 'unknown_key' }))

const kidKinds: readonly Attack[] = [7, null, ['a'], { $ne: null }].map((kid) => ({
  what: `the \`kid\` ${JSON.stringify(kid)}`,
  token: () => signToken(bot, { alg: 'ES256', kid }, honest),
  kind: 'header_not_allowed',
}))

const signatures: readonly Attack[] = [
  { what: 'r = s = 0', token: () => withSignature('ES256', hex(ZERO, ZERO)), kind: 'bad_signature' },
  { what: 'r = 0, s = 1', token: () => withSignature('ES256', hex(ZERO, ONE)), kind: 'bad_signature' },
  { what: 'r = 1, s = 0', token: () => withSignature('ES256', hex(ONE, ZERO)), kind: 'bad_signature' },
  { what: 'r = s = 1', token: () => withSignature('ES256', hex(ONE, ONE)), kind: 'bad_signature' },
  { what: 'r = s = the order of the curve', token: () => withSignature('ES256', hex(ORDER, ORDER)), kind: 'bad_signature' },
  { what: 'r = the order, s = 1', token: () => withSignature('ES256', hex(ORDER, ONE)), kind: 'bad_signature' },
  { what: '64 bytes of ones', token: () => withSignature('ES256', Buffer.alloc(64, 255)), kind: 'bad_signature' },
  { what: 'an EdDSA signature of zeros', token: () => withSignature('EdDSA', Buffer.alloc(64)), kind: 'bad_signature' },
  { what: 'an EdDSA signature of R = 1, S = 0', token: () => withSignature('EdDSA', hex('01', '00'.repeat(63))), kind: 'bad_signature' },
  { what: 'an RSA signature of zeros', token: () => withSignature('RS256', Buffer.alloc(256)), kind: 'bad_signature' },
  { what: 'an RSA signature of one', token: () => withSignature('RS256', hex('00'.repeat(255), '01')), kind: 'bad_signature' },
  {
    what: 'PS256 under an RS256 key',
    token: () => signToken({ alg: 'PS256', privateKey: rsaBot.privateKey }, { alg: 'PS256' }, honest),
    kind: 'unknown_key',
  },
  {
    what: 'an RSASSA-PSS signature called RS256',
    token: () => withSignature('RS256', signBytes({ alg: 'PS256', privateKey: rsaBot.privateKey }, `${encode({ alg: 'RS256' })}.${payload}`)),
    kind: 'bad_signature',
  },
  {
    what: 'a DER signature',
    token: () => withSignature('ES256', sign('sha256', Buffer.from(`${encode({ alg: 'ES256' })}.${payload}`), bot.privateKey)),
    kind: 'bad_signature',
  },
  { what: 'the curve P-384', token: p384, kind: 'alg_not_allowed' },
  { what: 'the curve secp256k1', token: secp256k1, kind: 'bad_signature' },
  { what: 'a signature without its last byte', token: () => withSignature('ES256', goodSignature().subarray(0, 63)), kind: 'bad_signature' },
  { what: 'half of a signature', token: () => withSignature('ES256', goodSignature().subarray(0, 32)), kind: 'bad_signature' },
  { what: 'one byte of a signature', token: () => withSignature('ES256', goodSignature().subarray(0, 1)), kind: 'bad_signature' },
  {
    what: 'a signature with a zero behind it',
    token: () => withSignature('ES256', hex(goodSignature().toString('hex'), '00')),
    kind: 'bad_signature',
  },
  {
    what: 'a signature with a zero before it',
    token: () => withSignature('ES256', hex('00', goodSignature().toString('hex'))),
    kind: 'bad_signature',
  },
  { what: 'a signature padded with `=`', token: () => `${good()}==`, kind: 'malformed_token' },
  {
    what: 'the signature of another payload',
    token: () => `${encode({ alg: 'ES256' })}.${encode({ ...honest, x: 1 })}.${good().split('.')[2]}`,
    kind: 'bad_signature',
  },
  { what: 'no signature', token: () => unsigned({ alg: 'ES256' }), kind: 'malformed_token' },
]

const readings: readonly Attack[] = [
  { what: '`alg` twice', token: () => text('{"alg":"none","alg":"ES256"}'), kind: 'malformed_token' },
  { what: '`alg` twice with one value', token: () => text('{"alg":"ES256","alg":"ES256"}'), kind: 'malformed_token' },
  { what: '`alg` twice, once escaped', token: () => text('{"alg":"ES256","\\u0061lg":"ES256"}'), kind: 'malformed_token' },
  { what: '`__proto__` in the header', token: () => text('{"alg":"ES256","__proto__":{"typ":"JWT"}}'), kind: 'malformed_token' },
  { what: '`crit`', token: () => text('{"alg":"ES256","crit":["exp"],"exp":1}'), kind: 'header_not_allowed' },
  { what: 'an empty `crit`', token: () => text('{"alg":"ES256","crit":[]}'), kind: 'header_not_allowed' },
  { what: '`b64` false', token: () => text('{"alg":"ES256","b64":false,"crit":["b64"]}'), kind: 'header_not_allowed' },
  { what: '`b64` false without `crit`', token: () => text('{"alg":"ES256","b64":false}'), kind: 'header_not_allowed' },
  { what: '`zip`', token: () => text('{"alg":"ES256","zip":"DEF"}'), kind: 'header_not_allowed' },
  { what: 'a nested token', token: () => signToken(bot, { alg: 'ES256', cty: 'JWT' }, good()), kind: 'header_not_allowed' },
  { what: 'a nested token that does not say so', token: () => signToken(bot, { alg: 'ES256' }, good()), kind: 'malformed_token' },
  { what: 'a byte order mark', token: () => text('\ufeff{"alg":"ES256"}'), kind: 'malformed_token' },
  { what: 'a header that is no JSON', token: () => text('alg=ES256'), kind: 'malformed_token' },
  { what: 'a header that is a list', token: () => text('["ES256"]'), kind: 'malformed_token' },
  { what: 'a header that is null', token: () => text('null'), kind: 'malformed_token' },
  { what: 'a header that is not UTF-8', token: () => unsigned('', 'AAAA').replace(/^/, encode(hex('7b22616c67ff227d'))), kind: 'malformed_token' },
  { what: 'a header 1,000 deep', token: () => text(`{"alg":"ES256","a":${'['.repeat(1_000)}${']'.repeat(1_000)}}`), kind: 'malformed_token' },
  { what: 'a header of a megabyte', token: () => text(`{"alg":"ES256","a":"${'x'.repeat(1_048_576)}"}`), kind: 'token_too_long' },
  { what: 'a payload of a megabyte', token: () => signToken(bot, { alg: 'ES256' }, { ...honest, a: 'x'.repeat(1_048_576) }), kind: 'token_too_long' },
  {
    what: 'a payload with the subject twice',
    token: () => signToken(bot, { alg: 'ES256' }, JSON.stringify(honest).replace('{', `{"sub":"${DEPLOY_BOT}",`)),
    kind: 'malformed_token',
  },
  { what: 'a payload that is a list', token: () => signToken(bot, { alg: 'ES256' }, [honest]), kind: 'malformed_token' },
  { what: 'an encrypted token', token: () => 'eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAA.AAAA.AAAA', kind: 'malformed_token' },
  {
    what: 'a bomb of an encrypted token',
    token: () => `${encode({ alg: 'PBES2-HS256+A128KW', enc: 'A128GCM', p2c: 2_147_483_647 })}.AAAA.AAAA.AAAA.AAAA`,
    kind: 'malformed_token',
  },
  {
    what: 'a token in the JSON form',
    token: () => JSON.stringify({ payload, protected: encode({ alg: 'ES256' }), signature: 'AAAA' }),
    kind: 'malformed_token',
  },
  { what: 'nothing', token: () => '', kind: 'malformed_token' },
  { what: 'two dots', token: () => '..', kind: 'malformed_token' },
  { what: 'a thousand dots', token: () => '.'.repeat(1_000), kind: 'malformed_token' },
  { what: 'a scheme before it', token: () => `Bearer ${good()}`, kind: 'malformed_token' },
]

const attacks = [...noSignature, ...sharedSecrets, ...names, ...broughtKeys, ...kids, ...kidKinds, ...signatures, ...readings]

for (const { what, token, kind } of attacks) {
  test(`a forged assertion with ${what} is refused`, async () => {
    const answer = await server.authenticator.authenticate(token())
    assert.equal(answer.ok ? 'accepted' : answer.refusal.kind, kind)
    assert.equal(JSON.stringify(answer).includes(payload), false)
    assert.equal(server.used.size, 0)
  })
}

test('after more than a hundred forgeries nothing was fetched, and the honest assertion is still good for its one use', async () => {
  assert.ok(attacks.length > 100, `${attacks.length} forgeries`)
  assert.equal(fetched.length, 0, fetched.join())
  assert.ok((await server.authenticator.authenticate(good())).ok)
  await (await fetch(lureUrl('jwks'))).text()
  assert.ok(fetched.includes('lure') && fetched.includes('net.client.socket'), 'a fetch would have been seen')
})
