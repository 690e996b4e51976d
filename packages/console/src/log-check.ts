import type { LogReply } from '@writ/contract/events'
import { openCheckpoint } from '@writ/ledger/checkpoint'
import { parseVerifierKey } from '@writ/ledger/note'
import { canVerify, withBrowserCrypto } from './browser-crypto.ts'

/** What became of looking at the logs' newest checkpoints here, in this browser. */
export type LogCheck =
  | { readonly kind: 'verified'; readonly at: number; readonly says: string }
  | { readonly kind: 'failed'; readonly at: number; readonly says: string }
  | { readonly kind: 'not_evaluated'; readonly says: string }

/** The key of each log as this browser has seen it: another key under the same name is another log. */
const SEEN = 'writ.log-keys'
type Seen = Readonly<Record<string, string>>

/** Of this page alone: what another one asked for before may be older. */
const sizes = new Map<string, number>()

/** Each log's newest checkpoint is signed by the log's own key, that key is the one that was seen here before, and the log has not shrunk. */
export async function checkLogs(logs: readonly LogReply[], now: number): Promise<LogCheck> {
  if (!(await canVerify())) return { kind: 'not_evaluated', says: 'this browser can not check Ed25519 signatures here' }
  const seen = seenKeys()
  const faults = (await Promise.all(logs.map((log) => faultOf(log, seen)))).filter((fault) => fault !== undefined)
  if (faults.length > 0) return { kind: 'failed', at: now, says: faults.join('; ') }
  localStorage.setItem(SEEN, JSON.stringify({ ...seen, ...Object.fromEntries(logs.map((log) => [log.origin, log.vkey])) }))
  for (const log of logs) sizes.set(log.origin, log.size)
  const told = logs.map((log) => `${log.stream}: ${log.size.toLocaleString('en')} leaves`).join(', ')
  return { kind: 'verified', at: now, says: `the newest checkpoint of each log is signed by the key that this browser knows it by, and no log has shrunk (${told})` }
}

async function faultOf(log: LogReply, seen: Seen): Promise<string | undefined> {
  const [key, size] = [seen[log.origin], sizes.get(log.origin) ?? 0]
  if (key !== undefined && key !== log.vkey) return `the ${log.stream} log shows another key than before`
  if (size > log.size) return `the ${log.stream} log had ${size} leaves and has ${log.size}`
  return withBrowserCrypto((primitives) => {
    const verifier = parseVerifierKey(primitives.sha256, log.vkey)
    if (!verifier.ok) return `the ${log.stream} log: ${verifier.refusal.detail}`
    const checkpoint = openCheckpoint(primitives, verifier.value, log.checkpoint)
    return checkpoint.ok ? undefined : `the ${log.stream} log: ${checkpoint.refusal.detail}`
  })
}

/** The verifier key of each log by its origin, as this browser knows it from before. */
export function seenKeys(): Seen {
  try {
    return JSON.parse(localStorage.getItem(SEEN) ?? '{}') as Seen
  } catch {
    return {}
  }
}
