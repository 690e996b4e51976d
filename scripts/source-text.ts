/** What each character of a source file is. */
export type Kind = 'code' | 'comment' | 'text'

/** After one of these, or at the beginning, a slash opens a regular expression and does not divide. */
const BEFORE_REGEX = /(?:^|[(,=:[!&|?{};+\-*%~^<>]|\b(?:return|typeof|case|in|of|do|else|void|delete|throw|await|yield))\s*$/

/**
 * The source with everything but the wanted kinds replaced by spaces; lines and columns stay. Strings, templates and regular
 * expressions are `text`. Knows as much TypeScript as our own sources use: no JSX.
 */
export function only(source: string, ...wanted: readonly Kind[]): string {
  return spansOf(source).map(({ kind, from, to }) => {
    const part = source.slice(from, to)
    return wanted.includes(kind) ? part : part.replaceAll(/[^\n]/g, ' ')
  }).join('')
}

type Span = { readonly kind: Kind; readonly from: number; readonly to: number }

function spansOf(source: string): readonly Span[] {
  const spans: Span[] = []
  /** How many braces are open in each template hole that we are inside of. */
  const holes: number[] = []
  let at = 0
  let codeFrom = 0
  const push = (kind: Kind, to: number): void => {
    if (at > codeFrom) spans.push({ kind: 'code', from: codeFrom, to: at })
    spans.push({ kind, from: at, to })
    at = to
    codeFrom = to
  }
  while (at < source.length) {
    const here = source[at]!
    const next = source[at + 1]
    if (here === '/' && next === '/') push('comment', endOf(source, '\n', at))
    else if (here === '/' && next === '*') push('comment', endOf(source, '*/', at + 2) + 2)
    else if (here === '"' || here === "'") push('text', quoted(source, here, at))
    else if (here === '`') template()
    else if (here === '/' && BEFORE_REGEX.test(source.slice(Math.max(0, at - 80), at))) push('text', regex(source, at))
    else if (here === '}' && holes.at(-1) === 0) {
      holes.pop()
      template()
    } else {
      if (here === '{' && holes.length > 0) holes[holes.length - 1]! += 1
      if (here === '}' && holes.length > 0) holes[holes.length - 1]! -= 1
      at += 1
    }
  }
  if (at > codeFrom) spans.push({ kind: 'code', from: codeFrom, to: at })
  return spans

  /** From a backtick, or from the brace that closes a hole, to the end of the template or the next hole. */
  function template(): void {
    for (let i = at + 1; i < source.length; i++) {
      if (source[i] === '\\') i += 1
      else if (source[i] === '`') return push('text', i + 1)
      else if (source[i] === '$' && source[i + 1] === '{') {
        holes.push(0)
        return push('text', i + 2)
      }
    }
    push('text', source.length)
  }
}

function endOf(source: string, mark: string, from: number): number {
  const found = source.indexOf(mark, from)
  return found === -1 ? source.length : found
}

function quoted(source: string, quote: string, from: number): number {
  for (let i = from + 1; i < source.length; i++) {
    if (source[i] === '\\') i += 1
    else if (source[i] === quote || source[i] === '\n') return i + 1
  }
  return source.length
}

function regex(source: string, from: number): number {
  let inClass = false
  for (let i = from + 1; i < source.length && source[i] !== '\n'; i++) {
    if (source[i] === '\\') i += 1
    else if (source[i] === '[') inClass = true
    else if (source[i] === ']') inClass = false
    else if (source[i] === '/' && !inClass) return i + 1
  }
  return from + 1
}

export type Import = { readonly specifier: string; readonly line: number }

/** Every module that the source names: `import`, `export ... from`, `import()`; types too, for they are a dependency as well. */
export function importsOf(source: string): readonly Import[] {
  const code = only(source, 'code')
  const opener = /\bfrom\s*$|\bimport\s*(?:\(\s*)?$/
  return spansOf(source)
    .filter(({ kind, from }) => kind === 'text' && /['"`]/.test(source[from]!) && opener.test(code.slice(Math.max(0, from - 40), from)))
    .map(({ from, to }) => ({ specifier: source.slice(from + 1, to - 1), line: lineOf(source, from) }))
}

/** 1 for the first. */
export const lineOf = (source: string, at: number): number => source.slice(0, at).split('\n').length
