import { equal } from './bytes.ts'
import { canonical, isRecord, parseJson, toCanonical } from './canonical.ts'
import { fails, holds, type Checked } from './checked.ts'
import { openCheckpoint, parseCheckpoint, type Checkpoint } from './checkpoint.ts'
import { closureOf, type Closure } from './closure.ts'
import type { Primitives, Sha256 } from './hash.ts'
import { inert } from './inert.ts'
import { parseNote, type VerifierKey } from './note.ts'
import { checkReceipt, parseReceipt, type ProvedLeaf, type Receipt } from './receipt.ts'
import { readRestored, RESTORED, type Restored, type Tree } from './restored.ts'

export const CERTIFICATE_FORMAT = 'writ-closure-certificate/1'

/** One JSON file. `summary` is for readers without a verifier, and must equal what the receipts show. */
export type Certificate = {
  readonly format: typeof CERTIFICATE_FORMAT
  /** A signed note (C2SP tlog-checkpoint). */
  readonly checkpoint: string
  readonly receipts: readonly Receipt[]
  readonly summary: Closure
}

/**
 * How the certificate stands to a checkpoint that the auditor held before. Only at the same size can the two be compared from the
 * certificate alone; at any other size it takes the log (`verifyLog`), and so the answer is *not evaluated*.
 */
export type Earlier = { readonly size: number; readonly kind: 'same_tree' | 'not_evaluated' }

export type VerifiedCertificate = {
  readonly closure: Closure
  readonly checkpoint: Checkpoint
  readonly earlier: readonly Earlier[]
  /** The restores between the first of the receipts and the checkpoint, the last one first. */
  readonly restores: readonly Restored[]
}

/** More receipts than this in one certificate is a mistake or an attack. */
const MOST_RECEIPTS = 200_000

/**
 * The certificate's text, with its summary derived from the receipts. Refuses what its own verifier would; the one thing not checked
 * is the signature, whose key the caller holds.
 */
export function printCertificate(sha256: Sha256, checkpoint: string, receipts: readonly Receipt[]): Checked<string> {
  const note = parseNote(checkpoint)
  if (!note.ok) return note
  const body = parseCheckpoint(note.value.text)
  if (!body.ok) return body
  const shown = closureFrom(sha256, body.value, receipts)
  if (!shown.ok) return shown
  const certificate: Certificate = { format: CERTIFICATE_FORMAT, checkpoint, receipts, summary: shown.value.closure }
  return holds(`${JSON.stringify(certificate, null, 2)}\n`)
}

/** What a certificate shows, given nothing but the log's public key; `earlier` are signed notes that the auditor trusts. */
export function verifyCertificate(
  primitives: Primitives,
  key: VerifierKey,
  text: string,
  earlier: readonly string[] = [],
): Checked<VerifiedCertificate> {
  const parsed = parseJson(text)
  if (!parsed.ok) return parsed
  const file = parsed.value
  if (!isRecord(file, ['format', 'checkpoint', 'receipts', 'summary'])) {
    return fails('malformed_certificate', 'a certificate has a format, a checkpoint, receipts and a summary, and nothing else')
  }
  if (file['format'] !== CERTIFICATE_FORMAT) return fails('malformed_certificate', `the format is not \`${CERTIFICATE_FORMAT}\``)
  if (typeof file['checkpoint'] !== 'string' || !Array.isArray(file['receipts']) || file['receipts'].length > MOST_RECEIPTS) {
    return fails('malformed_certificate', 'the checkpoint is not a text, or the receipts are not a list')
  }
  const checkpoint = openCheckpoint(primitives, key, file['checkpoint'])
  if (!checkpoint.ok) return checkpoint
  const receipts: Receipt[] = []
  for (const value of file['receipts']) {
    const receipt = parseReceipt(value)
    if (!receipt.ok) return receipt
    receipts.push(receipt.value)
  }
  const shown = closureFrom(primitives.sha256, checkpoint.value, receipts)
  if (!shown.ok) return shown
  const summary = toCanonical(file['summary'])
  if (!summary.ok) return summary
  const { closure, logs } = shown.value
  if (summary.value !== canonical(closure)) return fails('wrong_summary', 'the summary is not what the receipts show')
  const compared = compare(primitives, key, logs, earlier)
  if (!compared.ok) return compared
  return holds({ closure, checkpoint: checkpoint.value, earlier: compared.value, restores: logs.flatMap(({ restored }) => (restored === null ? [] : [restored])) })
}

