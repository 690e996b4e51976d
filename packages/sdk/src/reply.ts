import { Unreachable } from './errors.ts'

/** What a server says of one thing is no longer than this: a task has 600 leases at most. */
const MOST_BYTES = 4 * 1024 * 1024
/** Each lease of a task brings its leaves and their proofs. */
export const MOST_CERTIFICATE_BYTES = 64 * 1024 * 1024

/** Reads the text of an answer, and no more than a server of ours would ever say. */
export async function readText(response: Response, most = MOST_BYTES): Promise<string> {
  const parts: Uint8Array<ArrayBuffer>[] = []
  let size = 0
  for await (const part of response.body ?? []) {
    size += part.byteLength
    if (size > most) throw new Unreachable(`the answer is longer than ${most} bytes`, { code: 'unknown_reply', hint: 'is this a Writ server?' })
    parts.push(part)
  }
  return new Blob(parts).text()
}

const isText = (value: unknown): value is string => typeof value === 'string'

/** What a member of a reply may be. */
const KINDS = {
  text: (value: unknown) => isText(value) && /^[^\p{Cc}]+$/u.test(value),
  words: isText,
  /** It becomes a part of addresses. */
  id: (value: unknown) => isText(value) && /^\w{1,100}$/.test(value),
  /** It becomes a part of headers. */
  token: (value: unknown) => isText(value) && /^[\w.~+/=-]+$/.test(value),
  instant: (value: unknown) => isText(value) && !Number.isNaN(Date.parse(value)),
  /** Within what a timer can wait for. */
  seconds: (value: unknown) => Number.isSafeInteger(value) && (value as number) > 0 && (value as number) < 2 ** 31 / 1000,
  port: (value: unknown) => Number.isSafeInteger(value) && (value as number) > 0 && (value as number) < 2 ** 16,
  flag: (value: unknown) => typeof value === 'boolean',
  members: (value: unknown) => typeof value === 'object' && value !== null,
} as const

type Form<Reply> = { readonly [Name in keyof Reply]?: keyof typeof KINDS }

/** The reply, when each member that is going to be used is what it should be; nothing is made of any other. */
export function inForm<Reply>(reply: unknown, form: Form<Reply>): Reply {
  const members = (typeof reply === 'object' && reply !== null ? reply : {}) as Readonly<Record<string, unknown>>
  const wrong = (Object.entries(form) as [string, keyof typeof KINDS][]).find(([name, kind]) => !KINDS[kind](members[name]))
  if (wrong === undefined) return reply as Reply
  throw new Unreachable(`the server's answer has no good \`${wrong[0]}\``, { code: 'unknown_reply', hint: 'server and SDK should have the same version' })
}
