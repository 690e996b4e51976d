import { closeSync, openSync, readSync } from 'node:fs'
import { toBase64 } from '../src/bytes.ts'
import { isObject, parseJson } from '../src/canonical.ts'
import { verifyCertificate } from '../src/certificate.ts'
import { holds, type Checked } from '../src/checked.ts'
import type { Checkpoint } from '../src/checkpoint.ts'
import type { Closure } from '../src/closure.ts'
import { describeCertificate, describeLog, describeLogRefusal } from '../src/describe.ts'
import { inert } from '../src/inert.ts'
import { linesOf } from '../src/lines.ts'
import { LOG_FORMAT, verifyLog } from '../src/log.ts'
import { parseVerifierKey, type VerifierKey } from '../src/note.ts'
import { leavesLost, type Restored, type Tree } from '../src/restored.ts'
import { nodePrimitives } from './primitives.ts'

/** Paths; `-` is standard input. */
export type Asked = { readonly key: string; readonly checkpoints: readonly string[]; readonly file: string }

/** What a file was found to prove: `facts` for programs, `lines` for people, and of a certificate what it shows. */
export type Evidence = {
  readonly kind: 'closure certificate' | 'log export'
  readonly facts: object
  readonly lines: readonly string[]
  readonly closure: Closure | null
}

/** Why not. `lines` are for people, the first one is the reason. */
export type EvidenceRefusal =
  | { readonly kind: 'not_verified'; readonly lines: readonly string[] }
  | { readonly kind: 'no_key'; readonly path: string; readonly detail: string }
  | { readonly kind: 'no_file'; readonly path: string }
  | { readonly kind: 'unreadable_file'; readonly why: string }

type Found = Checked<Evidence, EvidenceRefusal>

/** A certificate is read whole; a log in pieces. */
const MOST_BYTES = 256 * 1024 * 1024
const PIECE_BYTES = 256 * 1024
/** No head of an export is longer. */
const HEAD_BYTES = 64 * 1024

const STDIN = 0
const LOG_FORMATS = LOG_FORMAT.slice(0, LOG_FORMAT.indexOf('/') + 1)

/** Checks a certificate or a log export with nothing but the log's key and earlier checkpoints. Each file is read once. */
export function verifyFile({ key: keyFile, checkpoints, file }: Asked): Found {
  try {
    const key = parseVerifierKey(nodePrimitives.sha256, wholeText(keyFile).trim())
    if (!key.ok) return refused({ kind: 'no_key', path: keyFile, detail: key.refusal.detail })
    const earlier = checkpoints.map(noteIn)
    return withPieces(file, (pieces) => {
      const { head, all } = peek(pieces)
      return isExportHead(head) ? verifyExport(key.value, all, earlier) : verifyCertificateText(key.value, whole(all, file), earlier)
    })
  } catch (cause) {
    return refusalOf(cause)
  }
}

export function verifyCertificateText(key: VerifierKey, text: string, earlier: readonly string[] = []): Found {
  const checked = verifyCertificate(nodePrimitives, key, text, earlier)
  if (!checked.ok) return notVerified(`${checked.refusal.kind}: ${checked.refusal.detail}`)
  const { closure, checkpoint, restores } = checked.value
  return holds({
    kind: 'closure certificate',
    facts: { closure, checkpoint: plainCheckpoint(checkpoint), earlier: checked.value.earlier, ...(restores.length === 0 ? {} : { restores: restores.map((one) => plainRestored(one)) }) },
    lines: describeCertificate(checked.value), closure,
  })
}

function verifyExport(key: VerifierKey, pieces: Iterable<Uint8Array>, earlier: readonly string[]): Found {
  const checked = verifyLog(nodePrimitives, key, linesOf(pieces), earlier)
  if (!checked.ok) return notVerified(...describeLogRefusal(checked.refusal))
  const { checkpoint, continues, restored, before } = checked.value
  const facts = { checkpoint: plainCheckpoint(checkpoint), continues, ...(restored === null ? {} : { restored: plainRestored(restored, before.map(({ size }) => size)), before }) }
  return holds({ kind: 'log export', facts, lines: describeLog(checked.value), closure: null })
}

const refused = (refusal: EvidenceRefusal): { readonly ok: false; readonly refusal: EvidenceRefusal } => ({ ok: false, refusal })
const notVerified = (...lines: readonly string[]): Found => refused({ kind: 'not_verified', lines })

