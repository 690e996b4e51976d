import { createHmac, createPublicKey, generateKeyPairSync, randomBytes, sign, type JsonWebKeyInput } from 'node:crypto'
import { encode, signToken, type Members, type Workload } from './fakes/workload.ts'

/** A good token, taken apart, and all that a forger can have. */
export type Original = {
  readonly token: string
  readonly header: Members
  readonly claims: Members
  /** The public key under which the token verifies, which everybody has. */
  readonly jwk: Members
  /** Signs with the very key of the original, where these tests have it: then nothing but the change itself is wrong. */
  readonly sign: ((header: Members | string, claims: Members | string) => string) | undefined
}

export type Forgery = { readonly what: string; readonly token: string }

const ORDER = 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551'
const ZERO = '0'.repeat(64)
const ONE = `${'0'.repeat(63)}1`
const KIDS = [
  '../../../../etc/passwd', '/dev/null', 'file:///proc/self/environ', "' or '1'='1", "x' union select 'AA==' --", '"; drop table credential; --', '$(id)', '|id', '', '__proto__',
  'http://169.254.169.254/latest/meta-data/', '%00', '\n', '\u202e', 'x'.repeat(2000),
]

/**
 * Everything that R29 and RFC 8725 §2 name, made out of one good token. `lure` is a place that listens: nobody may call it. What has a good
 * signature all the same is marked by `sign`; the rest is signed by a stranger.
 */
