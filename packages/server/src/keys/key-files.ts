import { createPrivateKey, type KeyObject } from 'node:crypto'
import {
  closeSync, fstatSync, fsyncSync, linkSync, mkdirSync, openSync, readdirSync, readFileSync, statSync, unlinkSync, writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import { STREAMS, type Stream } from '@writ/domain/event'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { Entropy } from '../platform/entropy.ts'
import { failpoint } from '../platform/failpoint.ts'
import { MASTER_KEY_BYTES, masterKeyOf, type MasterKey } from './master-key.ts'

export type KeyFileRefusal =
  | { readonly kind: 'missing'; readonly path: string }
  | { readonly kind: 'unreadable'; readonly path: string; readonly code: string }
  | { readonly kind: 'too_open'; readonly path: string; readonly mode: number; readonly wanted: number }
  | { readonly kind: 'not_a_key'; readonly path: string; readonly wanted: 'master' | 'log' }

export type CreateKeysRefusal =
  | { readonly kind: 'already_exists'; readonly path: string }
  | { readonly kind: 'unwritable'; readonly path: string; readonly code: string }

/** What the key directory holds; the newest master key first. */
export type KeyFiles = {
  readonly masters: readonly [MasterKey, ...MasterKey[]]
  readonly logs: Readonly<Record<Stream, KeyObject>>
}

const MASTER_FILE = /^master(?:-([1-9]\d{0,5}))?\.key$/
const FIRST_MASTER = 'master.key'
const LONGEST_FILE = 4096
const DIRECTORY_MODE = 0o700
const FILE_MODE = 0o600
/** RFC 8410 §7: what stands before the 32 bytes in the PKCS #8 form of an Ed25519 private key. */
const ED25519_PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')
/** Windows keeps rights in lists that a mode does not show. */
const HAS_MODES = process.platform !== 'win32'

const logFile = (stream: Stream): string => `log-${stream}.key`

export function readKeyFiles(directory: string): Outcome<KeyFiles, KeyFileRefusal> {
  const dir = resolve(directory)
  const names = namesOf(dir)
  if (!names.ok) return names

  const masters: MasterKey[] = []
  for (const name of names.value.filter((one) => MASTER_FILE.test(one)).toSorted((a, b) => generationOf(b) - generationOf(a))) {
    const text = readKeyFile(join(dir, name))
    if (!text.ok) return text
    const bytes = masterBytes(text.value)
    if (bytes === undefined) return refuse({ kind: 'not_a_key', path: join(dir, name), wanted: 'master' })
    masters.push(masterKeyOf(bytes))
  }
  const [newest, ...older] = masters
  if (newest === undefined) return refuse({ kind: 'missing', path: join(dir, FIRST_MASTER) })

  const logs: Partial<Record<Stream, KeyObject>> = {}
  for (const stream of STREAMS) {
    const path = join(dir, logFile(stream))
    const text = readKeyFile(path)
    if (!text.ok) return text
    const key = logKey(text.value)
    if (key === undefined) return refuse({ kind: 'not_a_key', path, wanted: 'log' })
    logs[stream] = key
  }
  return ok({ masters: [newest, ...older], logs: logs as Record<Stream, KeyObject> })
}

/**
 * Makes the keys of a new installation. The master key is written last and marks the set as complete: when a crash comes before it, the
 * next call goes on with what is there. Nothing that exists is ever overwritten.
 */
export function createKeys(directory: string, entropy: Entropy): Outcome<{ readonly directory: string }, CreateKeysRefusal> {
  const dir = resolve(directory)
  return writing(dir, () => {
    mkdirSync(dir, { recursive: true, mode: DIRECTORY_MODE })
    const master = readdirSync(dir).find((name) => MASTER_FILE.test(name))
    if (master !== undefined) return refuse({ kind: 'already_exists', path: join(dir, master) })
    for (const stream of STREAMS) writeNew(join(dir, logFile(stream)), newLogKey(entropy), entropy)
    failpoint('keys.logs.before_master')
    const path = join(dir, FIRST_MASTER)
    if (!writeNew(path, newMasterKey(entropy), entropy)) return refuse({ kind: 'already_exists', path })
    return ok({ directory: dir })
  })
}

/** Adds a master key that seals from the next start on. The older ones stay, for as long as something is sealed under them. */
export function addMasterKey(directory: string, entropy: Entropy): Outcome<{ readonly path: string }, CreateKeysRefusal> {
  const dir = resolve(directory)
  return writing(dir, () => {
    const newest = Math.max(1, ...readdirSync(dir).filter((name) => MASTER_FILE.test(name)).map(generationOf))
    const path = join(dir, `master-${newest + 1}.key`)
    return writeNew(path, newMasterKey(entropy), entropy) ? ok({ path }) : refuse({ kind: 'already_exists', path })
  })
}

/** `master.key` is the first generation. */
const generationOf = (name: string): number => Number(MASTER_FILE.exec(name)?.[1] ?? 1)

const newMasterKey = (entropy: Entropy): string => `${Buffer.from(entropy.bytes(MASTER_KEY_BYTES)).toString('base64')}\n`

function newLogKey(entropy: Entropy): string {
  const key = createPrivateKey({ key: Buffer.concat([ED25519_PKCS8, entropy.bytes(32)]), format: 'der', type: 'pkcs8' })
  return key.export({ format: 'pem', type: 'pkcs8' }).toString()
}

function masterBytes(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text.trimEnd(), 'base64')
  return bytes.length === MASTER_KEY_BYTES && bytes.toString('base64') === text.trimEnd() ? new Uint8Array(bytes) : undefined
}

