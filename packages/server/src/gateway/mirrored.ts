import type { ExactValue } from '@writ/domain/exact'
import { mirrored as mirror, paramHeadersOf } from '@writ/contract/param-headers'
import { isRecord } from './json-rpc.ts'

const BASE64 = /^=\?base64\?([A-Za-z0-9+/]*={0,2})\?=$/

/** The text that a header's value stands for; undefined where it stands for none. MCP 2026-07-28, Streamable HTTP, value encoding. */
export function decodedHeader(value: string): string | undefined {
  const found = BASE64.exec(value)
  if (found === null) return /^[\x20-\x7e\t]*$/.test(value) ? value : undefined
  const bytes = Buffer.from(found[1]!, 'base64')
  if (bytes.toString('base64') !== found[1]) return undefined
  const text = bytes.toString('utf8')
  return Buffer.from(text, 'utf8').equals(bytes) ? text : undefined
}

/** Whether the headers that mirror arguments say what the arguments say, no more and no less; undefined when they do. `headers` by lower-case name. */
export function mirrorFault(inputSchema: ExactValue | undefined, args: ExactValue | undefined, headers: Readonly<Record<string, string>>): string | undefined {
  // A schema that wants what it may not has nothing mirrored: no client would call such a tool over HTTP.
  const wanted = paramHeadersOf(inputSchema) ?? []
  const expected = mirror(wanted, args)
  for (const { header, path } of wanted) {
    const [sent, should] = [headers[header], expected[header]]
    if (sent === undefined && should === undefined) continue
    if (sent === undefined || should === undefined) return `the header \`${header}\` ${sent === undefined ? 'is missing' : 'has no argument'}`
    const [said, meant] = [decodedHeader(sent), decodedHeader(should)]
    if (said === undefined || (said !== meant && !(typeof argumentAt(args, path) === 'bigint' && isSameNumber(said, meant!)))) return `the header \`${header}\` and the argument differ`
  }
  return undefined
}

/** `42.0` and `42` are the same number. */
const isSameNumber = (said: string, meant: string): boolean => /^-?\d{1,17}(?:\.0{1,10})?$/.test(said) && BigInt(said.split('.', 1)[0]!) === BigInt(meant)

const argumentAt = (args: ExactValue | undefined, path: readonly string[]): ExactValue | undefined =>
  path.reduce<ExactValue | undefined>((at, name) => (isRecord(at) && Object.hasOwn(at, name) ? at[name] : undefined), args)

