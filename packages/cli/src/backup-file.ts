import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { createGunzip } from 'node:zlib'
import { pipeline } from 'node:stream/promises'
import { CommandFailure, EXIT } from './exit.ts'

/** What a backup says of itself in its first and last line. */
export type BackupSays = {
  readonly backup: string
  readonly created_at: number
  readonly installation: string
  readonly logs: readonly { readonly stream: string; readonly origin: string; readonly size: number }[]
  readonly rows: number
  readonly sha256: string
}

const NEWLINE = 0x0a
/** More than the last line ever has. */
const TAIL_BYTES = 65_536
const HEAD_BYTES = 1_048_576

const cut = (path: string, why: string): CommandFailure => new CommandFailure(EXIT.verification_failed, `the backup \`${path}\` is not whole: ${why}`, { hints: ['take it again'] })

/**
 * Reads a backup to its end and compares the SHA-256 that its last line says. That it was written by Writ and by nobody else is for the
 * restore to find out, which has the key.
 */
export async function checkBackup(path: string): Promise<BackupSays> {
  const hash = createHash('sha256')
  let head = Buffer.alloc(0)
  let tail = Buffer.alloc(0)
  const gunzip = createGunzip({ chunkSize: 262_144 })
  const read = async (pieces: AsyncIterable<Buffer>): Promise<void> => {
    for await (const piece of pieces) {
      if (head.length < HEAD_BYTES && !head.includes(NEWLINE)) head = Buffer.concat([head, piece.subarray(0, HEAD_BYTES)])
      const held = Buffer.concat([tail, piece])
      const sure = Math.max(0, held.length - TAIL_BYTES)
      hash.update(held.subarray(0, sure))
      tail = Buffer.from(held.subarray(sure))
    }
  }
  try {
    await pipeline(createReadStream(path), gunzip, read)
  } catch (fault) {
    if (String((fault as NodeJS.ErrnoException).code).startsWith('Z_')) throw cut(path, 'it can not be unpacked')
    throw fault
  }
  if (tail.at(-1) !== NEWLINE) throw cut(path, 'its last line is missing')
  const from = tail.lastIndexOf(NEWLINE, -2) + 1
  const said = jsonOf(head.subarray(0, head.indexOf(NEWLINE)))
  const end = jsonOf(tail.subarray(from))
  if (typeof said?.backup !== 'string' || end?.end !== true) throw cut(path, 'its last line is missing')
  if (hash.update(tail.subarray(0, from)).digest('hex') !== end.sha256) throw cut(path, 'its SHA-256 is not the one that its last line says')
  const rows = Object.values(end.rows as Record<string, number>).reduce((sum, count) => sum + count, 0)
  return { ...(said as BackupSays), rows, sha256: end.sha256 }
}

function jsonOf(line: Buffer): Record<string, unknown> | undefined {
  try {
    return JSON.parse(line.toString('utf8')) as Record<string, unknown>
  } catch {
    return undefined
  }
}
