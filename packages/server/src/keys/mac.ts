import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto'

/** Decision 13: marks an event row at the moment of its change, so that a row forged before it is sealed into the log is found. */
export type EventMac = {
  /** HMAC-SHA256 (RFC 2104), 32 bytes. `leaf` is the exact bytes of the leaf. */
  macOf(leaf: Uint8Array): Uint8Array
  isAuthentic(leaf: Uint8Array, mac: Uint8Array): boolean
}

/** Marks with the first key and accepts the mark of any, so that rows written before a new master key are still known. */
export function eventMacOf(keys: readonly KeyObject[]): EventMac {
  const newest = keys[0]
  if (newest === undefined) throw new Error('an event MAC needs a key')
  return {
    macOf: (leaf) => hmac(newest, leaf),
    isAuthentic: (leaf, mac) => keys.some((key) => isEqual(hmac(key, leaf), mac)),
  }
}

const hmac = (key: KeyObject, bytes: Uint8Array): Uint8Array => new Uint8Array(createHmac('sha256', key).update(bytes).digest())

const isEqual = (ours: Uint8Array, theirs: Uint8Array): boolean => ours.length === theirs.length && timingSafeEqual(ours, theirs)
