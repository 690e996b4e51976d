import { equal } from './bytes.ts'
import { canonical, isRecord, parseJson, toCanonical } from './canonical.ts'
import { fails, holds, type Checked } from './checked.ts'
import { openCheckpoint, parseCheckpoint, type Checkpoint } from './checkpoint.ts'
import { closureOf, type Closure } from './closure.ts'
import type { Primitives, Sha256 } from './hash.ts'
import { parseNote, type VerifierKey } from './note.ts'
import { checkReceipt, parseReceipt, type ProvedLeaf, type Receipt } from './receipt.ts'

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

export type VerifiedCertificate = { readonly closure: Closure; readonly checkpoint: Checkpoint; readonly earlier: readonly Earlier[] }

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
  const summary = closureFrom(sha256, body.value, receipts)
  if (!summary.ok) return summary
  const certificate: Certificate = { format: CERTIFICATE_FORMAT, checkpoint, receipts, summary: summary.value }
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
  const closure = closureFrom(primitives.sha256, checkpoint.value, receipts)
  if (!closure.ok) return closure
  const summary = toCanonical(file['summary'])
  if (!summary.ok) return summary
  if (summary.value !== canonical(closure.value)) return fails('wrong_summary', 'the summary is not what the receipts show')
  const compared = compare(primitives, key, checkpoint.value, earlier)
  return compared.ok ? holds({ closure: closure.value, checkpoint: checkpoint.value, earlier: compared.value }) : compared
}

function closureFrom(sha256: Sha256, checkpoint: Checkpoint, receipts: readonly Receipt[]): Checked<Closure> {
  const leaves: ProvedLeaf[] = []
  for (const receipt of receipts) {
    const proved = checkReceipt(sha256, checkpoint, receipt)
    if (!proved.ok) return proved
    leaves.push(proved.value)
  }
  const closure = closureOf(leaves)
  const isInOrder = receipts.every(({ index }, i) => i === 0 || receipts[i - 1]!.index < index)
  return closure.ok && !isInOrder ? fails('out_of_order', 'the receipts do not stand in the order of the log') : closure
}

function compare(primitives: Primitives, key: VerifierKey, checkpoint: Checkpoint, earlier: readonly string[]): Checked<readonly Earlier[]> {
  const answers: Earlier[] = []
  for (const note of earlier) {
    const opened = openCheckpoint(primitives, key, note)
    if (!opened.ok) return fails(opened.refusal.kind, `the earlier checkpoint: ${opened.refusal.detail}`)
    const { size, root } = opened.value
    if (size === checkpoint.size && !equal(root, checkpoint.root)) return fails('forked', `the log has two different trees of ${size} leaves`)
    answers.push({ size, kind: size === checkpoint.size ? 'same_tree' : 'not_evaluated' })
  }
  return holds(answers)
}
