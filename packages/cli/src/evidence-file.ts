import type { Evidence, EvidenceRefusal } from '@writ/ledger/offline/evidence-file'
import { CommandFailure, EXIT, usage } from './exit.ts'

/** What a file proves, or the failure that says in one line why it proves nothing. */
export function evidenceOf(found: { readonly ok: true; readonly value: Evidence } | { readonly ok: false; readonly refusal: EvidenceRefusal }): Evidence {
  if (found.ok) return found.value
  const { refusal } = found
  switch (refusal.kind) {
    case 'not_verified': throw notVerified(refusal.lines.join('; '))
    case 'no_key': throw usage(`\`${refusal.path}\` holds no verifier key: ${refusal.detail}`, 'it is one line, `name+hash+base64`')
    case 'no_file': throw new CommandFailure(EXIT.not_found, `there is no file \`${refusal.path}\``)
    case 'unreadable_file': throw usage(`a file can not be read: ${refusal.why}`)
  }
}

export const notVerified = (why: string): CommandFailure => new CommandFailure(EXIT.verification_failed, `verification failed: ${why}`)
