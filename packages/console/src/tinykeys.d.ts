/** Its own types stand where its `exports` do not lead. */
declare module 'tinykeys' {
  export function tinykeys(target: Window | HTMLElement, keys: Readonly<Record<string, (event: KeyboardEvent) => void>>): () => void
}
