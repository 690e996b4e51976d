import type { LiveEvent, LiveHello } from '@writ/contract/live'
import { useEffect, useSyncExternalStore } from 'react'
import { queries } from './queries.ts'

/** `off`: this server does not tell, so that pages ask again and again. `stale`: nothing was heard for two heartbeats. */
export type LiveState = { readonly kind: 'connecting' | 'live' | 'reconnecting' | 'stale' | 'off'; readonly since: number }

/** Which lists an event makes old, by the beginning of its type and of their paths. */
const MAKES_OLD: readonly (readonly [type: RegExp, paths: readonly string[]])[] = [
  [/^task\./, ['/v1/tasks', '/v1/overview']],
  [/^lease\./, ['/v1/tasks', '/v1/stops']],
  [/^stop\./, ['/v1/stops']],
  [/^(?:identity|credential|binding|admission)\./, ['/v1/identities', '/v1/overview']],
  [/^(?:decision|call)\./, ['/v1/decisions', '/v1/tool-calls', '/v1/overview']],
  [/^(?:tools|mcp_server|policy)\./, ['/v1/mcp-servers', '/v1/policies']],
  [/^(?:finding|incident)\./, ['/v1/findings', '/v1/incidents', '/v1/overview', '/v1/stops']],
  [/^approval\./, ['/v1/approvals']],
  [/^approval_routes\./, ['/v1/approval-routes']],
  [/^(?:person|passkey|sign_in|role)\./, ['/v1/people', '/v1/whoami', '/v1/passkeys', '/v1/sign-ins']],
  [/^role_rule\./, ['/v1/role-rules', '/v1/people', '/v1/whoami']],
  [/^notice_target\./, ['/v1/notice-targets']],
  [/^backend\./, ['/v1/backends']],
  [/^issuer\./, ['/v1/issuers']],
  [/^operator\./, ['/v1/operators']],
]

const ADDRESS = '/v1/live'
const GATHER_MS = 300
const HEARTBEATS_MISSED = 2
const USUAL_HEARTBEAT_MS = 5000
const AGAIN_MS = 15_000

let state: LiveState = { kind: 'connecting', since: Date.now() }
let source: EventSource | undefined
let silence: ReturnType<typeof setTimeout> | undefined
let again: ReturnType<typeof setTimeout> | undefined
let gathering: ReturnType<typeof setTimeout> | undefined
let heartbeatMs = USUAL_HEARTBEAT_MS
const old = new Set<string>()
const watchers = new Set<() => void>()
const listeners = new Set<(event: LiveEvent) => void>()

function become(kind: LiveState['kind']): void {
  if (state.kind === kind) return
  state = { kind, since: Date.now() }
  for (const watcher of watchers) watcher()
}

/** Begins to listen; the browser itself goes on after a cut where it was, by `Last-Event-ID`. */
export function beginLive(): void {
  if (source !== undefined) return
  source = new EventSource(ADDRESS)
  source.addEventListener('hello', (message: MessageEvent<string>) => {
    const hello = JSON.parse(message.data) as LiveHello
    heartbeatMs = hello.heartbeat_ms
    // What happened while nobody listened, nobody told.
    if (!hello.resumed) void queries.invalidateQueries()
    heard()
  })
  source.addEventListener('heartbeat', heard)
  source.addEventListener('approval', () => {
    makeOld(['/v1/approvals'])
    heard()
  })
  source.addEventListener('event', (message: MessageEvent<string>) => {
    const event = JSON.parse(message.data) as LiveEvent
    makeOld(MAKES_OLD.filter(([type]) => type.test(event.type)).flatMap(([, paths]) => paths))
    for (const listener of listeners) listener(event)
    heard()
  })
  source.addEventListener('error', () => {
    if (source?.readyState !== EventSource.CLOSED) return become('reconnecting')
    // Refused, and not cut: the browser does not try again.
    endLive()
    // Most likely the sign-in has ended: whoever asks finds out.
    if (state.kind !== 'off') void queries.invalidateQueries({ queryKey: ['/v1/whoami'] })
    become('off')
    again = setTimeout(beginLive, AGAIN_MS)
  })
}

export function endLive(): void {
  source?.close()
  source = undefined
  clearTimeout(silence)
  clearTimeout(again)
}

function heard(): void {
  become('live')
  clearTimeout(silence)
  silence = setTimeout(() => become('stale'), heartbeatMs * HEARTBEATS_MISSED + GATHER_MS)
}

/** A hundred events in a moment ask for each list once. */
function makeOld(paths: readonly string[]): void {
  for (const path of paths) old.add(path)
  gathering ??= setTimeout(() => {
    const all = [...old]
    old.clear()
    gathering = undefined
    void queries.invalidateQueries({ predicate: ({ queryKey: [path] }) => typeof path === 'string' && all.some((one) => path.startsWith(one)) })
  }, GATHER_MS)
}

const watch = (watcher: () => void): (() => void) => {
  watchers.add(watcher)
  return () => { watchers.delete(watcher) }
}

export const useLiveState = (): LiveState => useSyncExternalStore(watch, () => state)

/** Every event as it comes, for a page that shows them. `listener` has to stay the same between draws. */
export function useLiveEvents(listener: (event: LiveEvent) => void): void {
  useEffect(() => {
    listeners.add(listener)
    return () => { listeners.delete(listener) }
  }, [listener])
}
