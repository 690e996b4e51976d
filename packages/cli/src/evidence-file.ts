import { closeSync, openSync, readSync } from 'node:fs'
import { toBase64 } from '@writ/ledger/bytes'
import { verifyCertificate } from '@writ/ledger/certificate'
import type { Checkpoint } from '@writ/ledger/checkpoint'
import { describeCertificate, describeLog, describeLogRefusal } from '@writ/ledger/describe'
import { linesOf } from '@writ/ledger/lines'
import { LOG_FORMAT, verifyLog } from '@writ/ledger/log'
import { parseVerifierKey, type VerifierKey } from '@writ/ledger/note'
import { CommandFailure, EXIT, usage } from './exit.ts'
import { primitives } from './primitives.ts'

/** What a file was found to prove: `facts` for programs, `lines` for people. */
export type Verified = { readonly kind: 'closure certificate' | 'log export'; readonly facts: object; readonly lines: readonly string[]; readonly task?: string }

/** A certificate is read whole; a log in pieces. */
const MOST_BYTES = 256 * 1024 * 1024
const PIECE_BYTES = 256 * 1024
/** No head of an export is longer. */
const HEAD_BYTES = 64 * 1024

const STDIN = 0

/** Checks a certificate or a log export with nothing but the log's key and earlier checkpoints. */
export function verifyFile(path: string, keyText: string, earlierTexts: readonly string[]): Verified {
  const key = parseVerifierKey(primitives.sha256, keyText.trim())
  if (!key.ok) throw usage(`the key is not a log's verifier key: ${key.refusal.detail}`, 'it is one line, `name+hash+base64`')
  const earlier = earlierTexts.map(noteIn)
  return withPieces(path, (pieces) => {
    const { head, all } = peek(pieces)
    return isLogHead(head) ? verifyExport(key.value, all, earlier) : verifyCertificateText(key.value, whole(all, path), earlier)
  })
}

export function verifyCertificateText(key: VerifierKey, text: string, earlier: readonly string[] = []): Verified & { readonly task: string } {
  const checked = verifyCertificate(primitives, key, text, earlier)
  if (!checked.ok) throw notVerified(`${checked.refusal.kind}: ${checked.refusal.detail}`)
  const { closure, checkpoint } = checked.value
  return { kind: 'closure certificate', facts: { closure, checkpoint: plainCheckpoint(checkpoint), earlier: checked.value.earlier }, lines: describeCertificate(checked.value), task: closure.task }
}

function verifyExport(key: VerifierKey, pieces: Iterable<Uint8Array>, earlier: readonly string[]): Verified {
  const checked = verifyLog(primitives, key, linesOf(pieces), earlier)
  if (!checked.ok) throw notVerified(describeLogRefusal(checked.refusal).join('; '))
  return { kind: 'log export', facts: { checkpoint: plainCheckpoint(checked.value.checkpoint), continues: checked.value.continues }, lines: describeLog(checked.value) }
}

const notVerified = (why: string): CommandFailure => new CommandFailure(EXIT.verification_failed, `verification failed: ${why}`)

const plainCheckpoint = ({ origin, size, root }: Checkpoint): object => ({ origin, size, root: toBase64(root) })

/** The signed note that a text is or, as a certificate or an export, holds. */
export function noteIn(text: string): string {
  if (!text.startsWith('{')) return text
  const head = text.slice(0, text.indexOf('\n') === -1 ? undefined : text.indexOf('\n'))
  const note = checkpointIn(isLogHead(head) ? head : text)
  if (note === undefined) throw usage('an earlier checkpoint must be a signed note, or a certificate or an export that holds one')
  return note
}

function checkpointIn(json: string): string | undefined {
  const value = parsed(json)
  return typeof value?.checkpoint === 'string' ? value.checkpoint : undefined
}

/** Any version of the format: that an unknown one is not read is the verifier's to say. */
const isLogHead = (head: string): boolean => String(parsed(head)?.format).startsWith(LOG_FORMAT.slice(0, LOG_FORMAT.indexOf('/') + 1))

function parsed(json: string): { readonly format?: unknown; readonly checkpoint?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
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
  const head = Buffer.concat(taken).toString('utf8').split('\n', 1)[0]!
  return { head, all: chain(taken, pieces) }
}

function* chain(taken: readonly Uint8Array[], rest: Iterator<Uint8Array>): Generator<Uint8Array> {
  yield* taken
  for (let next = rest.next(); !next.done; next = rest.next()) yield next.value
}

function whole(pieces: Iterable<Uint8Array>, path: string): string {
  const held: Uint8Array[] = []
  let length = 0
  for (const piece of pieces) {
    length += piece.length
    if (length > MOST_BYTES) throw notVerified(`\`${path}\` is larger than any certificate`)
    held.push(piece.slice())
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(held))
  } catch {
    throw notVerified(`\`${path}\` is not UTF-8`)
  }
}

function withPieces<T>(path: string, read: (pieces: Iterator<Uint8Array>) => T): T {
  let fd: number
  try {
    fd = path === '-' ? STDIN : openSync(path, 'r')
  } catch (fault) {
    const { code } = fault as NodeJS.ErrnoException
    throw code === 'ENOENT' ? new CommandFailure(EXIT.not_found, `there is no file \`${path}\``) : usage(`\`${path}\` can not be read (${code})`)
  }
  try {
    return read(piecesOf(fd))
  } finally {
    if (fd !== STDIN) closeSync(fd)
  }
}

function* piecesOf(fd: number): Generator<Uint8Array, undefined> {
  const piece = new Uint8Array(PIECE_BYTES)
  for (let count = readPiece(fd, piece); count > 0; count = readPiece(fd, piece)) yield piece.subarray(0, count)
  return undefined
}

/** A pipe whose writer is not ready yet answers EAGAIN, and on Windows its end is an error. */
function readPiece(fd: number, piece: Uint8Array): number {
  for (;;) {
    try {
      return readSync(fd, piece)
    } catch (fault) {
      const { code } = fault as NodeJS.ErrnoException
      if (code === 'EOF') return 0
      if (code !== 'EAGAIN') throw fault
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
    }
  }
}
