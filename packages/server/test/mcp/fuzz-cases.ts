import { ENVELOPE, newerHead, olderHead, type Bearer } from './bearer.ts'
import { BODY_CHANGES } from './fuzz-bodies.ts'
import { FRAMINGS, HEAD_CHANGES, written, type Draft, type Header } from './fuzz-heads.ts'
import { randomFrom, type Random } from './fuzz-random.ts'

/** Who asks: one task at one server, in one generation. */
export type Asker = { readonly bearer: Bearer; /** Of the older generation's. */ readonly session: string | undefined }

export type FuzzCase = {
  /** Of the generation whose headers say what the body says. */
  readonly isNewer: boolean
  /** What was changed, in order; nothing of a good request. */
  readonly changes: readonly string[]
  readonly bytes: Buffer
  /** Whether it is one request to every reader, so that it can share a connection. */
  readonly isOne: boolean
}

/** So far from each other that no change of a few digits makes one case's number into another's. */
const STEP = 1_000_003

/** The case that this number in a call's arguments is of; undefined where it is none's any more. */
export const caseOf = (cases: readonly FuzzCase[], n: unknown): FuzzCase | undefined => (typeof n === 'bigint' ? cases[Number(n) / STEP - 1] : undefined)

type Message = { readonly method: string; readonly params: Readonly<Record<string, unknown>>; readonly name?: string; readonly mirrors?: Readonly<Record<string, string>> }

/** One that an honest client could send; its number makes each call another one. */
function message(random: Random, at: number): Message {
  const n = (at + 1) * STEP
  const call = (name: string, args: object, mirrors?: Readonly<Record<string, string>>): Message => ({ method: 'tools/call', name, params: { name, arguments: { ...args, n } }, ...(mirrors === undefined ? {} : { mirrors }) })
  switch (random.below(12)) {
    case 0: return call('secret', {})
    case 1: return call('put', { path: 'forbidden/x' })
    case 2: return { method: 'tools/list', params: {} }
    case 3: return { method: 'resources/read', name: `note:///${n}`, params: { uri: `note:///${n}` } }
    case 4: return { method: 'prompts/get', name: 'greet', params: { name: 'greet', arguments: { who: `nobody ${n}` } } }
    case 5:
    case 6: return call('in-region', { region: 'west', size: 3 }, { 'mcp-param-region': 'west', 'mcp-param-size': '3' })
    case 7: return call('put', { path: 'ok' })
    case 8: return call('open', { path: 'ok', inner: { path: 'ok', name: 'put' }, list: ['a', 'b'] })
    default: return call('open', { path: 'ok' })
  }
}

function draftOf({ bearer, session }: Asker, { method, params, name, mirrors = {} }: Message, id: number): Draft {
  const whole = session === undefined ? { ...params, _meta: ENVELOPE } : params
  const head = session === undefined ? { ...newerHead(bearer, method, name), ...mirrors } : olderHead(bearer, session)
  return { path: `/mcp/${bearer.server}`, head: Object.entries(head) as readonly Header[], body: Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, method, params: whole })) }
}

/** The case of this number: the same for the same seed. */
export function fuzzCase(askers: readonly Asker[], { seed, n, host }: { readonly seed: number; readonly n: number; readonly host: string }): FuzzCase {
  const random = randomFrom(seed + n * 7919)
  const asker = random.pick(askers)
  const isNewer = asker.session === undefined
  let draft = draftOf(asker, message(random, n), n)
  const changes: string[] = []
  const changeBody = (): void => {
    const { name, to } = random.pick(BODY_CHANGES)
    changes.push(name)
    // What is no UTF-8 any more is not changed any further.
    const text = draft.body.toString()
    if (Buffer.from(text).equals(draft.body)) draft = { ...draft, body: Buffer.from(to(text, random) as string) }
  }
  const changeHead = (): void => {
    const { name, to } = random.pick(HEAD_CHANGES)
    changes.push(name)
    draft = to(draft, random)
  }
  const isOne = !random.onceIn(7)
  for (let left = isOne ? random.pick([0, 1, 1, 1, 2, 3]) : random.pick([0, 0, 1]); left > 0; left--) (random.below(5) < 3 ? changeBody : changeHead)()
  if (isOne) return { isNewer, changes, bytes: written(draft, host), isOne: draft.head.every(([name]) => name.toLowerCase() !== 'content-length') }
  const { name, to } = random.pick(FRAMINGS)
  return { isNewer, changes: [...changes, name], bytes: to(draft, random, host), isOne: false }
}
