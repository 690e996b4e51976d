const LONGEST = 2000

/** Where a browser may be sent after it has signed in: a path of ours, and `/` where somebody asks for anywhere else. */
export function returnPath(asked: string | undefined, origin: string): string {
  if (asked === undefined || asked.length > LONGEST || !asked.startsWith('/') || /[\\\p{Cc}\s]/u.test(asked)) return '/'
  const url = URL.parse(asked, origin)
  if (url === null || url.origin !== origin) return '/'
  const path = `${url.pathname}${url.search}${url.hash}`
  // `/.//elsewhere` has become `//elsewhere` by now, which is another host's name; and the sign-in leads nowhere by itself.
  return path.startsWith('//') || url.pathname === '/sign-in' || url.pathname.startsWith('/sign-in/') || path.length > LONGEST ? '/' : path
}
