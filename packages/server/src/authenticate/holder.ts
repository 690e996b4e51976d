import { createHash } from 'node:crypto'
import type { BindingId, CredentialId, IssuerId } from '@writ/domain/id'
import type { Evidence } from './authenticator.ts'

/** The workload that opens a task: which kind of evidence it came with, whose word that was, and a mark by which it is known again. */
export type Holder = {
  readonly evidence: Evidence['kind']
  readonly issuer: IssuerId | null
  readonly workload: string
  /** What let it in: revoked, it takes along what it has opened. */
  readonly openedBy: CredentialId | BindingId | null
}

/** WID-8: two callers of one identity are one workload when their issuer calls them the same, or when they hold the same registered key. */
export function holderOf({ kind, issuer, credential, binding, subject }: Evidence): Holder {
  const workload = credential === null ? markOf('issuer', issuer ?? '', subject) : workloadOfKey(credential)
  return { evidence: kind, issuer, workload, openedBy: credential ?? binding }
}

export const workloadOfKey = (credential: CredentialId): string => markOf('key', '', credential)

/** Of one length, whatever the issuer calls it. An issuer's id holds no line break, so that no two workloads have one mark. */
const markOf = (...parts: readonly [of: 'issuer' | 'key', issuer: string, name: string]): string =>
  createHash('sha256').update(parts.join('\n')).digest('base64url')
