import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'

/** Whether this address is a proxy's that was named as one. */
export type IsProxy = (address: string) => boolean

/** More proxies than this in a row are nobody's. */
const MOST_HOPS = 20

/**
 * The address that a request came from: for the log, and for how often evidence from there was refused. Only a named proxy's word counts: whoever it says that it had it
 * from, and so on as long as that is a named proxy too. What can't be read, and two headers that differ, leave the connection's own address.
 */
export function clientOf(peer: string, headers: IncomingHttpHeaders, isProxy: IsProxy): string {
  if (!isProxy(peer)) return peer
  const said = [chainOf(headers['x-forwarded-for'], ipOf), chainOf(headers.forwarded, forOf)].filter((chain) => chain !== undefined)
  const clients = new Set(said.map((chain) => firstStranger(chain, isProxy)))
  const [client] = clients
  return clients.size === 1 && client !== undefined ? client : peer
}

/** From the nearest to the farthest; undefined where there is no such header. */
function chainOf(header: string | string[] | undefined, read: (hop: string) => string | undefined): readonly (string | undefined)[] | undefined {
  if (header === undefined) return undefined
  const text = Array.isArray(header) ? header.join(',') : header
  return text.split(',').slice(-MOST_HOPS).map((hop) => read(hop.trim())).toReversed()
}

function firstStranger(chain: readonly (string | undefined)[], isProxy: IsProxy): string | undefined {
  for (const hop of chain) {
    if (hop === undefined) return undefined
    if (!isProxy(hop)) return hop
  }
  return undefined
}

/** `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`. */
function ipOf(text: string): string | undefined {
  const address = /^\[([^\]]+)\](?::\d{1,5})?$/.exec(text)?.[1] ?? /^([\d.]+):\d{1,5}$/.exec(text)?.[1] ?? text
  return isIP(address) === 0 || address.includes('%') ? undefined : address
}

/** RFC 7239 §4: `for=192.0.2.1;proto=https`, `For="[2001:db8::1]:4711"`. A comma or a semicolon in a quoted text makes it unreadable here, and no address holds one. */
function forOf(element: string): string | undefined {
  const pairs = element.split(';').map((pair) => /^\s*for\s*=\s*(?:"([^"\\]*)"|([^"\s]*))\s*$/i.exec(pair)).filter((found) => found !== null)
  const [only] = pairs
  return pairs.length === 1 && only !== undefined ? ipOf(only[1] ?? only[2] ?? '') : undefined
}
