import type { AccessRequestReply } from '@writ/contract/access-requests'
import { plain, type Request } from './client.ts'
import { ApprovalDenied, ApprovalExpired, ApprovalRequired } from './errors.ts'
import { inForm } from './reply.ts'

export type Waiting = { readonly forMs: number; readonly signal: AbortSignal }

type WaitOrder = {
  readonly denial: ApprovalRequired
  readonly approval: string
  readonly waiting: Waiting
  readonly ask: (path: string, more: Pick<Request, 'timeoutMs' | 'signal'>) => Promise<unknown>
}

/** The server waits for an answer in one request no longer. */
const LONGEST_WAIT_SECONDS = 30

/**
 * Returns once a person has said yes. Throws their no, that nobody answered in time, or, when the caller's own patience is over, that an answer is still
 * to come. Whatever the server says that is none of these is no yes.
 */
export async function waitForPerson({ denial, approval, waiting: { forMs, signal }, ask }: WaitOrder): Promise<ApprovalRequired> {
  const until = performance.now() + forMs
  for (;;) {
    signal.throwIfAborted()
    const seconds = Math.min(LONGEST_WAIT_SECONDS, Math.max(0, Math.ceil((until - performance.now()) / 1000)))
    const reply = inForm<AccessRequestReply>(await ask(`/access/v1/requests/${approval}?wait_seconds=${seconds}`, { timeoutMs: (seconds + 5) * 1000, signal }), { task: 'members' })
    const { status, links } = reply.task
    const told = { code: '', decision: denial.decision, explanation: denial.explanation, approval, url: plain(links?.page) ?? denial.url, traceId: denial.traceId, hint: undefined }
    if (status === 'approved') return new ApprovalRequired(denial.message, { ...told, code: 'approval_required' })
    if (status === 'denied') throw new ApprovalDenied(`a person has said no: ${denial.message}`, { ...told, code: 'approval_denied' })
    if (status !== 'pending') throw new ApprovalExpired(`it was not approved (${plain(status)}): ${denial.message}`, { ...told, code: status === 'cancelled' ? 'approval_cancelled' : 'approval_lapsed' })
    if (performance.now() >= until) {
      throw new ApprovalRequired(denial.message, { ...told, code: 'approval_required', retryable: true, hint: `nobody has answered yet${told.url === undefined ? '' : `: a person answers at ${told.url}`}` })
    }
  }
}
