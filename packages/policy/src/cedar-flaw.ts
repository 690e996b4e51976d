import type { DetailedError } from '@cedar-policy/cedar-wasm/nodejs'
import type { Complaint } from './complaint.ts'
import { placeAt, unitAtByte } from './place.ts'

/** A file, or a part of one that Cedar was shown alone. */
export type Shown = {
  readonly file: string
  readonly text: string
  /** Where in the text begins what Cedar was shown, in UTF-16 code units. */
  readonly from: number
}

const PREFIX = /^(?:failed to parse [a-z ]+ from string: |error parsing schema: |for policy `[^`]*`[,:] )+/

/** What Cedar says of a text, at its place in the file. */
export function complaintOf(flaw: DetailedError, shown: Shown): Complaint {
  const found = flaw.sourceLocations?.[0]
  const at = found === undefined ? shown.from : shown.from + unitAtByte(shown.text.slice(shown.from), found.start)
  const message = plain(flaw.message)
  const hint = flaw.help ?? found?.label ?? undefined
  return { file: shown.file, ...placeAt(shown.text, at), message, ...(hint === undefined ? {} : { hint }) }
}

/** A flaw and those that were found with it. */
export const allFlaws = (flaws: readonly DetailedError[]): readonly DetailedError[] =>
  flaws.flatMap((flaw) => [flaw, ...allFlaws(flaw.related ?? [])])

export const plain = (message: string): string => message.replace(PREFIX, '').replace(PREFIX, '')
