import { ok, refuse, type Outcome } from './outcome.ts'

/**
 * One thing that may be done: an action on a resource, within limits. RFC 9396 §2: on the wire `type` is the
 * authorization details type, `locations` holds the resource and `actions` the action.
 */
export type Permit = {
  readonly type: string
  readonly resource: string
  readonly action: string
  /** Each limit is an upper bound; a limit that is absent does not bound. */
  readonly limits: Readonly<Record<string, number>>
}

/** A finite set of permits in normal form: sorted, none covered by another. */
export type Authority = readonly Permit[]

/** RFC 9396 §2.2 `authorization_details` element, with the members that Writ reads. */
export type AuthorizationDetail = {
  readonly type: string
  readonly locations: readonly string[]
  readonly actions: readonly string[]
  readonly limits?: Readonly<Record<string, number>> | undefined
}

export type AuthorityRefusal =
  | { readonly kind: 'malformed_grant'; readonly text: string }
  | { readonly kind: 'bad_limit'; readonly limit: string }
  | { readonly kind: 'too_many_permits'; readonly count: number; readonly most: number }

/** More permits than this in one authority is a mistake or an attack: `covers` is quadratic. */
export const MOST_PERMITS = 100

const WORD = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/
/** An action may be one of several under a heading: `resources/read`. */
const ACTION = /^[A-Za-z0-9][A-Za-z0-9_./-]{0,127}$/
const LIMIT_PAIR = /^([A-Za-z0-9][A-Za-z0-9_.-]{0,127})=(\d{1,15})$/

function permitCovers(above: Permit, below: Permit): boolean {
  if (above.type !== below.type || above.resource !== below.resource || above.action !== below.action) return false
  return Object.entries(above.limits).every(([limit, most]) => {
    const asked = below.limits[limit]
    return asked !== undefined && asked <= most
  })
}

/** Whether everything that `below` allows, `above` allows too. A partial order on authorities (law 2). */
export function covers(above: Authority, below: Authority): boolean {
  return below.every((permit) => above.some((one) => permitCovers(one, permit)))
}

/** The normal form: sorted by the text of the permit, without repeats and without what another permit covers. */
export function toAuthority(permits: readonly Permit[]): Authority {
  const sorted = permits
    .map((permit) => ({ ...permit, limits: Object.fromEntries(Object.entries(permit.limits).toSorted(byFirst)) }))
    .toSorted((a, b) => compare(textOf(a), textOf(b)))
    .filter((permit, i, all) => i === 0 || textOf(permit) !== textOf(all[i - 1]!))
  return sorted.filter((permit) => !sorted.some((other) => other !== permit && permitCovers(other, permit)))
}

export function fromAuthorizationDetails(details: readonly AuthorizationDetail[]): Outcome<Authority, AuthorityRefusal> {
  const permits: Permit[] = []
  for (const detail of details) {
    for (const resource of detail.locations) {
      for (const action of detail.actions) {
        if (!WORD.test(detail.type) || !WORD.test(resource) || !ACTION.test(action)) {
          return refuse({ kind: 'malformed_grant', text: `${detail.type}:${resource}:${action}` })
        }
        permits.push({ type: detail.type, resource, action, limits: detail.limits ?? {} })
        if (permits.length > MOST_PERMITS) return refuse({ kind: 'too_many_permits', count: permits.length, most: MOST_PERMITS })
      }
    }
    for (const [limit, most] of Object.entries(detail.limits ?? {})) {
      if (!WORD.test(limit) || !Number.isSafeInteger(most) || most < 0) return refuse({ kind: 'bad_limit', limit })
    }
  }
  return ok(toAuthority(permits))
}

export function toAuthorizationDetails(authority: Authority): readonly AuthorizationDetail[] {
  return authority.map((permit) => ({
    type: permit.type,
    locations: [permit.resource],
    actions: [permit.action],
    ...(Object.keys(permit.limits).length > 0 ? { limits: permit.limits } : {}),
  }))
}

/** Reads the command line's form: `postgres:shop:ddl`, `stripe:refunds:create?amount=5000`. */
export function parseGrantText(text: string): Outcome<AuthorizationDetail, AuthorityRefusal> {
  const [words = '', query, ...more] = text.split('?')
  const parts = words.split(':')
  if (parts.length !== 3 || more.length > 0 || !parts.every((part, i) => (i === 2 ? ACTION : WORD).test(part))) return refuse({ kind: 'malformed_grant', text })
  const limits: Record<string, number> = {}
  for (const pair of query === undefined ? [] : query.split('&')) {
    const [, limit, value] = LIMIT_PAIR.exec(pair) ?? []
    // Said twice, it would be the reader's choice which of the two bounds.
    if (limit === undefined || Object.hasOwn(limits, limit)) return refuse({ kind: 'bad_limit', limit: pair })
    limits[limit] = Number(value)
  }
  const [type, resource, action] = parts as [string, string, string]
  return ok({ type, locations: [resource], actions: [action], ...(query === undefined ? {} : { limits }) })
}

/** The command line's form of a permit. */
export function textOf(permit: Permit): string {
  const limits = Object.entries(permit.limits).toSorted(byFirst)
  const query = limits.map(([limit, most]) => `${limit}=${most}`).join('&')
  return `${permit.type}:${permit.resource}:${permit.action}${query === '' ? '' : `?${query}`}`
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
const byFirst = (a: readonly [string, number], b: readonly [string, number]): number => compare(a[0], b[0])
