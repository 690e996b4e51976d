import { QueryCache, QueryClient, keepPreviousData, queryOptions, useInfiniteQuery, useMutation, useQuery, type UseMutationResult, type UseQueryResult } from '@tanstack/react-query'
import type { Endpoint } from '@writ/contract/endpoint'
import { ask, isSignedOut, Refused, Unreachable, type AskOf, type At, type ReplyOf } from './api.ts'

/** What a page shows is at most this old while nothing tells that it changed; when live, events tell. */
const FRESH_MS = 5000
const POLL_MS = 5000

const WHO = '/v1/whoami'

export const queries: QueryClient = new QueryClient({
  queryCache: new QueryCache({
    // A sign-in ends while somebody works: whoever asks next finds out, and so does the shell.
    onError: (error, { queryKey: [path] }) => { if (isSignedOut(error) && path !== WHO) void queries.invalidateQueries({ queryKey: [WHO] }) },
  }),
  defaultOptions: {
    queries: {
      staleTime: FRESH_MS,
      retry: (count, error) => count < 2 && (error instanceof Unreachable || (error instanceof Refused && error.problem.retryable)),
      refetchOnWindowFocus: true,
    },
    mutations: { retry: false },
  },
})

/** By its path first, so that an event can name what it makes old. */
export const keyOf = <E extends Endpoint>(to: At<E>, asked: AskOf<E>): readonly [string, AskOf<E>] => [to.path, asked]

export type AskOptions = {
  /** Asked only when this is so. */
  readonly when?: boolean
  /** Asked again and again, for whoever shows what nobody tells of. */
  readonly poll?: boolean
}

export const asking = <E extends Endpoint>(to: At<E>, asked: AskOf<E>) => queryOptions({ queryKey: keyOf(to, asked), queryFn: ({ signal }) => ask(to, asked, signal) })

/** What an endpoint answers, and asks it again when it is old. */
export function useAsk<E extends Endpoint>(to: At<E>, asked: AskOf<E>, { when = true, poll = false }: AskOptions = {}): UseQueryResult<ReplyOf<E>> {
  return useQuery({ ...asking(to, asked), enabled: when, placeholderData: keepPreviousData, ...(poll ? { refetchInterval: POLL_MS } : {}) }) as UseQueryResult<ReplyOf<E>>
}

/** Of a list that comes in pages: as many as the server gives at once. */
const PAGE = 1000
const FIRST_PAGES = 5

export type Listed<Row> = {
  readonly rows: readonly Row[]
  /** There are more than have come. */
  readonly more: boolean
  readonly isLoading: boolean
  readonly error: Error | null
  readonly fetchMore: () => void
  readonly fetchedAt: number
}

type Paged = { readonly next: string | null }

/** A list page after page, up to some thousand rows; more when somebody asks for more. */
export function useAll<E extends Endpoint, Row>(to: At<E>, asked: AskOf<E>, rowsOf: (reply: ReplyOf<E>) => readonly Row[]): Listed<Row> {
  const found = useInfiniteQuery({
    queryKey: [to.path, asked, 'all'],
    queryFn: async ({ pageParam, signal }) => {
      const rows: Row[] = []
      let cursor = pageParam
      for (let page = 0; page < FIRST_PAGES; page++) {
        const query = { ...(asked as { readonly query?: object }).query, limit: PAGE, ...(cursor === null ? {} : { cursor }) }
        const reply = await ask(to, { ...asked, query } as AskOf<E>, signal)
        rows.push(...rowsOf(reply))
        cursor = (reply as Paged).next
        if (cursor === null) break
      }
      return { rows, next: cursor }
    },
    initialPageParam: null as string | null,
    getNextPageParam: (last) => last.next,
    placeholderData: keepPreviousData,
  })
  const rows = found.data?.pages
  return {
    rows: rows === undefined ? NONE : rows.length === 1 ? rows[0]!.rows : joined(rows), more: found.hasNextPage, isLoading: found.isPending, error: found.error,
    fetchMore: () => { void found.fetchNextPage() }, fetchedAt: found.dataUpdatedAt,
  }
}

const NONE: readonly never[] = []
const joins = new WeakMap<readonly unknown[], readonly unknown[]>()

/** The same array for the same pages: a table sorts and filters only what is new to it. */
function joined<Row>(pages: readonly { readonly rows: readonly Row[] }[]): readonly Row[] {
  const known = joins.get(pages) as readonly Row[] | undefined
  if (known !== undefined) return known
  const all = pages.flatMap((page) => page.rows)
  joins.set(pages, all)
  return all
}

/** Does something, once; whatever is shown is asked again afterwards. */
export function useDo<E extends Endpoint>(to: At<E>, done?: (reply: ReplyOf<E>) => void): UseMutationResult<ReplyOf<E>, Error, AskOf<E>> {
  return useMutation({
    mutationFn: (asked: AskOf<E>) => ask(to, asked),
    onSuccess: (reply) => {
      void queries.invalidateQueries()
      done?.(reply)
    },
  })
}

