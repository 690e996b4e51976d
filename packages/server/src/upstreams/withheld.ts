import { exactText, type ExactRecord, type ExactValue } from '@writ/domain/exact'
import { recordOf } from './message.ts'
import type { Along, Inputs, McpMessage, Turn, Upstream } from './upstream.ts'

export const WITHHELD = '[withheld]'
/** What is shorter stands in other texts by chance. */
const SHORTEST_SECRET = 8

/** The secret parts of values as a server gets them: `Bearer abc` is as secret in its second word alone. */
export function secretParts(values: readonly string[]): readonly string[] {
  const parts = values.flatMap((value) => [value, ...value.split(/\s+/)])
  return [...new Set(parts)].filter((part) => part.length >= SHORTEST_SECRET).toSorted((a, b) => b.length - a.length)
}

/** The same text, without any of these. */
export const without = (secrets: readonly string[], text: string): string => secrets.reduce((left, secret) => left.replaceAll(secret, WITHHELD), text)

/**
 * The same upstream, which says nothing back of what it was given to prove who asks: some servers show their environment to whoever calls the
 * right tool. What a server has disguised is not found; this is for honest ones.
 */
export function withholding(upstream: Upstream, secrets: readonly string[]): Upstream {
  if (secrets.length === 0) return upstream
  const written = secrets.map((secret) => JSON.stringify(secret).slice(1, -1))
  const inText = (text: string): string => (written.some((secret) => text.includes(secret)) ? without(written, text) : text)
  const inRecord = <T extends ExactRecord>(record: T): T => {
    const text = exactText(record)
    const left = inText(text)
    return left === text ? record : (recordOf(left) ?? {}) as T
  }
  const inValue = (value: ExactValue): ExactValue => inRecord({ value })['value'] ?? null
  const inMessage = ({ method, params }: McpMessage): McpMessage => ({ method, params: inRecord(params) })
  const inTurn = (turn: Turn): Turn => {
    if (turn.kind === 'result') return { kind: 'result', text: inText(turn.text) }
    if (turn.kind === 'input_required') return { ...turn, inputs: Object.fromEntries(Object.entries(turn.inputs).map(([name, one]) => [name, inMessage(one)])) satisfies Inputs }
    const { code, message, data } = turn.error
    return { kind: 'error', error: { code, message: without(secrets, message), ...(data === undefined ? {} : { data: inValue(data) }) } }
  }
  const heard = (along: Along): Along => ({ ...along, notify: (message) => { along.notify(inMessage(message)) } })
  const { description } = upstream
  return {
    description: {
      ...description, capabilities: inRecord(description.capabilities), info: inRecord(description.info),
      instructions: description.instructions && without(secrets, description.instructions),
    },
    request: async (message, along) => inTurn(await upstream.request(message, heard(along))),
    resume: async (message, state, answers, along) => inTurn(await upstream.resume(message, state, answers, heard(along))),
    tell: (message) => upstream.tell(message),
    listen: (hear, ask) => upstream.listen((message) => { hear(inMessage(message)) }, ask && ((question, withdrawn) => ask(inMessage(question), withdrawn))),
    close: () => upstream.close(),
  }
}
