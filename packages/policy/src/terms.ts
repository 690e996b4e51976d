/**
 * A policy taken apart as text: its scope, and the terms that must all be true for it to apply. Text and not Cedar's JSON, because JSON
 * rounds an integer past 2^53, and because a person looks for the line as it was written.
 */
export type PolicyParts = {
  /** `(principal, action, resource)` as it was written. */
  readonly scope: string
  readonly terms: readonly Term[]
}

export type Term = {
  /** In one line, as it was written. */
  readonly text: string
  /** Of the policy's own text, counted from 0. */
  readonly line: number
  /** From an `unless`: the policy applies when this is false. */
  readonly negated: boolean
  /** What the term looks at, as paths: `context.arguments.amount`. */
  readonly paths: readonly (readonly string[])[]
}

type Token = { readonly text: string; readonly at: number; readonly depth: number }

/** Comments and blanks are skipped; a string is one token, quotes included. */
const TOKEN = /\/\/[^\n]*|\s+|"(?:[^"\\]|\\[\s\S])*"|[A-Za-z_]\w*|\d+|&&|\|\||::|[=!<>]=|[\s\S]/g

function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = []
  let depth = 0
  for (const { 0: part, index: at } of text.matchAll(TOKEN)) {
    if (part.startsWith('//') || part.trim() === '') continue
    if (')]}'.includes(part)) depth -= 1
    tokens.push({ text: part, at, depth })
    if ('([{'.includes(part)) depth += 1
  }
  return tokens
}

/** Takes apart one policy that Cedar has parsed before: grammar is not this function's business. */
export function partsOf(policyText: string): PolicyParts {
  const tokens = tokensOf(policyText)
  const effect = tokens.findIndex((token) => token.depth === 0 && (token.text === 'permit' || token.text === 'forbid'))
  const scope = groupAt(tokens, effect + 1)
  const terms: Term[] = []
  for (let i = effect + 1 + scope.length; i < tokens.length; i++) {
    const { text: keyword } = tokens[i]!
    if (keyword !== 'when' && keyword !== 'unless') continue
    const group = groupAt(tokens, i + 1)
    terms.push(...termsOf(group.slice(1, -1), keyword === 'unless', policyText))
    i += group.length
  }
  return { scope: textOf(scope), terms }
}

/** The policy with `action` alone where its head says which actions; undefined where that is not to be seen. */
export function withAnyAction(policyText: string): string | undefined {
  const tokens = tokensOf(policyText)
  const open = tokens.findIndex((token) => token.depth === 0 && (token.text === 'permit' || token.text === 'forbid')) + 1
  const [first, second] = groupAt(tokens, open).filter(({ text, depth }) => text === ',' && depth === 1)
  return first && second && `${policyText.slice(0, first.at + 1)} action${policyText.slice(second.at)}`
}

/** The tokens from the bracket at `start` to the one that closes it. */
function groupAt(tokens: readonly Token[], start: number): readonly Token[] {
  const open = tokens[start]
  if (open === undefined) return []
  const end = tokens.findIndex((token, i) => i > start && token.depth === open.depth)
  return end === -1 ? tokens.slice(start) : tokens.slice(start, end + 1)
}

/** `when { a && b }` needs both; `unless { a || b }` needs both false. What binds more loosely is left whole. */
function termsOf(body: readonly Token[], negated: boolean, text: string): readonly Term[] {
  const inner = unwrapped(body)
  const depth = inner[0]?.depth ?? 0
  const isOperator = (token: Token, operator: string): boolean => token.depth === depth && token.text === operator
  // `if` at the outermost level takes all that follows it; in the arms of `&&` and `||` the grammar wants it in brackets.
  const isWhole = inner[0]?.text === 'if' || (!negated && inner.some((token) => isOperator(token, '||')))
  const operator = negated ? '||' : '&&'
  const parts = isWhole ? [inner] : splitAt(inner, (token) => isOperator(token, operator))
  if (parts.length > 1) return parts.flatMap((part) => termsOf(part, negated, text))
  return parts.map((part) => ({
    text: textOf(part),
    line: text.slice(0, part[0]?.at ?? 0).split('\n').length - 1,
    negated,
    paths: pathsOf(part),
  }))
}

/** Without the brackets that hold the whole of it. */
function unwrapped(tokens: readonly Token[]): readonly Token[] {
  const isWrapped = tokens[0]?.text === '(' && groupAt(tokens, 0).length === tokens.length
  return isWrapped ? unwrapped(tokens.slice(1, -1)) : tokens
}

function splitAt(tokens: readonly Token[], isBetween: (token: Token) => boolean): readonly (readonly Token[])[] {
  const parts: Token[][] = [[]]
  for (const token of tokens) {
    if (isBetween(token)) parts.push([])
    else parts.at(-1)!.push(token)
  }
  return parts
}

/** The tokens as they were written, but in one line and without comments. */
function textOf(tokens: readonly Token[]): string {
  return tokens.map((token, i) => {
    const before = tokens[i - 1]
    const isApart = before !== undefined && before.at + before.text.length < token.at
    return `${isApart ? ' ' : ''}${token.text}`
  }).join('')
}

const ROOTS: readonly string[] = ['principal', 'resource', 'context']

function pathsOf(tokens: readonly Token[]): readonly (readonly string[])[] {
  const paths: string[][] = []
  for (let i = 0; i < tokens.length; i++) {
    const before = tokens[i - 1]?.text
    if (!ROOTS.includes(tokens[i]!.text) || before === '.' || before === '::') continue
    const { path, end } = pathAt(tokens, i)
    paths.push(path)
    i = end - 1
  }
  return paths.filter((path, i) => paths.findIndex((other) => other.join('\0') === path.join('\0')) === i)
}

/** `context.a["b c"].contains(...)` is `context.a["b c"]`, and `context has a.b` looks at `context.a.b`. */
function pathAt(tokens: readonly Token[], start: number): { readonly path: string[]; readonly end: number } {
  const path = [tokens[start]!.text]
  let i = start + 1
  for (;;) {
    const [first, second, third] = [tokens[i]?.text, tokens[i + 1]?.text ?? '', tokens[i + 2]?.text]
    if (first === '.' && third !== '(') {
      path.push(second)
      i += 2
    } else if (first === '[' && second.startsWith('"') && third === ']') {
      path.push(unquoted(second))
      i += 3
    } else if (first === 'has') {
      path.push(second.startsWith('"') ? unquoted(second) : second)
      i += 2
    } else {
      return { path, end: i }
    }
  }
}

/** Cedar's escapes of a string are JSON's, but for a few that no name of an attribute needs. */
function unquoted(quoted: string): string {
  return quoted.slice(1, -1).replace(/\\(["'\\])/g, '$1')
}
