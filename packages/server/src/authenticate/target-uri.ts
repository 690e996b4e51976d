/** RFC 3986 §3: scheme, authority and path; what may stand in each is §2 and §3. Query and fragment do not count (RFC 9449 §4.3). */
const HTTP_URI = /^(https?):\/\/([A-Za-z0-9\-._~%!$&'()*+,;=:[\]]+)((?:\/[A-Za-z0-9\-._~%!$&'()*+,;=:@]*)*)(?:\?[^#]*)?(?:#.*)?$/i
const TRIPLET = /%([0-9A-Fa-f]{2})/g
const UNRESERVED = /^[A-Za-z0-9\-._~]$/
const DEFAULT_PORT: Readonly<Record<string, string>> = { http: ':80', https: ':443' }

/**
 * The one spelling of an HTTP URI without query and fragment, by RFC 3986 §6.2.2 (case, percent-encoding, dot segments) and §6.2.3 (default
 * port, empty path); undefined for what is no such URI. A URL parser would be too kind here: it mends what it does not understand, and knows
 * many names for one address.
 */
export function normalTargetUri(uri: string): string | undefined {
  const found = HTTP_URI.exec(uri)
  if (found === null || uri.replaceAll(TRIPLET, '').includes('%')) return undefined
  const scheme = found[1]!.toLowerCase()
  const authority = normalTriplets(found[2]!).toLowerCase()
  const port = DEFAULT_PORT[scheme]!
  const host = authority.endsWith(port) ? authority.slice(0, -port.length) : authority.replace(/:$/, '')
  return `${scheme}://${host}${withoutDotSegments(normalTriplets(found[3]!)) || '/'}`
}

/** RFC 3986 §6.2.2.1, §6.2.2.2: upper-case digits, and no triplet for what needs none. */
function normalTriplets(text: string): string {
  return text.replaceAll(TRIPLET, (triplet, digits: string) => {
    const character = String.fromCharCode(Number.parseInt(digits, 16))
    return UNRESERVED.test(character) ? character : triplet.toUpperCase()
  })
}

/** RFC 3986 §5.2.4, for a path that is empty or begins with a slash. */
function withoutDotSegments(path: string): string {
  const kept: string[] = []
  const segments = path.split('/').slice(1)
  for (const [i, segment] of segments.entries()) {
    if (segment === '..') kept.pop()
    if (segment !== '.' && segment !== '..') kept.push(segment)
    else if (i === segments.length - 1) kept.push('')
  }
  return kept.map((segment) => `/${segment}`).join('')
}
