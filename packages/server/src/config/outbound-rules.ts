import { isIP } from 'node:net'

/** An exception to "the internet alone": a block of addresses, or one host and port. */
export type OutboundRule =
  | { readonly kind: 'block'; readonly address: string; readonly bits: number }
  | { readonly kind: 'host'; readonly host: string }

/** A block as wide as this means everything, and is a typing mistake. */
const FEWEST_BITS = { 4: 8, 6: 7 } as const

/** `10.20.0.0/16, issuer.corp.example:8443, 127.0.0.1:8080`; undefined with a part that is neither a block nor a host with its port. */
export function parseOutboundRules(text: string): readonly OutboundRule[] | undefined {
  const rules: OutboundRule[] = []
  for (const part of text.split(',').map((one) => one.trim()).filter((one) => one !== '')) {
    const rule = blockOf(part) ?? hostOf(part)
    if (rule === undefined) return undefined
    rules.push(rule)
  }
  return rules
}

function blockOf(part: string): OutboundRule | undefined {
  const [address = '', bits, ...more] = part.split('/')
  const family = isIP(address)
  if ((family !== 4 && family !== 6) || more.length > 0 || (bits !== undefined && !/^\d{1,3}$/.test(bits))) return undefined
  const length = bits === undefined ? (family === 4 ? 32 : 128) : Number(bits)
  return length < FEWEST_BITS[family] || length > (family === 4 ? 32 : 128) ? undefined : { kind: 'block', address, bits: length }
}

/** The host as a URL spells it, so that `Issuer.Corp.Example:8443` is found again. */
function hostOf(part: string): OutboundRule | undefined {
  const [, port] = /^[^/?#@\\\s]+:(\d{1,5})$/.exec(part) ?? []
  const url = port === undefined ? null : URL.parse(`https://${part}/`)
  return url === null || Number(port) < 1 ? undefined : { kind: 'host', host: `${url.hostname}:${Number(port)}` }
}
