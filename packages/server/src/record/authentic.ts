import type { EventLeaf } from '@writ/domain/event'
import { leafHash } from '@writ/ledger/hash'
import type { EventMac } from '../keys/mac.ts'
import type { StoredEvent } from '../store/events.ts'
import { sha256 } from './append.ts'

/**
 * Whether Writ wrote this row: the leaf carries our MAC (decision 13), and the columns beside it say what the leaf says. Without the
 * second, a copy of an honest row could stand again under another id, or in the other log.
 */
export function isAuthentic(eventMac: EventMac, event: StoredEvent): boolean {
  const bytes = Buffer.from(event.text, 'utf8')
  if (!eventMac.isAuthentic(bytes, event.mac) || Buffer.compare(leafHash(sha256, bytes), event.leafHash) !== 0) return false
  const leaf = JSON.parse(event.text) as EventLeaf
  return leaf.id === event.id && leaf.stream === event.stream && leaf.type === event.type && leaf.at === event.at
    && leaf.task === event.task && leaf.identity === event.identity
}
