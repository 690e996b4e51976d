import { Menu, useComputedColorScheme, useMantineColorScheme } from '@mantine/core'
import { Link, useNavigate } from '@tanstack/react-router'
import { useQuery } from '@tanstack/react-query'
import { serverNow } from '../clock.ts'
import { listLogs, signOut } from '../endpoints.ts'
import { useLiveState, type LiveState } from '../live.ts'
import { checkLogs } from '../log-check.ts'
import { queries, useDo } from '../queries.ts'
import { useNow } from '../ui/now.tsx'
import { spanText } from '../ui/spans.ts'
import { ask } from '../api.ts'
import type { Who } from '../who.ts'
import { StopMenu } from './stop-menu.tsx'

const CHECK_EVERY_MS = 15_000

export function TopBar({ who, onSearch }: { readonly who: Who; readonly onSearch: () => void }) {
  return (
    <header className="w-top">
      <Link to="/" className="w-brand" aria-label="Writ, home"><span aria-hidden="true">◆</span> Writ</Link>
      <span className="w-place" title="where this console speaks to">{window.location.host}</span>
      {who.environment !== undefined && <Environment of={who.environment} />}
      <LogState />
      <Live />
      <span className="w-spring" />
      <button type="button" className="w-search" onClick={onSearch}>Search or run… <kbd>Ctrl K</kbd></button>
      <StopMenu />
      <SchemeToggle />
      <Me who={who} />
    </header>
  )
}

const ENVIRONMENTS: Readonly<Record<NonNullable<Who['environment']>, string>> = { production: 'PROD', staging: 'STAGING', development: 'DEV', test: 'TEST' }

/** Where a click counts: by word, colour and pattern. */
function Environment({ of }: { readonly of: NonNullable<Who['environment']> }) {
  return <strong className="w-environment" data-environment={of} title={`this installation is for ${of}`}>{ENVIRONMENTS[of]}</strong>
}

/** The last signed checkpoints, checked in this very browser: red, and in the way, when they do not hold. */
function LogState() {
  const { data: check, error } = useQuery({
    queryKey: ['log check'], refetchInterval: CHECK_EVERY_MS, staleTime: CHECK_EVERY_MS, refetchIntervalInBackground: false,
    queryFn: async ({ signal }) => checkLogs((await ask(listLogs, {}, signal)).logs, serverNow()),
  })
  const now = useNow()
  if (check?.kind === 'failed') return <span role="alert" className="w-state" data-tone="bad" title={check.says}>✖ the log does not verify: {check.says}</span>
  if (check === undefined || check.kind === 'not_evaluated') {
    return <span className="w-state" data-tone="quiet" title={check?.says ?? error?.message ?? 'being asked'}>○ log not evaluated</span>
  }
  return <span className="w-state" data-tone={error === null ? 'good' : 'ask'} title={check.says}>✔ log verified {spanText(Math.max(0, Math.floor((now - check.at) / 1000) * 1000))} ago</span>
}

const LIVE_WORDS: Readonly<Record<LiveState['kind'], readonly [tone: string, word: string, title: string]>> = {
  connecting: ['quiet', '○ connecting', 'not listening yet'],
  live: ['good', '● live', 'what happens is shown as it is recorded'],
  reconnecting: ['ask', '◐ reconnecting', 'the connection was cut; what was missed will be told'],
  stale: ['bad', '✖ stale', 'nothing was heard for two heartbeats'],
  off: ['ask', '◐ not live', 'this server does not tell; the pages ask every few seconds'],
}

function Live() {
  const state = useLiveState()
  const [tone, word, title] = LIVE_WORDS[state.kind]
  const since = state.kind === 'stale' ? ` since ${new Date(state.since).toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' })}` : ''
  return <span className="w-state" data-tone={tone} title={title} role="status">{word}{since}</span>
}

function SchemeToggle() {
  const { setColorScheme } = useMantineColorScheme()
  const scheme = useComputedColorScheme('light')
  const other = scheme === 'light' ? 'dark' : 'light'
  return <button type="button" className="w-icon-button" aria-label={`Show it ${other}`} onClick={() => setColorScheme(other)}><span aria-hidden="true">{scheme === 'light' ? '☾' : '☀'}</span></button>
}

function Me({ who }: { readonly who: Who }) {
  const navigate = useNavigate()
  const leave = useDo(signOut, () => {
    queries.clear()
    void navigate({ to: '/sign-in' })
  })
  const roles = who.kind === 'person' ? (who.roles ?? []).map((role) => role.replace('_', ' ')).join(', ') || 'no role yet' : who.kind
  return (
    <Menu position="bottom-end" withinPortal shadow="md">
      <Menu.Target><button type="button" className="w-icon-button w-me" aria-label={`${initialsOf(who.name)}: ${who.name}`}>{initialsOf(who.name)}</button></Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{who.name}{(who.email ?? null) === null ? '' : ` · ${who.email}`}</Menu.Label>
        <Menu.Label>{roles}</Menu.Label>
        {who.kind === 'person' && <Menu.Item onClick={() => leave.mutate({ body: {} })}>Sign out</Menu.Item>}
      </Menu.Dropdown>
    </Menu>
  )
}

const initialsOf = (name: string): string => name.split(/[\s.@_-]+/).filter((word) => word !== '').slice(0, 2).map((word) => Array.from(word)[0]!.toUpperCase()).join('') || '?'