type Shown = { readonly closure: Closure; readonly logs: readonly LogOfCertificate[] }

/** A log of which the certificate proves a tree: the checkpoint's, and those that each restore says came before. */
type LogOfCertificate = { readonly origin: string; readonly tree: Tree; /** Counted back from the checkpoint's log. */ readonly first: number; readonly restored: Restored | null }

function closureFrom(sha256: Sha256, checkpoint: Checkpoint, receipts: readonly Receipt[]): Checked<Shown> {
  const logs: LogOfCertificate[] = [{ origin: checkpoint.origin, tree: checkpoint, first: 0, restored: null }]
  const leaves: ProvedLeaf[] = []
  // From the last to the first: the leaf that names the log before stands before everything else of its own.
  for (const receipt of receipts.toReversed()) {
    const log = logs.find((one) => one.origin === (receipt.log ?? checkpoint.origin))
    if (log === undefined) return fails('foreign_receipt', `no receipt shows that the log \`${inert(receipt.log ?? '')}\` came before this one`)
    const proved = checkReceipt(sha256, log.tree, receipt)
    if (!proved.ok) return proved
    if (proved.value.leaf.type !== RESTORED) {
      leaves.push({ ...proved.value, index: log.first + receipt.index })
      continue
    }
    const restored = readRestored(sha256, proved.value.leaf)
    if (!restored.ok) return restored
    if (receipt.index !== 0 || log !== logs.at(-1)) return fails('out_of_order', 'a restore is told of by the first leaf of a log, and once')
    const { before, stood } = restored.value
    if (logs.some((one) => one.origin === before.name)) return fails('repeated', `the log \`${inert(before.name)}\` came before itself`)
    logs.push({ origin: before.name, tree: stood, first: log.first - stood.size, restored: restored.value })
  }
  const closure = closureOf(leaves.toReversed())
  if (!closure.ok) return closure
  const isInOrder = leaves.every(({ index }, i) => i === 0 || index < leaves[i - 1]!.index)
  return isInOrder ? holds({ closure: closure.value, logs }) : fails('out_of_order', 'the receipts do not stand in the order of the log')
}

function compare(primitives: Primitives, key: VerifierKey, logs: readonly LogOfCertificate[], earlier: readonly string[]): Checked<readonly Earlier[]> {
  const answers: Earlier[] = []
  for (const note of earlier) {
    const opened = openEither(primitives, key, logs, note)
    if (!opened.ok) return fails(opened.refusal.kind, `the earlier checkpoint: ${opened.refusal.detail}`)
    const { size, root, origin } = opened.value
    const { tree } = logs.find((log) => log.origin === origin)!
    if (size === tree.size && !equal(root, tree.root)) return fails('forked', `the log has two different trees of ${size} leaves`)
    answers.push({ size, kind: size === tree.size ? 'same_tree' : 'not_evaluated' })
  }
  return holds(answers)
}

/** With the key of the log, or with that of one before it. */
function openEither(primitives: Primitives, key: VerifierKey, logs: readonly LogOfCertificate[], note: string): Checked<Checkpoint> {
  const opened = openCheckpoint(primitives, key, note)
  if (opened.ok) return opened
  const older = logs.flatMap(({ restored }) => (restored === null ? [] : [openCheckpoint(primitives, restored.before, note)]))
  return older.find((one) => one.ok) ?? opened
}
