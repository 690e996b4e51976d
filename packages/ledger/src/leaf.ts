import { isObject, isRecord, parseCanonical } from './canonical.ts'
import { fails, holds, type Checked } from './checked.ts'

/** A leaf of version 1, as the log holds it: the RFC 8785 form of this object, in UTF-8. */
export type Leaf = {
  readonly v: 1
  readonly id: string
  readonly stream: string
  readonly type: string
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  readonly at: number
  readonly actor: { readonly kind: string; readonly id: string }
  readonly task: string | null
  readonly identity: string | null
  readonly lease: string | null
  readonly facts: Readonly<Record<string, unknown>>
  /** Field -> base64url of SHA-256(salt || UTF-8 text). */
  readonly commitments: Readonly<Record<string, string>>
}

const FIELDS = ['v', 'id', 'stream', 'type', 'at', 'actor', 'task', 'identity', 'lease', 'facts', 'commitments']

/** Years beyond these can't be shown: ECMAScript's time value. */
export const LAST_INSTANT = 8.64e15

export const isInstant = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= LAST_INSTANT

/** Reads a leaf's text; refused unless it is its own canonical form, so that one event has one leaf hash. */
export function parseLeaf(text: string): Checked<Leaf> {
  const parsed = parseCanonical(text)
  if (!parsed.ok) return parsed
  const leaf = parsed.value
  if (!isRecord(leaf, FIELDS) || leaf['v'] !== 1) return fails('malformed_leaf', 'not a leaf of version 1')
  const { id, stream, type, at, actor, task, identity, lease, facts, commitments } = leaf
  if (!isText(id) || !isText(stream) || !isText(type) || !isInstant(at)) return fails('malformed_leaf', 'the leaf lacks an id, stream, type or time')
  if (!isRecord(actor, ['kind', 'id']) || !isText(actor['kind']) || !isText(actor['id'])) return fails('malformed_leaf', 'the leaf names no actor')
  if (!isTextOrNull(task) || !isTextOrNull(identity) || !isTextOrNull(lease)) {
    return fails('malformed_leaf', 'the leaf names its task, identity or lease by something else than an id')
  }
  if (!isObject(facts) || !isTextRecord(commitments)) return fails('malformed_leaf', 'the facts or commitments of the leaf are not objects')
  return holds({ v: 1, id, stream, type, at, actor: { kind: actor['kind'], id: actor['id'] }, task, identity, lease, facts, commitments })
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''
const isTextOrNull = (value: unknown): value is string | null => value === null || isText(value)
const isTextRecord = (value: unknown): value is Readonly<Record<string, string>> =>
  isObject(value) && Object.values(value).every((one) => typeof one === 'string')