const plainRestored = (restored: Restored, seen: readonly number[] = []): object => ({
  restore: restored.restore, at: restored.at, backup: restored.backup, backup_at: restored.backupAt, origin: restored.before.name,
  stood: plainTree(restored.stood), known: restored.known && plainTree(restored.known), leaves_lost: leavesLost(restored, seen),
})

const plainTree = ({ size, root }: Tree): object => ({ size, root: toBase64(root) })

const plainCheckpoint = ({ origin, size, root }: Checkpoint): object => ({ origin, size, root: toBase64(root) })

/** The signed note that a file is or, as a certificate or export, holds; nothing that verifies where it is neither. */
export function noteIn(path: string): string {
  return withPieces(path, (pieces) => {
    const { head, all } = peek(pieces)
    const text = isExportHead(head) ? head : whole(all, path)
    if (!text.startsWith('{')) return text
    const note = memberOf(text, 'checkpoint')
    return typeof note === 'string' ? note : ''
  })
}

/** Any version of the format: that an unknown one is not read is the log verifier's to say. */
function isExportHead(head: string): boolean {
  const format = memberOf(head, 'format')
  return typeof format === 'string' && format.startsWith(LOG_FORMATS)
}

function memberOf(json: string, name: string): unknown {
  const parsed = parseJson(json)
  return parsed.ok && isObject(parsed.value) ? parsed.value[name] : undefined
}

/** The first line, and all pieces, the ones read for it among them. */
function peek(pieces: Iterator<Uint8Array>): { readonly head: string; readonly all: Iterable<Uint8Array> } {
  const taken: Uint8Array[] = []
  let length = 0
  for (let next = pieces.next(); !next.done; next = pieces.next()) {
    taken.push(next.value.slice())
    length += next.value.length
    if (next.value.includes(0x0a) || length > HEAD_BYTES) break
  }
  return { head: Buffer.concat(taken).toString('utf8').split('\n', 1)[0]!, all: chain(taken, pieces) }
}

function* chain(taken: readonly Uint8Array[], rest: Iterator<Uint8Array>): Generator<Uint8Array> {
  yield* taken
  for (let next = rest.next(); !next.done; next = rest.next()) yield next.value
}

const wholeText = (path: string): string => withPieces(path, (pieces) => whole(chain([], pieces), path))

/** Throws `TooLarge` for what no certificate, key or checkpoint is. */
function whole(pieces: Iterable<Uint8Array>, path: string): string {
  const held: Uint8Array[] = []
  let length = 0
  for (const piece of pieces) {
    length += piece.length
    if (length > MOST_BYTES) throw new TooLarge(path)
    held.push(piece.slice())
  }
  return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(held))
}

class TooLarge extends Error {
  constructor(path: string) {
    super(`\`${inert(path)}\` is larger than any certificate`)
    this.name = 'TooLarge'
  }
}

function withPieces<T>(path: string, read: (pieces: Iterator<Uint8Array>) => T): T {
  const fd = path === '-' ? STDIN : openSync(path, 'r')
  try {
    return read(piecesOf(fd))
  } finally {
    if (fd !== STDIN) closeSync(fd)
  }
}

function* piecesOf(fd: number): Generator<Uint8Array> {
  const piece = new Uint8Array(PIECE_BYTES)
  for (let count = readPiece(fd, piece); count > 0; count = readPiece(fd, piece)) yield piece.subarray(0, count)
}

/** A pipe whose writer is not ready yet answers EAGAIN, and on Windows its end is an error. */
function readPiece(fd: number, piece: Uint8Array): number {
  for (;;) {
    try {
      return readSync(fd, piece)
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      if (code === 'EOF') return 0
      if (code !== 'EAGAIN') throw cause
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
    }
  }
}

function refusalOf(cause: unknown): Found {
  if (cause instanceof TooLarge) return notVerified(`malformed_certificate: ${cause.message}`)
  if (cause instanceof TypeError && 'code' in cause && cause.code === 'ERR_ENCODING_INVALID_ENCODED_DATA') {
    return notVerified('malformed_certificate: a file is not UTF-8')
  }
  const { code, path, message, syscall } = cause as NodeJS.ErrnoException
  if (code === 'ENOENT') return refused({ kind: 'no_file', path: path ?? '' })
  if (syscall === undefined) throw cause
  return refused({ kind: 'unreadable_file', why: message })
}
