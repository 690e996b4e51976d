import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'
import { isIP } from 'node:net'

/** An X.509 certificate with its private key, both in PEM. */
export type Certified = { readonly cert: string; readonly key: string }

export type CertificateOrder = {
  /** DNS names and addresses that it is for. */
  readonly names: readonly string[]
  readonly from?: Date
  readonly to?: Date
}

/** A certification authority of a test's own. */
export type TestAuthority = { readonly cert: string; readonly certify: (order: CertificateOrder) => Certified }

const DAY_MS = 86_400_000
const OID = {
  commonName: '0603550403', ecdsaWithSha256: '06082a8648ce3d040302', subjectAltName: '0603551d11', basicConstraints: '0603551d13',
} as const

export function testAuthority(name = 'a test\'s own authority'): TestAuthority {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const own = { name, key: pair.privateKey }
  const cert = certificate({ subject: name, publicKey: pair.publicKey, isAuthority: true, names: [] }, own)
  return {
    cert,
    certify(order) {
      const leaf = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      return {
        cert: certificate({ subject: order.names[0] ?? 'nobody', publicKey: leaf.publicKey, isAuthority: false, ...order }, own),
        key: leaf.privateKey.export({ format: 'pem', type: 'pkcs8' }),
      }
    },
  }
}

type ToBeSigned = CertificateOrder & { readonly subject: string; readonly publicKey: KeyObject; readonly isAuthority: boolean }

/** RFC 5280 §4.1 in DER. */
function certificate(of: ToBeSigned, by: { readonly name: string; readonly key: KeyObject }): string {
  const algorithm = der(0x30, hex(OID.ecdsaWithSha256))
  const validity = der(0x30, time(of.from ?? new Date(Date.now() - DAY_MS)), time(of.to ?? new Date(Date.now() + DAY_MS)))
  const serial = der(0x02, Buffer.from([1]), randomBytes(8))
  const altNames = der(0x30, ...of.names.map((name) => (isIP(name) === 4 ? der(0x87, Buffer.from(name.split('.').map(Number))) : isIP(name) === 6 ? der(0x87, Buffer.concat([Buffer.alloc(15), Buffer.from([1])])) : der(0x82, Buffer.from(name)))))
  const extensions = [
    extension(OID.basicConstraints, der(0x30, ...(of.isAuthority ? [der(0x01, Buffer.from([0xff]))] : []))),
    ...(of.names.length > 0 ? [extension(OID.subjectAltName, altNames)] : []),
  ]
  const body = der(0x30, der(0xa0, der(0x02, Buffer.from([2]))), serial, algorithm, nameOf(by.name), validity, nameOf(of.subject),
    of.publicKey.export({ format: 'der', type: 'spki' }), der(0xa3, der(0x30, ...extensions)))
  const whole = der(0x30, body, algorithm, der(0x03, Buffer.from([0]), sign('sha256', body, by.key)))
  return `-----BEGIN CERTIFICATE-----\n${whole.toString('base64').match(/.{1,64}/g)!.join('\n')}\n-----END CERTIFICATE-----\n`
}

const hex = (text: string): Buffer => Buffer.from(text, 'hex')
const extension = (oid: string, value: Buffer): Buffer => der(0x30, hex(oid), der(0x04, value))
const nameOf = (text: string): Buffer => der(0x30, der(0x31, der(0x30, hex(OID.commonName), der(0x0c, Buffer.from(text)))))
/** RFC 5280 §4.1.2.5.1: UTCTime until 2049. */
const time = (at: Date): Buffer => der(0x17, Buffer.from(at.toISOString().slice(2).replaceAll(/[-:T]/g, '').replace(/\.\d+Z/, 'Z')))

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  const length = content.length < 0x80 ? [content.length] : content.length < 0x100 ? [0x81, content.length] : [0x82, content.length >> 8, content.length & 255]
  return Buffer.concat([Buffer.from([tag, ...length]), content])
}
