import { tinykeys } from 'tinykeys'
import { NAV } from './nav.ts'

export type KeyDeeds = { readonly go: (to: string) => void; readonly search: () => void; readonly keys: () => void }

/** Keys do nothing while somebody writes, or answers a dialog. */
const isWriting = ({ target }: KeyboardEvent): boolean =>
  (target instanceof HTMLElement && (target.isContentEditable || /^(?:INPUT|TEXTAREA|SELECT)$/.test(target.tagName))) || document.querySelector('[role="dialog"]') !== null

/** What each key does, as it is told to people. */
export const KEYS: readonly (readonly [keys: string, does: string])[] = [
  ['Ctrl K', 'search, or run a command'], ['/', 'filter the list'], ['j  k', 'down, up in a list'], ['Enter', 'open the row'], ['x', 'stop something'], ['?', 'these keys'],
  ...NAV.map(({ key, name }): readonly [string, string] => [`g ${key}`, `go to ${name}`]),
]

export function bindKeys({ go, search, keys }: KeyDeeds): () => void {
  const unlessWriting = (run: () => void) => (event: KeyboardEvent): void => {
    if (isWriting(event)) return
    event.preventDefault()
    run()
  }
  return tinykeys(window, {
    ...Object.fromEntries(NAV.map((page) => [`g ${page.key}`, unlessWriting(() => go(page.to))])),
    '$mod+k': (event) => {
      event.preventDefault()
      search()
    },
    '/': unlessWriting(() => document.querySelector<HTMLInputElement>('[data-filter]')?.focus()),
    'Shift+?': unlessWriting(keys),
    'x': unlessWriting(() => document.querySelector<HTMLElement>('[data-stop]')?.click()),
    'j': unlessWriting(intoGrid),
    'ArrowDown': (event) => { if (!isWriting(event) && document.activeElement === document.body) intoGrid() },
  })
}

/** From anywhere on the page into its list; inside, the list itself listens. */
function intoGrid(): void {
  if (!document.activeElement?.closest('[role="grid"]')) document.querySelector<HTMLElement>('[role="grid"] [role="row"][tabindex="0"]')?.focus()
}
