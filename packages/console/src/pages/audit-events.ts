import type { EventReply } from '@writ/contract/events'
import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { ask } from '../api.ts'
import { serverNow } from '../clock.ts'
import { listEvents } from '../endpoints.ts'
import type { Listed } from '../queries.ts'

/** `last`: of so many milliseconds before the list came. */
export type Asked = { readonly stream?: EventReply['stream']; readonly task?: string; readonly since?: string; readonly until?: string; readonly last?: number }

export type Events = Listed<EventReply> & {
  /** Nothing before this was asked for; undefined where everything was. */
  readonly since: string | undefined
  readonly refetch: () => void
}

/** As many as the server gives at once. */
const PAGE = 1000
const PAGES_AT_ONCE = 5

type Beyond = { readonly cursor: string; readonly since: string | undefined }
type Loaded = { readonly rows: readonly EventReply[]; readonly since: string | undefined; readonly next: string | null }

/** The newest events first, of whatever span of time, and those before them when somebody asks. */
export function useEvents(asked: Asked): Events {
  const found = useInfiniteQuery({
    queryKey: [listEvents.path, asked, 'newest first'],
    queryFn: ({ pageParam, signal }) => load(asked, pageParam, signal),
    initialPageParam: null as Beyond | null,
    getNextPageParam: ({ next, since }) => (next === null ? null : { cursor: next, since }),
    placeholderData: keepPreviousData,
  })
  const pages = found.data?.pages
  const rows = useMemo(() => [...new Map(pages?.flatMap((page) => page.rows.map((event) => [event.id, event] as const))).values()], [pages])
  return {
    rows, since: pages?.[0]?.since, more: found.hasNextPage, isLoading: found.isPending, error: found.error, fetchedAt: found.dataUpdatedAt,
    fetchMore: () => { void found.fetchNextPage() }, refetch: () => { void found.refetch() },
  }
}

/** Of the last hour is what was so when the list came: further pages begin where the first one did. */
async function load({ last, ...asked }: Asked, beyond: Beyond | null, signal: AbortSignal): Promise<Loaded> {
  const since = beyond === null ? last === undefined ? asked.since : new Date(serverNow() - last).toISOString() : beyond.since
  const rows: EventReply[] = []
  let next = beyond?.cursor ?? null
  for (let page = 0; page < (beyond === null ? 1 : PAGES_AT_ONCE); page++) {
    const query = { ...asked, order: 'newest_first' as const, limit: PAGE, ...(since === undefined ? {} : { since }), ...(next === null ? {} : { cursor: next }) }
    const reply = await ask(listEvents, { query }, signal)
    rows.push(...reply.events)
    next = reply.next
    if (next === null) break
  }
  return { rows, since, next }
}
