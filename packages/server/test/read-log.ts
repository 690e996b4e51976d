import assert from 'node:assert/strict'
import type { Stream } from '@writ/domain/event'
import { linesOf } from '@writ/ledger/lines'
import { verifyLog, type LogRefusal, type VerifiedLog } from '@writ/ledger/log'
import { parseVerifierKey, type VerifierKey } from '@writ/ledger/note'
import type { Checked } from '@writ/ledger/checked'
import { nodePrimitives } from '../../ledger/offline/primitives.ts'
import { exportLines } from '../src/prove/log-files.ts'
import { logsOf } from '../src/prove/logs-of-stream.ts'
import type { Store } from '../src/record/tx.ts'
import { findLog } from '../src/store/logs.ts'

export { nodePrimitives }

export function verifierKey(vkey: string): VerifierKey {
  const parsed = parseVerifierKey(nodePrimitives.sha256, vkey)
  return parsed.ok ? parsed.value : assert.fail(`the verifier key was refused: ${parsed.refusal.kind}`)
}

/** The export as an auditor holds it: one text. */
export async function exportOf(read: Store['read'], stream: Stream): Promise<string> {
  let text = ''
  const [log] = (await read((db) => logsOf(db, stream))).toReversed()
  if (log !== undefined) for await (const line of exportLines(read, log)) text += line
  return text
}

export const verifyText = (vkey: string, text: string, earlier: readonly string[] = []): Checked<VerifiedLog, LogRefusal> =>
  verifyLog(nodePrimitives, verifierKey(vkey), linesOf([Buffer.from(text, 'utf8')]), earlier)

/** Both that the log holds as a whole and that every event of the stream, and no other, has its one place in it. */
export async function assertOneChain(of: { readonly store: Store; readonly sql: (statement: string) => Promise<readonly Readonly<Record<string, unknown>>[]> }, stream: Stream): Promise<number> {
  const head = (await of.store.read((db) => findLog(db, stream)))!
  const verified = verifyText(head.vkey, await exportOf((query) => of.store.read(query), stream))
  assert.ok(verified.ok, `the log was refused: ${verified.ok ? '' : verified.refusal.detail}`)
  const rows = await of.sql(`select leaf_index from event where stream = '${stream}' and (leaf_index is null or leaf_index >= 0) order by leaf_index`)
  assert.deepEqual(rows.map((row) => Number(row['leaf_index'])), Array.from({ length: head.size }, (_, i) => i))
  return head.size
}
