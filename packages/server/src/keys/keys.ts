import { createSecretKey, type KeyObject } from 'node:crypto'
import type { Stream } from '@writ/domain/event'
import { ok, unreachable, type Outcome } from '@writ/domain/outcome'
import type { Entropy } from '../platform/entropy.ts'
import { checkKey, keyCheckOf, type KeyCheckRefusal } from './key-check.ts'
import { readKeyFiles, type CreateKeysRefusal, type KeyFileRefusal } from './key-files.ts'
import { eventMacOf, type EventMac } from './mac.ts'
import { derive } from './master-key.ts'
import { sealerOf, sealKeysOf, type SealKey, type Sealer } from './seal.ts'
import { signerOf, type Signer } from './signer.ts'

/** What changes work with, for a thread of their own: a `KeyObject` can be posted to a worker. */
export type ChangeKeys = {
  readonly eventMac: readonly KeyObject[]
  /** For what was asked at a decision, which is kept so that it can be asked again. */
  readonly question: readonly SealKey[]
}

/** Everything that the key directory opens. The keys stand in `KeyObject`s, which no log and no `JSON.stringify` can print. */
export type Keys = {
  /** For secrets that live as long as their lease or back end. */
  readonly secrets: Sealer
  /** For stored replies that hold a secret, which live for a minute. */
  readonly replies: Sealer
  readonly eventMac: EventMac
  readonly forChanges: ChangeKeys
  /** For the nonces of DPoP proofs, the newest first; the same on every server that has this key directory. */
  readonly nonceKeys: readonly KeyObject[]
  /** For what clients of MCP carry from one request to the next, which any server that has this key directory opens. */
  readonly mcpStates: Sealer
  /** For what one server of an installation hands over to another. */
  readonly hopKeys: readonly KeyObject[]
  /** Which key signs which log. */
  readonly signers: Readonly<Record<Stream, Signer>>
  /** The text that the store keeps: written when the store is new, and again when `checkKey` answers that it is of an older key. */
  keyCheck(): string
  /** Whether the store was sealed under a master key that is here. */
  checkKey(stored: string): Outcome<{ readonly isNewest: boolean }, KeyCheckRefusal>
  /** What vouches for a backup of the store with this key check. */
  backupKey(keyCheck: string): Outcome<KeyObject, KeyCheckRefusal>
}

export function openKeys(directory: string, entropy: Entropy): Outcome<Keys, KeyFileRefusal> {
  const files = readKeyFiles(directory)
  if (!files.ok) return files
  const { masters, logs } = files.value
  const eventMacKeys = masters.map(({ bytes }) => createSecretKey(derive(bytes, 'event-mac')))
  return ok({
    secrets: sealerOf(sealKeysOf(masters, 'seal'), entropy),
    replies: sealerOf(sealKeysOf(masters, 'reply'), entropy),
    eventMac: eventMacOf(eventMacKeys),
    forChanges: { eventMac: eventMacKeys, question: sealKeysOf(masters, 'question') },
    mcpStates: sealerOf(sealKeysOf(masters, 'mcp-state'), entropy),
    hopKeys: masters.map(({ bytes }) => createSecretKey(derive(bytes, 'mcp-hop'))),
    nonceKeys: masters.map(({ bytes }) => createSecretKey(derive(bytes, 'dpop-nonce'))),
    signers: { 'non-human': signerOf(logs['non-human']), human: signerOf(logs.human) },
    keyCheck: () => keyCheckOf(masters[0]),
    checkKey: (stored) => {
      const checked = checkKey(masters, stored)
      return checked.ok ? ok({ isNewest: checked.value.id === masters[0].id }) : checked
    },
    backupKey: (keyCheck) => {
      const checked = checkKey(masters, keyCheck)
      return checked.ok ? ok(createSecretKey(derive(checked.value.bytes, 'backup'))) : checked
    },
  })
}

export type KeysRefusal = KeyFileRefusal | CreateKeysRefusal | KeyCheckRefusal

/** What is wrong and the way out, for the person who starts the server. */
export function keysMessage(refusal: KeysRefusal): string {
  switch (refusal.kind) {
    case 'missing':
      return `key file \`${refusal.path}\` is missing: put back the key directory that belongs to this store; without it nothing sealed opens`
    case 'unreadable':
      return `\`${refusal.path}\` can not be read (${refusal.code}): let the user that runs writ read it`
    case 'too_open':
      return `\`${refusal.path}\` is open to other users (mode ${octal(refusal.mode)}): run \`chmod ${octal(refusal.wanted)} ${refusal.path}\``
    case 'not_a_key':
      return `\`${refusal.path}\` does not hold ${WANTED[refusal.wanted]}: put back the file that belongs to this store`
    case 'already_exists':
      return `\`${refusal.path}\` is there already and is not overwritten: name another key directory, or go on with this one`
    case 'unwritable':
      return `no keys can be made in \`${refusal.path}\` (${refusal.code}): let the user that runs writ write there`
    case 'malformed_key_check':
      return 'the key check in the store is damaged: restore the store from a backup'
    case 'wrong_master_key': {
      const held = refusal.held.map((id) => `\`${id}\``).join(', ')
      return `the store was sealed under master key \`${refusal.wanted}\`, and the key directory holds ${held}: put back its own \`master.key\``
    }
    default:
      return unreachable(refusal)
  }
}

const WANTED = { master: '32 bytes in base64', log: 'an Ed25519 private key in PKCS #8 PEM' } as const

const octal = (mode: number): string => mode.toString(8).padStart(3, '0')
