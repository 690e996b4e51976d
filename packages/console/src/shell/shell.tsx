import { Link, Navigate, Outlet, useLocation, useNavigate } from '@tanstack/react-router'
import { useQuery } from '@tanstack/react-query'
import { lazy, Suspense, useEffect, useState } from 'react'
import { isSignedOut } from '../api.ts'
import { beginLive, endLive } from '../live.ts'
import { ProblemNote } from '../ui/problem-note.tsx'
import { askingWho, reach, type Who } from '../who.ts'
import { Crash } from './crash.tsx'
import { bindKeys } from './keys.ts'
import { NAV } from './nav.ts'
import { TopBar } from './top-bar.tsx'
import { countText, useWaiting } from './waiting.ts'

const Palette = lazy(() => import('./palette.tsx').then(({ Palette: of }) => ({ default: of })))

/** What stands around every page: who is there, whether the log holds, and the ways to everywhere. */
export function Shell() {
  const who = useQuery(askingWho)
  const { href } = useLocation()
  // It stands here until the other page has come: then the address is that page's already.
  if (isSignedOut(who.error) && href.startsWith('/sign-in')) return null
  if (isSignedOut(who.error)) return <Navigate to="/sign-in" search={{ to: href }} replace />
  if (who.error !== null && who.data === undefined) return <main className="w-alone"><ProblemNote error={who.error} /></main>
  if (who.data === undefined) return <main className="w-alone" aria-busy="true"><p role="status" className="w-loading">loading…</p></main>
  return <Frame who={who.data} />
}

function Frame({ who }: { readonly who: Who }) {
  const [palette, setPalette] = useState<'search' | 'keys' | null>(null)
  const navigate = useNavigate()
  const { pathname } = useLocation()
  const pages = NAV.filter((page) => reach(who, page.needs) !== 'none')
  useEffect(() => {
    beginLive()
    return endLive
  }, [])
  useEffect(() => bindKeys({
    go: (to) => void navigate({ to }), search: () => setPalette('search'), keys: () => setPalette('keys'),
  }), [navigate])
  const waiting = countText(useWaiting())
  // Whoever listens to the page hears that it is another one; whoever looks elsewhere sees that somebody waits.
  useEffect(() => { document.title = `${waiting === null ? '' : `(${waiting}) `}${titleOf(pathname)} · Writ` }, [pathname, waiting])
  return (
    <div className="w-shell">
      <a className="w-skip" href="#main">To the page</a>
      <TopBar who={who} onSearch={() => setPalette('search')} />
      <nav className="w-nav" aria-label="Pages">
        <ul>
          {pages.map((page) => (
            <li key={page.to}>
              <Link to={page.to} activeOptions={{ exact: page.to === '/' }} activeProps={{ 'aria-current': 'page' }}>{page.name}{page.counts === 'waiting' && waiting !== null && <span className="w-nav-count">{waiting}<span className="w-sr"> wait for you</span></span>}<kbd aria-hidden="true">g {page.key}</kbd></Link>
            </li>
          ))}
        </ul>
        <p className="w-nav-foot"><button type="button" className="w-quiet-button" onClick={() => setPalette('keys')}>keys <kbd>?</kbd></button> <a href="/docs">HTTP</a></p>
      </nav>
      <main id="main" className="w-main" tabIndex={-1}><Crash key={pathname}><Outlet /></Crash></main>
      {palette !== null && <Suspense><Palette shows={palette} pages={pages} onClose={() => setPalette(null)} /></Suspense>}
    </div>
  )
}

const titleOf = (pathname: string): string => {
  const [, folder = '', id] = pathname.split('/')
  const page = NAV.find(({ to }) => to === `/${folder}`)?.name ?? (folder === '' ? 'Home' : folder)
  return id === undefined ? page : `${decodeURIComponent(id).slice(0, 60)} · ${page}`
}
