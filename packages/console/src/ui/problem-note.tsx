import type { ReactNode } from 'react'
import { Refused, Unreachable } from '../api.ts'
import { Inert } from './agent-words.tsx'

/** Why something was not done, beside where it was asked for: what happened, why, what now (RFC 9457). */
export function ProblemNote({ error, children }: { readonly error: unknown; readonly children?: ReactNode }) {
  if (error instanceof Refused) {
    const { title, detail, hint, errors = [], code, trace_id: trace } = error.problem
    return (
      <div role="alert" className="w-problem">
        <strong>{title}</strong>
        {detail !== undefined && <p><Inert text={detail} most={600} /></p>}
        {errors.length > 0 && <ul>{errors.slice(0, 20).map((one, i) => <li key={i}><code><Inert text={one.field} most={80} /></code> <Inert text={one.message} most={200} /></li>)}</ul>}
        {hint !== undefined && <p className="w-hint">What now: <Inert text={hint} most={600} /></p>}
        <p className="w-trace">{code} · trace <code>{trace}</code></p>
        {children}
      </div>
    )
  }
  const isAway = error instanceof Unreachable
  return (
    <div role="alert" className="w-problem">
      <strong>{isAway ? 'The server did not answer' : 'The console failed'}</strong>
      <p>{error instanceof Error ? error.message : 'for a reason that it does not know'}</p>
      <p className="w-hint">{isAway ? 'What now: nothing is lost; it is asked again. Is `writ up` running?' : 'What now: load the page again; what you did last may not have happened.'}</p>
      {children}
    </div>
  )
}
