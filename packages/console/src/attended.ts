import type { UNATTENDED as ofContract } from '@writ/contract/endpoint'

/** What a page asks while nobody touches it is no use of a sign-in: else one that is left open would keep it for ever. */
export const UNATTENDED: typeof ofContract = 'writ-unattended'

/** Whoever reads has touched something within this. */
const READS_FOR_MS = 60_000
const TOUCHES = ['pointerdown', 'pointermove', 'wheel', 'keydown', 'touchstart'] as const

let touchedAt = Date.now()

/** To open a page is to touch it. */
export function watchTouches(target: Pick<EventTarget, 'addEventListener'>): void {
  for (const kind of TOUCHES) target.addEventListener(kind, () => { touchedAt = Date.now() }, { capture: true, passive: true })
}

export const isAttended = (): boolean => Date.now() - touchedAt < READS_FOR_MS
