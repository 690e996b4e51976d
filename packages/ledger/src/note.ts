import { concat, equal, fromBase64, toBase64, toHex, utf8 } from './bytes.ts'
import { fails, holds, type Checked } from './checked.ts'
import type { Primitives, Sha256 } from './hash.ts'
import { inert } from './inert.ts'

/** C2SP signed-note: an Ed25519 key and the name under which it signs. */
export type VerifierKey = { readonly name: string; readonly id: Uint8Array; readonly publicKey: Uint8Array }

export type NoteSignature = { readonly name: string; readonly id: Uint8Array; readonly signature: Uint8Array }

export type Note = { readonly text: string; readonly signatures: readonly NoteSignature[] }

/** C2SP signed-note, signature types: Ed25519. */
const ED25519 = 0x01
const PUBLIC_KEY_BYTES = 32
const SIGNATURE_BYTES = 64
const ID_BYTES = 4

/** The specification asks for at least 16. */
const MOST_SIGNATURES = 100

/** Not empty, no Unicode space, no plus, and nothing that a terminal would act on. */
const isName = (name: string): boolean => name !== '' && !/[\p{White_Space}+\p{Cc}]/u.test(name) && name.isWellFormed()

/** The key under this name. Throws when name or key can't be one: both are the caller's own. */
export function toVerifierKey(sha256: Sha256, name: string, publicKey: Uint8Array): VerifierKey {
  if (!isName(name)) throw new Error(`no key name \`${inert(name)}\``)
  if (publicKey.length !== PUBLIC_KEY_BYTES) throw new Error('an Ed25519 public key has 32 bytes')
  return { name, id: keyId(sha256, name, publicKey), publicKey }
}

/** `name+hash+base64`, as the Go checksum database and the C2SP tools write it. */
export const printVerifierKey = (key: VerifierKey): string =>
  `${key.name}+${toHex(key.id)}+${toBase64(concat(new Uint8Array([ED25519]), key.publicKey))}`

export function parseVerifierKey(sha256: Sha256, text: string): Checked<VerifierKey> {
  const found = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/u.exec(text)
  if (!found) return fails('malformed_key', 'a verifier key is `name+hash+base64`')
  const [, name = '', hash, base64 = ''] = found
  if (!isName(name)) return fails('malformed_key', 'the name in the verifier key holds a space')
  const bytes = fromBase64(base64)
  if (bytes === undefined) return fails('malformed_key', 'the verifier key is not base64')
  if (bytes[0] !== ED25519) return fails('malformed_key', 'the verifier key is not an Ed25519 key')
  const publicKey = bytes.slice(1)
  if (publicKey.length !== PUBLIC_KEY_BYTES) return fails('malformed_key', 'the verifier key does not hold 32 bytes')
  const id = keyId(sha256, name, publicKey)
  return toHex(id) === hash
    ? holds({ name, id, publicKey })
    : fails('malformed_key', 'the hash in the verifier key is not the one of its name and key')
}

/** The note: what was signed, and one line for each signature over the UTF-8 of `text`. */
export function printNote({ text, signatures }: Note): string {
  if (!text.endsWith('\n') || hasControls(text)) throw new Error('the text of a note ends in a newline and holds no other control character')
  return `${text}\n${signatures.map(({ name, id, signature }) => `\u2014 ${name} ${toBase64(concat(id, signature))}\n`).join('')}`
}

/** The signed note of a text, given its Ed25519 signature by this key. */
export const signedBy = (key: VerifierKey, text: string, signature: Uint8Array): string =>
  printNote({ text, signatures: [{ name: key.name, id: key.id, signature }] })

export function parseNote(note: string): Checked<Note> {
  if (hasControls(note)) return fails('malformed_note', 'the note holds a control character')
  const split = note.lastIndexOf('\n\n')
  if (split === -1) return fails('malformed_note', 'the note has no blank line before its signatures')
  const lines = note.slice(split + 2).split('\n')
  if (lines.pop() !== '' || lines.length === 0) return fails('malformed_note', 'the note does not end in a signature line')
  if (lines.length > MOST_SIGNATURES) return fails('malformed_note', `the note has more than ${MOST_SIGNATURES} signatures`)
  const signatures: NoteSignature[] = []
  for (const line of lines) {
    const [, name = '', base64 = ''] = /^\u2014 ([^ ]+) ([^ ]+)$/u.exec(line) ?? []
    const bytes = fromBase64(base64)
    if (!isName(name) || bytes === undefined || bytes.length <= ID_BYTES) return fails('malformed_note', 'the note has a signature line that is none')
    signatures.push({ name, id: bytes.slice(0, ID_BYTES), signature: bytes.slice(ID_BYTES) })
  }
  return holds({ text: note.slice(0, split + 1), signatures })
}

/** The text of a note that this key has signed. One bad signature under the key's name and id condemns the note. */
export function openNote(primitives: Primitives, key: VerifierKey, note: string): Checked<string> {
  const parsed = parseNote(note)
  if (!parsed.ok) return parsed
  const { text, signatures } = parsed.value
  const ours = signatures.filter(({ name, id }) => name === key.name && equal(id, key.id))
  if (ours.length === 0) return fails('unsigned', `no signature by \`${inert(key.name)}\` with this key`)
  const message = utf8(text)
  const good = ours.every(({ signature }) => signature.length === SIGNATURE_BYTES && primitives.verifyEd25519(key.publicKey, message, signature))
  return good ? holds(text) : fails('bad_signature', `the signature by \`${inert(key.name)}\` is not one over this text`)
}

/** key ID = SHA-256(key name || 0x0A || signature type || public key)[:4]. */
const keyId = (sha256: Sha256, name: string, publicKey: Uint8Array): Uint8Array =>
  sha256(concat(utf8(name), new Uint8Array([0x0a, ED25519]), publicKey)).slice(0, ID_BYTES)

const hasControls = (text: string): boolean => Array.from(text).some((character) => character < ' ' && character !== '\n') || !text.isWellFormed()
