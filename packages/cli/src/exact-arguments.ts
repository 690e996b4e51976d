import { parseExactJson } from '@writ/contract/strict-json'
import { InexactNumber, rawNumber, type ExactRecord, type ExactValue } from '@writ/domain/exact'
import { InvalidArgumentError } from 'commander'

const NUMBER = /^-?\d/

/** One more `name=value`: a value that is JSON is that value, every digit of it kept, and any other is a text. */
export function oneMoreArgument(text: string, before: ExactRecord = {}): ExactRecord {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('it must be NAME=VALUE such as `amount=4200`.')
  const name = text.slice(0, at)
  if (Object.hasOwn(before, name)) throw new InvalidArgumentError(`\`${name}\` stands twice.`)
  return Object.fromEntries([...Object.entries(before), [name, valueOf(text.slice(at + 1))]])
}

function valueOf(text: string): ExactValue {
  const read = parseExactJson(text)
  if (read.ok) return read.value
  // What begins as JSON was meant as it, and would else go as a text that no policy knows what to do with.
  if (/^[[{"]/.test(text)) throw new InvalidArgumentError(`\`${text.slice(0, 60)}\` is not JSON that every reader takes for the same value.`)
  if (NUMBER.test(text) && !Number.isNaN(Number(text))) throw new InvalidArgumentError(`\`${text.slice(0, 60)}\` is a number that JSON does not write like this.`)
  return text
}

/** The same for a body: JSON.stringify writes it digit for digit. */
export function asBody(value: ExactValue): unknown {
  if (typeof value === 'bigint') return rawNumber(value.toString())
  if (value instanceof InexactNumber) return rawNumber(value.text)
  if (Array.isArray(value)) return value.map((one: ExactValue) => asBody(one))
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, asBody(one as ExactValue)]))
}
