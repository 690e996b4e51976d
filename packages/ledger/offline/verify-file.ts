import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs'
import { isObject, parseJson } from '../src/canonical.ts'
import { verifyCertificate } from '../src/certificate.ts'
import { describeCertificate, describeLog, describeLogRefusal } from '../src/describe.ts'
import { inert } from '../src/inert.ts'
import { linesOf } from '../src/lines.ts'
import { verifyLog } from '../src/log.ts'
import { parseVerifierKey } from '../src/note.ts'
import { nodePrimitives } from './primitives.ts'

export const EXIT = { ok: 0, unexpected: 1, usage: 2, notFound: 5, verificationFailed: 21 } as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** What the program says: facts go to `out`, complaints to `err`. */
export type Said = { readonly code: ExitCode; readonly out: readonly string[]; readonly err: readonly string[] }

export const USAGE = `usage: writ-verify --key FILE.key [--checkpoint FILE]... FILE

Checks a closure certificate or a log export of Writ, offline, with nothing but the log's public key.

  --key FILE.key      the log's verifier key: \`name+hash+base64\`
  --checkpoint FILE   a checkpoint of that log that you kept: a signed note, or the certificate or export that it stands in

exit codes: 0 verified, 21 verification failed, 2 wrong usage, 5 file not found, 1 anything else`

type Asked = { readonly key: string; readonly checkpoints: readonly string[]; readonly file: string }

/** A certificate is read whole. */
const MOST_BYTES = 256 * 1024 * 1024
const PIECE_BYTES = 256 * 1024

export function run(args: readonly string[]): Said {
  if (args.includes('--help')) return { code: EXIT.ok, out: [USAGE], err: [] }
  const asked = readArguments(args)
  if (typeof asked === 'string') return { code: EXIT.usage, out: [], err: [asked, '', USAGE] }
  try {
    return verifyFile(asked)
  } catch (cause) {
    return complain(cause)
  }
}

function readArguments(args: readonly string[]): Asked | string {
  const keys: string[] = []
  const checkpoints: string[] = []
  const files: string[] = []
  for (let i = 0; i < args.length; i++) {
    const [flag = '', ...after] = args[i]!.split('=')
    if (!flag.startsWith('-')) {
      files.push(args[i]!)
      continue
    }
    if (flag !== '--key' && flag !== '--checkpoint') return `unknown flag \`${inert(flag)}\``
    const value = after.length > 0 ? after.join('=') : args[++i]
    if (value === undefined || value === '') return `\`${flag}\` needs a file`
    if (flag === '--key') keys.push(value)
    else checkpoints.push(value)
  }
  if (keys.length !== 1) return keys.length === 0 ? '`--key` is missing' : '`--key` is given twice'
  if (files.length !== 1) return files.length === 0 ? 'the file to verify is missing' : `one file at a time, not also \`${inert(files[1]!)}\``
  return { key: keys[0]!, checkpoints, file: files[0]! }
}

function verifyFile({ key: keyFile, checkpoints, file }: Asked): Said {
  const key = parseVerifierKey(nodePrimitives.sha256, wholeText(keyFile).trim())
  if (!key.ok) return { code: EXIT.usage, out: [], err: [`\`${inert(keyFile)}\` holds no verifier key: ${key.refusal.detail}`] }
  const earlier = checkpoints.map(noteIn)
  if (isExport(file)) {
    const log = withPieces(file, (pieces) => verifyLog(nodePrimitives, key.value, linesOf(pieces), earlier))
    return log.ok ? verified('log export', describeLog(log.value)) : failed(describeLogRefusal(log.refusal))
  }
  const certificate = verifyCertificate(nodePrimitives, key.value, wholeText(file), earlier)
  return certificate.ok
    ? verified('closure certificate', describeCertificate(certificate.value))
    : failed([`${certificate.refusal.kind}: ${certificate.refusal.detail}`])
}

const verified = (what: string, lines: readonly string[]): Said => ({ code: EXIT.ok, out: [`verified: ${what}`, ...lines], err: [] })

const failed = ([first = '', ...rest]: readonly string[]): Said =>
  ({ code: EXIT.verificationFailed, out: [], err: [`verification failed: ${first}`, ...rest] })

/** The signed note that a file is or, as a certificate or export, holds. */
function noteIn(file: string): string {
  const text = isExport(file) ? firstLine(file) ?? '' : wholeText(file)
  if (!text.startsWith('{')) return text
  const parsed = parseJson(text)
  const note = parsed.ok && isObject(parsed.value) ? parsed.value['checkpoint'] : undefined
  return typeof note === 'string' ? note : ''
}

/** An export of a version that we can't read is refused as one, not as a bad certificate. */
function isExport(file: string): boolean {
  const parsed = parseJson(firstLine(file) ?? '')
  const format = parsed.ok && isObject(parsed.value) ? parsed.value['format'] : undefined
  return typeof format === 'string' && format.startsWith('writ-log-export/')
}

const firstLine = (file: string): string | undefined => withPieces(file, (pieces) => linesOf(pieces).next().value ?? undefined)

/** Throws `TooLarge` for what no certificate, key or checkpoint is. */
function wholeText(file: string): string {
  const fd = openSync(file, 'r')
  try {
    if (fstatSync(fd).size > MOST_BYTES) throw new TooLarge(file)
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(readFileSync(fd))
  } finally {
    closeSync(fd)
  }
}

class TooLarge extends Error {
  constructor(file: string) {
    super(`\`${inert(file)}\` is larger than any certificate`)
    this.name = 'TooLarge'
  }
}

function withPieces<T>(file: string, read: (pieces: Iterable<Uint8Array>) => T): T {
  const fd = openSync(file, 'r')
  try {
    return read(piecesOf(fd))
  } finally {
    closeSync(fd)
  }
}

function* piecesOf(fd: number): Generator<Uint8Array> {
  const piece = new Uint8Array(PIECE_BYTES)
  for (let read = readSync(fd, piece); read > 0; read = readSync(fd, piece)) yield piece.subarray(0, read)
}

function complain(cause: unknown): Said {
  if (cause instanceof TooLarge) return failed([`malformed_certificate: ${cause.message}`])
  if (cause instanceof TypeError && 'code' in cause && cause.code === 'ERR_ENCODING_INVALID_ENCODED_DATA') {
    return failed(['malformed_certificate: a file is not UTF-8'])
  }
  const { code, path, message } = cause as NodeJS.ErrnoException
  if (code === 'ENOENT') return { code: EXIT.notFound, out: [], err: [`no file \`${inert(path ?? '')}\``] }
  return { code: EXIT.unexpected, out: [], err: [`could not verify: ${inert(message)}`] }
}
