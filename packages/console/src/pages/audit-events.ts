import type { EventReply } from '@writ/contract/events'
import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { ask } from '../api.ts'
import { listEvents } from '../endpoints.ts'
import type { Listed } from '../queries.ts'

export type Asked = { readonly stream?: EventReply['stream']; readonly task?: string }

/** As many as the server gives at once. */
const PAGE = 1000
const PAGES_AT_ONCE = 5

type Loaded = { readonly rows: readonly EventReply[]; /** Whatever has this number in the order of writing or a lower one has not come yet. */ readonly from: number }

/** The newest events first, and those before them when somebody asks: each page goes back by as many places as the server gives at once. */
export function useEvents(asked: Asked): Listed<EventReply> & { readonly refetch: () => void } {
  const found = useInfiniteQuery({
    queryKey: [listEvents.path, asked, 'newest first'],
    queryFn: async ({ pageParam, signal }): Promise<Loaded> => (pageParam === null ? newest(asked, signal) : before(asked, pageParam, signal)),
    initialPageParam: null as number | null,
    getNextPageParam: ({ from }) => (from > 0 ? from : null),
    placeholderData: keepPreviousData,
  })
  const pages = found.data?.pages
  const rows = useMemo(() => [...new Map(pages?.flatMap((page) => page.rows.map((event) => [event.id, event] as const))).values()], [pages])
  return {
    rows, more: found.hasNextPage, isLoading: found.isPending, error: found.error, fetchedAt: found.dataUpdatedAt,
    fetchMore: () => { void found.fetchNextPage() }, refetch: () => { void found.refetch() },
  }
}

async function newest(asked: Asked, signal: AbortSignal): Promise<Loaded> {
  const { events, next } = await ask(listEvents, { query: { ...asked, limit: PAGE, newest: 'true' } }, signal)
  return { rows: events.toReversed(), from: events.length < PAGE ? 0 : Math.max(0, Number(next) - PAGE) }
}

async function before(asked: Asked, end: number, signal: AbortSignal): Promise<Loaded> {
  const rows: EventReply[] = []
  let from = end
  for (let page = 0; page < PAGES_AT_ONCE && from > 0; page++) {
    from = Math.max(0, from - PAGE)
    const { events } = await ask(listEvents, { query: { ...asked, limit: PAGE, cursor: String(from) } }, signal)
    rows.push(...events.toReversed())
  }
  return { rows, from }
}
