import { createHash } from 'node:crypto'
import { epochMs, plus, seconds, type EpochMs } from '@writ/domain/time'
import type { EventMac } from '../keys/mac.ts'
import type { Clock } from '../platform/clock.ts'
import type { Entropy } from '../platform/entropy.ts'
import { isFromBeforeRestore } from './authenticator.ts'

/**
 * What a passkey has to sign, once and within some minutes. Every server knows one by its MAC and none keeps it, so that strangers who ask
 * for them fill no table; that one was used is remembered, in the very change that it opened.
 */
export type PasskeyChallenges = {
  /** `purpose`: what it is good for, and for whom; with another one it is worth nothing. */
  readonly make: (purpose: string) => string
  /** What is to be used up; undefined of what is none of ours, of another purpose or too old. */
  readonly check: (purpose: string, challenge: string) => ChallengeUse | undefined
}

/** To be used up with `takeProof`. */
export type ChallengeUse = { readonly hash: Uint8Array; readonly until: EpochMs }

export type PasskeyChallengeNeeds = {
  readonly eventMac: EventMac
  readonly clock: Clock
  readonly entropy: Entropy
  /** A restored store does not know what was used up before. */
  readonly notBefore: EpochMs | null
}

const LIVES = seconds(5 * 60)
export const PASSKEY_TIMEOUT_MS: number = LIVES
const [TIME_BYTES, RANDOM_BYTES, MAC_BYTES] = [8, 16, 32]
const CLAIM_BYTES = TIME_BYTES + RANDOM_BYTES

export function passkeyChallenges({ eventMac, clock, entropy, notBefore }: PasskeyChallengeNeeds): PasskeyChallenges {
  const marked = (purpose: string, claim: Uint8Array): Buffer => Buffer.concat([Buffer.from(`passkey\0${purpose}\0`), claim])
  return {
    make(purpose) {
      const claim = Buffer.concat([Buffer.alloc(TIME_BYTES), entropy.bytes(RANDOM_BYTES)])
      claim.writeBigUInt64BE(BigInt(plus(clock.now(), LIVES)))
      return Buffer.concat([claim, eventMac.macOf(marked(purpose, claim))]).toString('base64url')
    },
    check(purpose, challenge) {
      const bytes = Buffer.from(challenge, 'base64url')
      if (bytes.length !== CLAIM_BYTES + MAC_BYTES || bytes.toString('base64url') !== challenge) return undefined
      const claim = bytes.subarray(0, CLAIM_BYTES)
      if (!eventMac.isAuthentic(marked(purpose, claim), new Uint8Array(bytes.subarray(CLAIM_BYTES)))) return undefined
      const until = epochMs(Number(claim.readBigUInt64BE()))
      if (clock.now() >= until || isFromBeforeRestore(epochMs(until - LIVES), notBefore)) return undefined
      return { hash: new Uint8Array(createHash('sha256').update(`passkey\0${challenge}`).digest()), until }
    },
  }
}
