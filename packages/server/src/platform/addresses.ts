import { BlockList, isIP } from 'node:net'

/** What an address is for somebody who is about to be talked into calling it. */
export type Reach = 'public' | 'private' | 'never'

/** Not the internet: addresses of this host, of a private network, or of nobody (the IANA special-purpose registries). */
const PRIVATE_IPV4 = [
  '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '172.16.0.0/12', '192.0.0.0/24', '192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15',
  '198.51.100.0/24', '203.0.113.0/24',
]
/** In IPv6 only this is given out to the internet; a few blocks of it are for other things. */
const GLOBAL_IPV6 = ['2000::/3']
const PRIVATE_IPV6 = ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20']
/** Where clouds keep the credentials of their machines, what is no single host, and what means "this one": no setting opens these. */
const NEVER = [
  '0.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '240.0.0.0/4', '100.100.100.200/32', '168.63.129.16/32', '192.0.0.192/32',
  '::/128', 'fe80::/10', 'fec0::/10', 'ff00::/8', 'fd00:ec2::/32', 'fd20:ce::254/128',
]

const privateIpv4 = listOf(PRIVATE_IPV4)
const globalIpv6 = listOf(GLOBAL_IPV6)
const privateIpv6 = listOf(PRIVATE_IPV6)
const never = listOf(NEVER)

/** What the address is, seen through the forms in which IPv6 carries an IPv4 address. What is no address at all is never reached. */
export function reachOf(address: string): Reach {
  const family = isIP(address)
  if (family === 0) return 'never'
  const canonical = family === 6 ? canonicalIpv6(address) : address
  const inner = family === 6 ? innerIpv4(canonical) : undefined
  if (inner !== undefined) return reachOf(inner)
  if (isIn(never, canonical)) return 'never'
  if (family === 4) return isIn(privateIpv4, canonical) ? 'private' : 'public'
  return isIn(globalIpv6, canonical) && !isIn(privateIpv6, canonical) ? 'public' : 'private'
}

export const blockOf = (address: string, bits: number): BlockList => listOf([`${address}/${bits}`])

/** Whether a block holds the address, or the IPv4 address inside of it. */
export function isInBlock(block: BlockList, address: string): boolean {
  if (isIP(address) === 0) return false
  const canonical = isIP(address) === 6 ? canonicalIpv6(address) : address
  return isIn(block, innerIpv4(canonical) ?? canonical)
}

const isIn = (block: BlockList, address: string): boolean => block.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')

function listOf(blocks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const block of blocks) {
    const [address, bits] = block.split('/') as [string, string]
    list.addSubnet(address, Number(bits), isIP(address) === 6 ? 'ipv6' : 'ipv4')
  }
  return list
}

/** The one spelling of RFC 5952 §4, without the mixed notation of §5; a zone (`%eth0`) is cut, for it changes nothing of what the address is. */
function canonicalIpv6(address: string): string {
  return new URL(`http://[${address.split('%', 1)[0]!}]`).hostname.slice(1, -1)
}

/** The IPv4 address in an IPv4-mapped one (RFC 4291 §2.5.5.2) or one of the well-known NAT64 prefix (RFC 6052 §2.1). */
function innerIpv4(canonical: string): string | undefined {
  const found = /^(?:::ffff|64:ff9b:):(?:([0-9a-f]{1,4}):)?([0-9a-f]{1,4})$/.exec(canonical)
  if (found === null) return undefined
  const [high, low] = [Number.parseInt(found[1] ?? '0', 16), Number.parseInt(found[2]!, 16)]
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}
