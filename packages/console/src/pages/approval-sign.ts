import type { ApprovalCardReply, ApprovalChoice, ApprovalReply } from '@writ/contract/approvals'
import type { AssertionResponse } from '@writ/contract/people'
import { ask } from '../api.ts'
import { approveApproval } from '../endpoints.ts'
import { signWithPasskey } from '../passkey.ts'

/** What somebody has seen and says yes to: the choice, and the hash of the envelope that holds it. */
export type Yes = { readonly choice: ApprovalChoice; readonly envelopeSha256: string; readonly reason: string }

/** WebAuthn Level 3 §5.5: how long a browser may wait for its owner. */
const SIGN_WITHIN_MS = 120_000

/** Says yes; where it has to be signed, a passkey signs the hash itself, worked out on this page. */
export async function sayYes({ id, signing }: Pick<ApprovalCardReply, 'id' | 'signing'>, { choice, envelopeSha256, reason }: Yes): Promise<ApprovalReply> {
  const assertion = signing === null ? undefined : await signatureOver(signing, envelopeSha256)
  const body = { choice, envelope_sha256: envelopeSha256, ...(reason === '' ? {} : { reason }), ...(assertion === undefined ? {} : { assertion }) }
  return ask(approveApproval, { parameters: { id }, body })
}

function signatureOver({ rp_id: rpId, credentials }: NonNullable<ApprovalCardReply['signing']>, envelopeSha256: string): Promise<AssertionResponse> {
  const allowCredentials = credentials.map((one) => ({ type: 'public-key' as const, id: one }))
  return signWithPasskey({ challenge: base64url(envelopeSha256), rpId, allowCredentials, userVerification: 'required', timeout: SIGN_WITHIN_MS })
}

/** Of bytes in hexadecimal digits. */
function base64url(hex: string): string {
  const bytes = hex.match(/../g)?.map((two) => String.fromCodePoint(Number.parseInt(two, 16))) ?? []
  return btoa(bytes.join('')).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}
