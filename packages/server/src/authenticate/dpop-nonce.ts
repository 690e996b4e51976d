import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto'
import { seconds, type EpochMs } from '@writ/domain/time'

/**
 * RFC 9449 §8, §9: nonces that every server knows and none remembers: the HMAC of a stretch of time under a key that they share. Nobody
 * can tell one before its time, so that a proof made ahead of time is worth nothing.
 */
export type DpopNonces = {
  /** What a client should put into its next proof. */
  current(now: EpochMs): string
  /** Whether it was current at some time of the last one to two minutes. */
  isRecent(nonce: string, now: EpochMs): boolean
}

const STRETCH = seconds(60)

/** Makes nonces with the first key and knows those of any, so that a new master key puts nobody out. */
export function dpopNonces(keys: readonly KeyObject[]): DpopNonces {
  const newest = keys[0]
  if (newest === undefined) throw new Error('nonces need a key')
  const of = (key: KeyObject, stretch: number): Buffer => createHmac('sha256', key).update(String(stretch)).digest()
  return {
    current: (now) => of(newest, Math.floor(now / STRETCH)).toString('base64url'),
    isRecent(nonce, now) {
      const given = Buffer.from(nonce, 'latin1')
      const stretch = Math.floor(now / STRETCH)
      // One ahead: the clock of the server that gave it may be a little before ours.
      return keys.some((key) => [stretch, stretch - 1, stretch + 1].some((one) => isEqual(Buffer.from(of(key, one).toString('base64url')), given)))
    },
  }
}

const isEqual = (ours: Uint8Array, given: Uint8Array): boolean => ours.length === given.length && timingSafeEqual(ours, given)
