/**
 * A JSON value that has lost nothing: an integer is a bigint, however long, and every other number stays the text that was sent, so that
 * nobody takes 1.0 for 1 or rounds past 2^53.
 */
export type ExactValue = null | boolean | string | bigint | InexactNumber | readonly ExactValue[] | ExactRecord
export type ExactRecord = { readonly [name: string]: ExactValue }

/** A number of JSON that is no integer: a fraction, or one with an exponent. */
export class InexactNumber {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** A number that JSON.stringify writes digit for digit: ECMAScript's JSON.rawJSON, which the type checker's library does not know yet. */
export const rawNumber = (text: string): unknown => (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(text)

/** The value as JSON text, every digit kept; with `indent`, in lines for people. */
export function exactText(value: ExactValue, indent = 0): string {
  return JSON.stringify(value, (_, part: unknown) => {
    if (typeof part === 'bigint') return rawNumber(part.toString())
    return part instanceof InexactNumber ? rawNumber(part.text) : part
  }, indent)
}
