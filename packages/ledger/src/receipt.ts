import { fromBase64, fromBase64url } from './bytes.ts'
import { isObject, isRecord } from './canonical.ts'
import { fails, holds, type Checked } from './checked.ts'
import type { Checkpoint } from './checkpoint.ts'
import { opens } from './commitment.ts'
import { HASH_BYTES, leafHashOfText, type Sha256 } from './hash.ts'
import { inert } from './inert.ts'
import { parseLeaf, type Leaf } from './leaf.ts'
import { verifyInclusion } from './proof.ts'

export type Disclosure = { readonly salt: string; readonly value: string }

/** One event, and the proof that it stands in the log of one checkpoint. */
export type Receipt = {
  /** The leaf's canonical text. */
  readonly leaf: string
  readonly index: number
  /** RFC 9162 §2.1.3.1, each hash in base64. */
  readonly proof: readonly string[]
  /** The origin of the log that it stands in, where that is one before the checkpoint's: see `restored.ts`. */
  readonly log?: string
  /** The texts that the leaf commits to, as far as they are disclosed; base64url salts. */
  readonly disclosures?: { readonly [field: string]: Disclosure }
}

/** A leaf that was found in the log, with the texts that its commitments open to. */
export type ProvedLeaf = {
  readonly leaf: Leaf
  readonly index: number
  readonly hash: Uint8Array
  /** Free and personal text. It was committed to; that says nothing of its truth. */
  readonly said: ReadonlyMap<string, string>
}

/** A proof in the largest tree that we count has this many hashes. */
const LONGEST_PROOF = 64

export function parseReceipt(value: unknown): Checked<Receipt> {
  if (!isRecord(value, ['leaf', 'index', 'proof'], ['log', 'disclosures'])) {
    return fails('malformed_receipt', 'a receipt has a leaf, an index, a proof and perhaps disclosures')
  }
  const { leaf, index, proof, log, disclosures } = value
  if (typeof leaf !== 'string' || typeof index !== 'number' || !isTexts(proof) || (log !== undefined && typeof log !== 'string')) {
    return fails('malformed_receipt', 'the leaf, index or proof of a receipt is of the wrong kind')
  }
  const stood = { leaf, index, proof, ...(log === undefined ? {} : { log }) }
  if (disclosures === undefined) return holds(stood)
  if (!isDisclosures(disclosures)) return fails('malformed_receipt', 'a disclosure has a salt and a value')
  return holds({ ...stood, disclosures })
}

/** The leaf of a receipt, proved to stand in the log at this size. */
export function checkReceipt(sha256: Sha256, tree: Pick<Checkpoint, 'size' | 'root'>, receipt: Receipt): Checked<ProvedLeaf> {
  const proof = receipt.proof.map(fromBase64)
  if (proof.length > LONGEST_PROOF || !proof.every((hash) => hash?.length === HASH_BYTES)) {
    return fails('malformed_receipt', 'a proof is made of hashes of 32 bytes in base64')
  }
  const parsed = parseLeaf(receipt.leaf)
  if (!parsed.ok) return parsed
  const leaf = parsed.value
  const hash = leafHashOfText(sha256, receipt.leaf)
  const { size, root } = tree
  if (!verifyInclusion(sha256, { index: receipt.index, size, leafHash: hash, proof: proof as Uint8Array[], root })) {
    return fails('not_included', `event \`${inert(leaf.id)}\` is not leaf ${receipt.index} of the log of ${size}`)
  }
  const said = new Map<string, string>()
  for (const [field, { salt, value }] of Object.entries(receipt.disclosures ?? {})) {
    const bytes = fromBase64url(salt)
    const commitment = Object.hasOwn(leaf.commitments, field) ? leaf.commitments[field] : undefined
    if (commitment === undefined) return fails('bad_disclosure', `event \`${inert(leaf.id)}\` commits to no \`${inert(field)}\``)
    if (bytes === undefined || !opens(sha256, commitment, bytes, value)) {
      return fails('bad_disclosure', `the \`${inert(field)}\` disclosed is not the one that event \`${inert(leaf.id)}\` commits to`)
    }
    said.set(field, value)
  }
  return holds({ leaf, index: receipt.index, hash, said })
}

const isTexts = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every((one) => typeof one === 'string')

const isDisclosures = (value: unknown): value is { readonly [field: string]: Disclosure } => isObject(value) && Object.values(value).every((one) =>
  isRecord(one, ['salt', 'value']) && typeof one['salt'] === 'string' && typeof one['value'] === 'string')
