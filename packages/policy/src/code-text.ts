const LEXEME = /\/\/[^\n]*|"(?:[^"\\]|\\.)*"/gs

/** The text of Cedar with every comment and string blanked, each character in its place. */
export const codeOf = (text: string): string => text.replaceAll(LEXEME, (found) => found.replaceAll(/[^\n]/g, ' '))

/** Where each statement of a file of policies begins and ends: in Cedar only an end of a policy is written `;`. */
export function statementsOf(text: string): readonly { readonly start: number; readonly end: number }[] {
  const code = codeOf(text)
  const found: { readonly start: number; readonly end: number }[] = []
  let from = 0
  for (let semicolon = code.indexOf(';'); semicolon !== -1; semicolon = code.indexOf(';', from)) {
    const blank = /^\s*/.exec(code.slice(from, semicolon))![0].length
    found.push({ start: from + blank, end: semicolon + 1 })
    from = semicolon + 1
  }
  return found
}

/** A string as Cedar writes it. */
export const quote = (text: string): string =>
  `"${text.replaceAll(/["\\]|\p{Cc}/gu, (one) => (one === '"' || one === '\\' ? `\\${one}` : `\\u{${one.codePointAt(0)!.toString(16)}}`))}"`
