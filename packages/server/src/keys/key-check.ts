import { createHmac } from 'node:crypto'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { derive, type MasterKey } from './master-key.ts'

/**
 * R38: the store keeps a text that only its own master key makes, so that a server with another key stops before it writes anything.
 */
export type KeyCheckRefusal =
  | { readonly kind: 'malformed_key_check' }
  | { readonly kind: 'wrong_master_key'; readonly wanted: string; readonly held: readonly string[] }

/** The text to keep in the store; it reveals nothing of the key. */
export function keyCheckOf(master: MasterKey): string {
  const proof = createHmac('sha256', derive(master.bytes, 'key-check')).update('writ key check 1').digest('base64url')
  return `k1.${master.id}.${proof}`
}

export function checkKey(masters: readonly MasterKey[], stored: string): Outcome<MasterKey, KeyCheckRefusal> {
  const [version, wanted = '', proof, ...more] = stored.split('.')
  if (version !== 'k1' || proof === undefined || more.length > 0) return refuse({ kind: 'malformed_key_check' })
  const found = masters.find((master) => keyCheckOf(master) === stored)
  return found ? ok(found) : refuse({ kind: 'wrong_master_key', wanted, held: masters.map(({ id }) => id) })
}