function logKey(pem: string): KeyObject | undefined {
  try {
    const key = createPrivateKey(pem)
    return key.asymmetricKeyType === 'ed25519' ? key : undefined
  } catch {
    return undefined
  }
}

function namesOf(dir: string): Outcome<readonly string[], KeyFileRefusal> {
  try {
    const mode = statSync(dir).mode & 0o7777
    // The sticky bit keeps others from replacing our files: the way Kubernetes mounts secrets.
    const isReplaceable = (mode & 0o022) !== 0 && (mode & 0o1000) === 0
    if (HAS_MODES && isReplaceable) return refuse({ kind: 'too_open', path: dir, mode, wanted: DIRECTORY_MODE })
    return ok(readdirSync(dir))
  } catch (error) {
    return refuse(refusalOf(error, dir))
  }
}

/** Looks at the rights of the very file that it then reads. */
function readKeyFile(path: string): Outcome<string, KeyFileRefusal> {
  try {
    const file = openSync(path, 'r')
    try {
      const { mode, size } = fstatSync(file)
      if (HAS_MODES && (mode & 0o077) !== 0) return refuse({ kind: 'too_open', path, mode: mode & 0o777, wanted: FILE_MODE })
      return ok(size > LONGEST_FILE ? '' : readFileSync(file, 'utf8'))
    } finally {
      closeSync(file)
    }
  } catch (error) {
    return refuse(refusalOf(error, path))
  }
}

function refusalOf(error: unknown, path: string): KeyFileRefusal {
  const code = codeOf(error)
  return code === 'ENOENT' ? { kind: 'missing', path } : { kind: 'unreadable', path, code }
}

function writing<T>(dir: string, write: () => Outcome<T, CreateKeysRefusal>): Outcome<T, CreateKeysRefusal> {
  try {
    return write()
  } catch (error) {
    return refuse({ kind: 'unwritable', path: dir, code: codeOf(error) })
  }
}

/** The operating system's word for what went wrong; anything else is a bug and goes on upwards. */
function codeOf(error: unknown): string {
  if (error instanceof Error && 'syscall' in error && 'code' in error) return String(error.code)
  throw error
}

/** Writes the whole file or none of it, durably; false when the name is taken. A link, unlike a rename, never replaces. */
function writeNew(path: string, text: string, entropy: Entropy): boolean {
  const draft = `${path}.${Buffer.from(entropy.bytes(6)).toString('hex')}.draft`
  const file = openSync(draft, 'wx', FILE_MODE)
  try {
    writeFileSync(file, text)
    fsyncSync(file)
    failpoint('keys.file.before_link')
    linkSync(draft, path)
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  } finally {
    closeSync(file)
    unlinkSync(draft)
  }
  fsyncDirectory(join(path, '..'))
  return true
}

function fsyncDirectory(dir: string): void {
  if (!HAS_MODES) return
  const file = openSync(dir, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
