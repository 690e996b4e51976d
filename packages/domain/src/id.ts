import type { EpochMs } from './time.ts'

declare const kind: unique symbol

/** The prefix of each kind of id, as it stands in URLs, events and on the command line. */
export const ID_PREFIX = {
  identity: 'nhi',
  admission: 'adm',
  credential: 'crd',
  owner: 'own',
  backend: 'bck',
  issuer: 'iss',
  binding: 'bnd',
  task: 'tsk',
  lease: 'lse',
  event: 'evt',
  finding: 'fnd',
  incident: 'inc',
  operator: 'opr',
  installation: 'ins',
  backup: 'bkp',
  restore: 'rst',
  decision: 'dec',
  mcpServer: 'mcp',
  serverInstance: 'srv',
  person: 'psn',
  signIn: 'sgn',
  passkey: 'pky',
  approval: 'apr',
  noticeTarget: 'ntt',
  notice: 'ntc',
  stop: 'stp',
} as const

export type IdKind = keyof typeof ID_PREFIX
export type Id<K extends IdKind> = string & { readonly [kind]: K }

export type IdentityId = Id<'identity'>
export type AdmissionId = Id<'admission'>
export type CredentialId = Id<'credential'>
export type BackendId = Id<'backend'>
export type IssuerId = Id<'issuer'>
export type BindingId = Id<'binding'>
export type TaskId = Id<'task'>
export type LeaseId = Id<'lease'>
export type EventId = Id<'event'>
export type FindingId = Id<'finding'>
export type IncidentId = Id<'incident'>
export type OperatorId = Id<'operator'>
export type BackupId = Id<'backup'>
export type RestoreId = Id<'restore'>
export type DecisionId = Id<'decision'>
export type McpServerId = Id<'mcpServer'>
export type ServerInstanceId = Id<'serverInstance'>
export type PersonId = Id<'person'>
export type SignInId = Id<'signIn'>
export type PasskeyId = Id<'passkey'>
export type ApprovalId = Id<'approval'>
export type NoticeTargetId = Id<'noticeTarget'>
export type NoticeId = Id<'notice'>
export type StopId = Id<'stop'>

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz'

/**
 * Mints `tsk_` + 26 characters: an RFC 9562 §5.7 UUIDv7 in lower-case Crockford base 32, so that ids sort by time.
 * `random` is 10 bytes of entropy.
 */
export function mintId<K extends IdKind>(of: K, now: EpochMs, random: Uint8Array): Id<K> {
  if (random.length !== 10) throw new Error('mintId needs 10 bytes of entropy')
  const bytes = new Uint8Array(16)
  let at: number = now
  for (let i = 5; i >= 0; i--) {
    bytes[i] = at % 256
    at = Math.floor(at / 256)
  }
  bytes.set(random, 6)
  bytes[6] = (bytes[6]! & 0x0f) | 0x70
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  return `${ID_PREFIX[of]}_${base32(bytes)}` as Id<K>
}

/** No id of this kind that is minted at this instant or later comes before it. */
export const firstIdAt = <K extends IdKind>(of: K, at: EpochMs): Id<K> => mintId(of, at, new Uint8Array(10))

/** The id, or undefined when the text is not one of this kind. */
export function parseId<K extends IdKind>(of: K, text: string): Id<K> | undefined {
  return new RegExp(`^${ID_PREFIX[of]}_[0-7][${CROCKFORD}]{25}$`).test(text) ? (text as Id<K>) : undefined
}

/** When the id was minted: RFC 9562 §5.7 puts the milliseconds first. `text` is its 26 characters. Undefined when they are none. */
export function mintedAt(text: string): EpochMs | undefined {
  if (!new RegExp(`^[0-7][${CROCKFORD}]{25}$`).test(text)) return undefined
  const value = Array.from(text).reduce((sum, character) => (sum << 5n) | BigInt(CROCKFORD.indexOf(character)), 0n)
  return Number(value >> 80n) as EpochMs
}

function base32(bytes: Uint8Array): string {
  let value = 0n
  for (const byte of bytes) value = (value << 8n) | BigInt(byte)
  let text = ''
  for (let i = 0; i < 26; i++) {
    text = CROCKFORD[Number(value & 31n)]! + text
    value >>= 5n
  }
  return text
}
