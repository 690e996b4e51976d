import type { z } from 'zod'
import type { ProblemType } from './problem.ts'

/**
 * Who may ask: `identity` and `operator` prove themselves with a bearer value in the Authorization header (RFC 6750 §2.1), a `token_holder` with
 * an access token for just this address (RFC 8707), and with nothing else. A `person` has signed in: with a cookie, or with a bearer value on the
 * command line. Where operators may ask, people may whose role allows it (`roles.ts`); what is for a `person` is closed to every operator key.
 */
export type Who = 'anyone' | 'operator' | 'person' | 'identity' | 'identity_or_operator' | 'token_holder' | 'webhook'

/** A header, whatever it holds: the same of one request, which a page sends of itself. It can only make a sign-in end sooner. */
export const UNATTENDED = 'writ-unattended'

/** An endpoint as data: the server serves it, the clients call it, the reference documents it. */
export type Endpoint<Body extends z.ZodType = z.ZodType, Query extends z.ZodType = z.ZodType, Reply extends z.ZodType = z.ZodType> = {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Parameters in braces: `/v1/tasks/{id}`. */
  readonly path: string
  readonly who: Who
  readonly summary: string
  /** Absent for GET and DELETE. */
  readonly body?: Body
  /** The body is a form (`application/x-www-form-urlencoded`), and errors are those of RFC 6749 §5.2. */
  readonly form?: true
  /**
   * AuthZEN 1.0: numbers are read as they were sent, a body that is no JSON by its media type is a bad request, and `X-Request-ID` is given
   * back. Every request is decided anew: none is a repeat.
   */
  readonly authzen?: true
  /** A page or a program asks it while nobody may be there: it is no use of a sign-in, which goes on to its idle end. */
  readonly unattended?: true
  /** How large a body may be; 1 MiB unless said otherwise. */
  readonly mostBytes?: number
  readonly query?: Query
  readonly reply: Reply
  /** The media type of the reply; `application/json` unless said otherwise. */
  readonly media?: string
  /** 200 unless said otherwise. */
  readonly status?: 200 | 201 | 202 | 303
  readonly problems: readonly ProblemType[]
}

/** Keeps what the endpoint says of itself in its type. */
export const endpoint = <const E extends Endpoint>(value: E): E => value

/** `/v1/tasks/{id}` with its parameters filled in, each encoded. */
export function pathOf(of: Pick<Endpoint, 'path'>, parameters: Readonly<Record<string, string>> = {}): string {
  return of.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = parameters[name]
    if (value === undefined) throw new Error(`path ${of.path} needs a value for \`${name}\``)
    return encodeURIComponent(value)
  })
}