export function forgeries(of: Original, stranger: Workload, lure: string): readonly Forgery[] {
  const { header, claims } = of
  const [headerText, payload, signature] = of.token.split('.') as [string, string, string]
  const resign = of.sign ?? ((head: Members | string, body: Members | string) => signToken(stranger, head, body))
  const byStranger = (head: Members, body: Members = claims) => signToken(stranger, head, body)
  const bare = (head: Members | string, text = '') => `${encode(head)}.${payload}.${text}`
  const key = createPublicKey({ key: of.jwk, format: 'jwk' } as JsonWebKeyInput)
  const hmac = (alg: string, secret: string | Uint8Array) => {
    const input = `${encode({ ...header, alg })}.${payload}`
    return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
  }
  const signed = (bytes: string | Uint8Array) => `${headerText}.${payload}.${encode(typeof bytes === 'string' ? Buffer.from(bytes, 'hex') : bytes)}`
  const raw = Buffer.from(signature, 'base64url')
  const curve = (namedCurve: string, alg: string, digest: string) => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve })
    const input = `${encode({ ...header, alg })}.${payload}`
    return `${input}.${encode(sign(digest, Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }))}`
  }
  const own = { ...stranger.registered.jwk }
  const all: readonly (readonly [what: string, token: string])[] = [
    ...['none', 'None', 'NONE', 'nOnE', 'noNe', 'nonE', 'NonE', 'nONE'].flatMap((alg) => [
      [`alg ${alg} without a signature`, bare({ ...header, alg })], [`alg ${alg} with any signature`, bare({ ...header, alg }, encode(randomBytes(64)))],
    ] as const),
    ['HS256 with the public key in PEM', hmac('HS256', key.export({ format: 'pem', type: 'spki' }) as string)],
    ['HS256 with the public key in DER', hmac('HS256', key.export({ format: 'der', type: 'spki' }))],
    ['HS256 with the JWK', hmac('HS256', JSON.stringify(of.jwk))],
    ['HS256 with nothing', hmac('HS256', '')],
    ['ES256 that is an HMAC with the public key', hmac('ES256', key.export({ format: 'pem', type: 'spki' }) as string)],
    ...['es256', 'ES256 ', 'ES384', 'ES512', 'ES256K', 'RS1', 'RS256', 'PS256', 'EdDSA', 'Ed448', 'dir', ''].map((alg) => [`alg ${JSON.stringify(alg)}`, resign({ ...header, alg }, claims)] as const),
    ['no alg', resign({ ...header, alg: undefined }, claims)],
    ['a list of algs', resign({ ...header, alg: ['ES256'] }, claims)],
    ['its own key in jwk', byStranger({ ...header, jwk: own })],
    ['a shared secret in jwk', byStranger({ ...header, jwk: { kty: 'oct', k: 'AAAA' } })],
    ['a key set in jku', byStranger({ ...header, jku: `${lure}/jwks` })],
    ['a file in jku', byStranger({ ...header, jku: 'file:///etc/passwd' })],
    ['a certificate in x5u', byStranger({ ...header, x5u: `${lure}/cert.pem` })],
    ['its own certificate in x5c', byStranger({ ...header, x5c: ['MIIB'] })],
    ['jku and the right signature', resign({ ...header, jku: `${lure}/jwks` }, claims)],
    ['x5u and the right signature', resign({ ...header, x5u: `${lure}/cert.pem` }, claims)],
    ['x5c and the right signature', resign({ ...header, x5c: ['MIIB'] }, claims)],
    ['the signature of a stranger', byStranger(header)],
    ['a place to fetch from as kid', byStranger({ ...header, kid: `${lure}/key` })],
    ...KIDS.map((kid) => [`the kid ${JSON.stringify(kid.slice(0, 50))}`, byStranger({ ...header, kid })] as const),
    ...[7, null, ['a'], { $ne: null }].map((kid) => [`the kid ${JSON.stringify(kid)}`, resign({ ...header, kid }, claims)] as const),
    ['r = s = 0', signed(ZERO + ZERO)], ['r = 0, s = 1', signed(ZERO + ONE)], ['r = 1, s = 0', signed(ONE + ZERO)], ['r = s = 1', signed(ONE + ONE)],
    ['r = s = the order', signed(ORDER + ORDER)], ['64 bytes of ones', signed('ff'.repeat(64))],
    ['the curve P-384', curve('P-384', 'ES384', 'sha384')], ['the curve P-384, called ES256', curve('P-384', 'ES256', 'sha256')], ['the curve secp256k1', curve('secp256k1', 'ES256', 'sha256')],
    ['a signature without its last byte', signed(raw.subarray(0, 63))], ['half of a signature', signed(raw.subarray(0, 32))], ['no signature', `${headerText}.${payload}.`],
    ['two parts', `${headerText}.${payload}`], ['a zero behind the signature', signed(Buffer.concat([raw, Buffer.alloc(1)]))], ['a zero before it', signed(Buffer.concat([Buffer.alloc(1), raw]))],
    ['one = behind', `${of.token}=`], ['two = behind', `${of.token}==`], ['a padded payload', `${headerText}.${payload}=.${signature}`], ['a padded header', `${headerText}=.${payload}.${signature}`],
    ['spare bits in the signature', `${of.token.slice(0, -1)}${nextLetter(of.token.at(-1)!)}`],
    ['the alphabet of base64', `${headerText}.${payload}.${signature.slice(0, -4)}+/+/`],
    ['a byte of the payload changed', `${headerText}.${payload.slice(0, 20)}${payload[20] === 'A' ? 'B' : 'A'}${payload.slice(21)}.${signature}`],
    ['another payload', `${headerText}.${encode({ ...claims, x: 1 })}.${signature}`],
    ['another header', `${encode({ ...header, x: 1 })}.${payload}.${signature}`],
    ['alg twice', resign(JSON.stringify(header).replace('{', '{"alg":"none",'), claims)],
    ['alg twice, once escaped', resign(JSON.stringify(header).replace('{', '{"\\u0061lg":"none",'), claims)],
    ['a claim twice', resign(header, JSON.stringify(claims).replace('{', '{"iat":1,'))],
    ['__proto__ in the header', resign(JSON.stringify(header).replace('{', '{"__proto__":{"typ":"JWT"},'), claims)],
    ['a byte order mark', resign(`\ufeff${JSON.stringify(header)}`, claims)],
    ['crit', resign({ ...header, crit: ['exp'], exp: 1 }, claims)], ['an empty crit', resign({ ...header, crit: [] }, claims)],
    ['b64 false', resign({ ...header, b64: false, crit: ['b64'] }, claims)], ['b64 false without crit', resign({ ...header, b64: false }, claims)],
    ['zip', resign({ ...header, zip: 'DEF' }, claims)],
    ['a nested token', resign({ ...header, cty: 'JWT' }, of.token)], ['a nested token that does not say so', resign(header, of.token)],
    ['an encrypted token', 'eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..AAAA.AAAA.AAAA'],
    ['a bomb', `${encode({ alg: 'PBES2-HS256+A128KW', enc: 'A128GCM', p2c: 2_147_483_647 })}.AAAA.AAAA.AAAA.AAAA`],
    ['a header of a megabyte', resign({ ...header, x: 'x'.repeat(1_048_576) }, claims)], ['a payload of a megabyte', resign(header, { ...claims, x: 'x'.repeat(1_048_576) })],
    ['a header of ten kilobytes', resign({ ...header, x: 'x'.repeat(10_240) }, claims)],
    ['a header 1,000 deep', resign(`{"alg":"ES256","a":${'['.repeat(1000)}${']'.repeat(1000)}}`, claims)],
    ['a payload that is a list', resign(header, '[1]')], ['a payload that is null', resign(header, 'null')],
    ['the JSON form', JSON.stringify({ payload, protected: headerText, signature }).replaceAll(' ', '')],
    ['itself twice', `${of.token},${of.token}`], ['four parts', `${of.token}.${signature}`], ['two dots', '..'], ['one dot', '.'],
  ]
  return all.map(([what, token]) => ({ what, token }))
}

const nextLetter = (letter: string): string => String.fromCharCode(letter.charCodeAt(0) + (letter === 'z' || letter === 'Z' || letter === '9' ? -1 : 1))
