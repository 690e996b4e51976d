import { TILE_WIDTH } from './tile.ts'

/** One resource below a log's prefix (C2SP tlog-tiles): a hash tile, or the bundle of entries beneath a tile of level 0. */
export type TilePath = { readonly level: number | 'entries'; readonly index: number; readonly width: number }

const MOST_LEVEL = 63

/** `tile/<L>/<N>` or `tile/<L>/<N>.p/<W>`; index 1234067 is written `x001/x234/067`. */
export function printTilePath({ level, index, width }: TilePath): string {
  const groups: string[] = []
  for (let rest = index; groups.length === 0 || rest > 0; rest = Math.floor(rest / 1000)) groups.unshift(String(rest % 1000).padStart(3, '0'))
  const number = groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join('/')
  return `tile/${level}/${number}${width < TILE_WIDTH ? `.p/${width}` : ''}`
}

/** The resource, or undefined unless the path is exactly what `printTilePath` writes. */
export function parseTilePath(path: string): TilePath | undefined {
  const found = /^tile\/(\d{1,2}|entries)\/((?:x\d{3}\/)*\d{3})(?:\.p\/(\d{1,3}))?$/.exec(path)
  if (!found) return undefined
  const [, where, number, width] = found
  const level = where === 'entries' ? 'entries' : Number(where)
  const index = Number(number!.replaceAll(/[x/]/g, ''))
  const parsed: TilePath = { level, index, width: width === undefined ? TILE_WIDTH : Number(width) }
  if (!Number.isSafeInteger(index) || (level !== 'entries' && level > MOST_LEVEL) || parsed.width < 1) return undefined
  // Leading zeroes and a partial tile of full width have no second spelling.
  return printTilePath(parsed) === path ? parsed : undefined
}
