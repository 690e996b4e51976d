import type { ReactNode } from 'react'

/** How something came out, or stands: by colour, sign and word, never by colour alone. */
export type Tone = 'good' | 'bad' | 'ask' | 'stopped' | 'busy' | 'quiet'

const SIGNS: Readonly<Record<Tone, string>> = { good: '✔', bad: '✖', ask: '◐', stopped: '■', busy: '●', quiet: '○' }

export function Mark({ tone, children, title }: { readonly tone: Tone; readonly children: ReactNode; readonly title?: string }) {
  return <span className="w-mark" data-tone={tone} title={title}><span aria-hidden="true">{SIGNS[tone]}</span> {children}</span>
}

/** What could not be found out: never zero, never green (law 12). */
export function NotEvaluated({ why }: { readonly why: string }) {
  return <span className="w-not-evaluated" title={why}>not evaluated</span>
}

/** A value that may be missing: what is unknown says so. */
export function Known({ value, why }: { readonly value: ReactNode; readonly why: string }) {
  return value === null || value === undefined ? <NotEvaluated why={why} /> : <>{value}</>
}
