import type { ApprovalCardReply, ApprovalReply } from '@writ/contract/approvals'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { ask } from '../api.ts'
import { serverNow } from '../clock.ts'
import { listApprovals, showApproval, showDecision } from '../endpoints.ts'
import { proposalFrom, type Agreed, type Proposal } from '../policy-proposal.ts'
import { complaintsOf, type Files } from '../policy-replay.ts'
import { Inert } from '../ui/agent-words.tsx'
import { Id } from '../ui/copy.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { isAgreed, isAlike } from './routine.ts'

export type Proposing = { readonly kind: 'none' } | { readonly kind: 'making' } | { readonly kind: 'refused'; readonly why: string } | { readonly kind: 'failed'; readonly error: unknown } | { readonly kind: 'made'; readonly proposal: Proposal }

/** What a policy would be that says yes to requests like this one; made here from what is recorded, so that a link can name a request and no policy. */
export function useProposal(like: string | undefined, files: Files | undefined, may: boolean): Proposing {
  const found = useQuery<Proposal | { readonly why: string }>({
    // Made once: what an author has begun to read and to change does not become another text below the cursor.
    queryKey: ['proposal', like], enabled: ({ state }) => state.data === undefined && like !== undefined && files !== undefined && may, retry: false, refetchOnWindowFocus: false,
    queryFn: ({ signal }) => propose(like!, files!, signal),
  })
  if (like === undefined || !may) return { kind: 'none' }
  if (found.error !== null) return { kind: 'failed', error: found.error }
  if (found.data === undefined) return { kind: 'making' }
  return 'why' in found.data ? { kind: 'refused', why: found.data.why } : { kind: 'made', proposal: found.data }
}

const LOOKED_BACK_MS = 30 * 86_400_000
const MOST_LISTED = 500
/** As many as an author would look at. */
const MOST_READ = 50
const AT_ONCE = 10

async function propose(like: string, files: Files, signal: AbortSignal): Promise<Proposal | { readonly why: string }> {
  const first = await ask(showApproval, { parameters: { id: like } }, signal)
  const from = serverNow() - LOOKED_BACK_MS
  const { approvals } = await ask(listApprovals, { query: { identity: first.identity, limit: MOST_LISTED } }, signal)
  const alike = approvals.filter((one) => isAlike(one, first) && Date.parse(one.requested_at) >= from)
  const denied = alike.find(({ state }) => state === 'denied')
  if (denied !== undefined) return { why: `somebody said no to one like it: ${denied.id}` }
  const cards = await cardsOf(alike.filter(isAgreed).slice(0, MOST_READ), signal)
  const { principal } = await ask(showDecision, { parameters: { id: first.decision } }, signal)
  const proposal = proposalFrom(cards.map((card): Agreed => ({ card, principal })), files, new Date(serverNow()).toISOString().slice(0, 10))
  if ('why' in proposal) return proposal
  const [complaint] = await complaintsOf({ ...files, [proposal.file]: proposal.text }, signal)
  return complaint === undefined ? proposal : { why: `no policy may hold what was asked: ${complaint.message}` }
}

/** Of what was lowered, as it was lowered; where that is kept no more, nobody can say what was agreed to. */
async function cardsOf(approvals: readonly ApprovalReply[], signal: AbortSignal): Promise<readonly ApprovalCardReply[]> {
  const cards: ApprovalCardReply[] = []
  for (let i = 0; i < approvals.length; i += AT_ONCE) cards.push(...await Promise.all(approvals.slice(i, i + AT_ONCE).map(({ id }) => ask(showApproval, { parameters: { id } }, signal))))
  return cards.flatMap((card) => (card.choice?.scope !== 'edited' ? [card] : card.edited_arguments === null ? [] : [{ ...card, arguments: card.edited_arguments }]))
}

/** Above the editor: where the text in it comes from, and that nothing has happened yet. */
export function ProposalNote({ of, like }: { readonly of: Proposing; readonly like: string | undefined }) {
  if (like === undefined || of.kind === 'none') return null
  if (of.kind === 'making') return <p className="w-loading" role="status">reading what was approved…</p>
  if (of.kind === 'failed') return <ProblemNote error={of.error} />
  const request = <Link to="/approvals/$id" params={{ id: like }}><Id of={like} /></Link>
  if (of.kind === 'refused') return <p className="w-problem" role="status">Nothing can be proposed from {request} and those like it: <Inert text={of.why} most={400} />.</p>
  const { file, from, forbidden } = of.proposal
  return (
    <div className="w-routine" role="note">
      <strong>A proposal, not applied.</strong> <code>{file}</code> is made from {from} requests like {request} that people approved. Read it, simulate it, and apply it with a reason of your own, or leave it.
      {forbidden !== null && <> <strong>It changes nothing by itself:</strong> <code><Inert text={forbidden} most={200} /></code> forbids them until they are approved, and no permit outweighs a forbid. The exception has to stand there.</>}
    </div>
  )
}
