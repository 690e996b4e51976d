import assert from 'node:assert/strict'
import { printCertificate, verifyCertificate } from '../src/certificate.ts'
import type { Closure } from '../src/closure.ts'
import { leafText, makeLog, primitives, receiptsOf, sha256, makeKey, type MadeEvent } from './made-log.ts'

const logKey = makeKey()

/** What a holder of the certificate of these events gets told: made and verified as one file. */
export function verified(events: readonly MadeEvent[]): Closure | string {
  const log = makeLog(logKey, events.map(leafText))
  const printed = printCertificate(sha256, log.note, receiptsOf(log, events))
  if (!printed.ok) return printed.refusal.kind
  const read = verifyCertificate(primitives, logKey.key, printed.value)
  return read.ok ? read.value.closure : read.refusal.kind
}

export const closureOr = (closure: Closure | string): Closure => typeof closure === 'string' ? assert.fail(closure) : closure
