import { Button } from '@mantine/core'
import type { ApprovalCardReply, ApprovalChoice } from '@writ/contract/approvals'
import { useMutation, useQuery } from '@tanstack/react-query'
import { useEffect, useId, useRef, useState, type ReactNode } from 'react'
import { commandOf, curlOf } from '../commands.ts'
import { approveApproval, denyApproval, previewApproval, showApproval } from '../endpoints.ts'
import { queries, useAsk, useDo } from '../queries.ts'
import { Inert } from '../ui/agent-words.tsx'
import { CopyAs, type Commands } from '../ui/copy-as.tsx'
import { useNow } from '../ui/now.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { canUsePasskeys, NoPasskeys } from './alone.tsx'
import { Bounding, Lowering } from './approval-choices.tsx'
import { differsIn, type Answerable } from './approval-envelope.ts'
import { sayYes } from './approval-sign.ts'
import { lowerableIn } from './exact-arguments.ts'
import { PasskeyTrouble } from './sign-in.tsx'

/** What can be said to it, by whom, and what a yes would allow. */
export function ApprovalAnswer({ card }: { readonly card: ApprovalCardReply }) {
  if (card.state !== 'waiting') return null
  return <Answering card={card} />
}

type Mode = 'once' | 'edited' | 'task'

function Answering({ card }: { readonly card: ApprovalCardReply }) {
  const [mode, setMode] = useState<Mode>('once')
  const [chosen, setChosen] = useState<ApprovalChoice | null>(null)
  const [reason, setReason] = useState('')
  const offer = useOffer(card, mode, chosen)
  const yes = useYes(card, () => setMode('once'))
  const no = useDo(denyApproval)
  const deny = useDenyKey()
  const isOver = useNow() >= Date.parse(card.expires_at)
  const may = whatMay(card, isOver)
  const typed = reason.trim()
  const needsReason = card.signed && typed === ''
  const off = may.approve ?? (offer.ready === null ? offer.why : needsReason ? 'type a reason first: it is signed and kept' : undefined)
  const go = (to: Mode): void => {
    yes.reset()
    setChosen(to === 'task' && card.bound !== null ? { scope: 'task', bound: card.bound } : null)
    setMode(to === mode ? 'once' : to)
  }
  const sendYes = (): void => { if (off === undefined && offer.ready !== null) yes.mutate({ ...offer.ready, reason: typed }) }
  return (
    <form className="w-answer" aria-label="Answer" onSubmit={(event) => event.preventDefault()}>
      <WhyOff card={card} isOver={isOver} />
      {mode === 'edited' && <Lowering card={card} onChoice={setChosen} />}
      {mode === 'task' && card.bound !== null && <Bounding card={card} bound={card.bound} onChoice={setChosen} />}
      {mode !== 'once' && offer.allows !== null && <p className="w-answer-allows">Allows <strong><Inert text={offer.allows} most={2000} /></strong></p>}
      {offer.error !== null && <ProblemNote error={offer.error} />}
      {offer.differs !== null && <p role="alert" className="w-problem">What the server shows is not what it would have you say yes to: {offer.differs} differs. Nothing was answered; tell whoever runs this server.</p>}
      {yes.error !== null && <PasskeyTrouble error={yes.error} />}
      {no.error !== null && <ProblemNote error={no.error} />}
      {may.deny === undefined && <Reason value={reason} isNeeded={card.signed} onChange={setReason} />}
      <div className="w-answer-buttons">
        {mode === 'once' && <Deed off={off} isMain isBusy={yes.isPending} onPress={sendYes}>{onceLabel(card)}</Deed>}
        {mode !== 'once' && <Deed off={off} isMain isBusy={yes.isPending} onPress={sendYes}>{mode === 'edited' ? 'Approve as lowered' : 'Approve for this task'}</Deed>}
        {card.choice === null && <Deed off={may.approve ?? (lowerableIn(card.arguments ?? '').length === 0 ? 'there is no whole number in it that could be lowered' : undefined)} isOpen={mode === 'edited'} onPress={() => go('edited')}>Edit + approve</Deed>}
        {card.choice === null && card.bound !== null && <Deed off={may.approve} isOpen={mode === 'task'} onPress={() => go('task')}>For this task…</Deed>}
        <span className="w-spring" />
        <CopyAs commands={commandsOf(card, offer.ready, typed)} />
        <Deed off={may.deny} isStop isBusy={no.isPending} onPress={() => no.mutate({ parameters: { id: card.id }, body: typed === '' ? {} : { reason: typed } })} own={deny}>Deny</Deed>
      </div>
    </form>
  )
}

const onceLabel = ({ choice, signed }: ApprovalCardReply): string => `${choice === null ? 'Approve once' : 'Approve the same'}${signed ? ', signed' : ''}`

type May = { readonly approve: string | undefined; readonly deny: string | undefined }

/** Why each is off. Whoever has no passkey can still say no. */
function whatMay({ you, signed }: ApprovalCardReply, isOver: boolean): May {
  if (isOver) return { approve: 'its time is over', deny: 'its time is over' }
  const why = you.may ? undefined : you.say ?? 'you may not answer this'
  return { approve: why ?? (signed && !canUsePasskeys() ? 'this browser can use no passkey here' : undefined), deny: you.why_not === 'no_passkey' ? undefined : why }
}

function WhyOff({ card, isOver }: { readonly card: ApprovalCardReply; readonly isOver: boolean }) {
  if (isOver) return <p className="w-answer-off" role="status"><strong>Its time is over: DENIED.</strong></p>
  const { you, who_can_decide: who } = card
  const names = who.people.map(({ name }) => name)
  if (!you.may) {
    return (
      <p className="w-answer-off" role="status">
        <strong>You can not approve this: {you.say ?? 'you may not answer it'}.</strong> Can decide: {names.length > 0 ? <><Inert text={names.join(', ')} most={300} /> ({who.say})</> : who.say}.
        {you.why_not === 'no_passkey' && <> Make a passkey in your <a href="/settings">settings</a> first.</>}
      </p>
    )
  }
  if (card.signed && !canUsePasskeys()) return <><p className="w-answer-off">Its risk is {card.risk}: a yes has to be signed with a passkey.</p><NoPasskeys /></>
  if (card.choice !== null) return <p className="w-answer-off">{card.yes} of {card.quorum} have said yes to {card.choice.scope === 'once' ? 'this very call' : card.choice.scope === 'edited' ? 'it with the lowered numbers' : 'this and calls like it in this task'}: say yes to the same, or no.</p>
  return null
}

function Reason({ value, isNeeded, onChange }: { readonly value: string; readonly isNeeded: boolean; readonly onChange: (value: string) => void }) {
  const id = useId()
  return (
    <div className="w-answer-reason">
      <label htmlFor={id}>Reason</label>
      <input id={id} value={value} maxLength={500} required={isNeeded} autoComplete="off" placeholder={isNeeded ? 'needed to approve: it is signed, and kept in the log' : 'kept in the log'} onChange={(event) => onChange(event.currentTarget.value)} />
    </div>
  )
}

type DeedProps = {
  readonly off: string | undefined; readonly children: ReactNode; readonly onPress: () => void; readonly isMain?: boolean; readonly isStop?: boolean
  /** Of one that opens something. */
  readonly isOpen?: boolean
  readonly isBusy?: boolean; readonly own?: React.Ref<HTMLButtonElement>
}

/** One that is off can still be reached, and says why. */
function Deed({ off, children, onPress, isMain = false, isStop = false, isOpen, isBusy = false, own }: DeedProps) {
  return (
    <Button
      type="button" size="sm" variant={isMain ? 'filled' : isStop ? 'light' : 'default'} {...(isStop ? { color: 'red' } : {})} {...(own === undefined ? {} : { ref: own })} {...(isOpen === undefined ? {} : { 'aria-expanded': isOpen })}
      {...(off === undefined ? {} : { 'data-disabled': true, 'aria-disabled': true, 'title': off })} loading={isBusy} onClick={() => { if (off === undefined) onPress() }}
    >
      {children}
    </Button>
  )
}

type Ready = { readonly choice: ApprovalChoice; readonly envelopeSha256: string }
type Offer = { readonly ready: Ready | null; readonly why: string; readonly allows: string | null; readonly error: Error | null; readonly differs: string | null }

/** What a yes would be to: asked of the server where it is not on the card, and checked here. */
function useOffer(card: ApprovalCardReply, mode: Mode, chosen: ApprovalChoice | null): Offer {
  const asked: ApprovalChoice = chosen ?? { scope: 'once' }
  const preview = useAsk(previewApproval, { parameters: { id: card.id }, body: { choice: asked } }, { when: mode !== 'once' && chosen !== null })
  const shown = mode === 'once' || chosen === null || preview.isPlaceholderData ? undefined : preview.data
  const answerable: Answerable | null = mode === 'once'
    ? { card, choice: card.choice ?? asked, envelope: card.envelope, envelopeSha256: card.envelope_sha256, runs: card.choice?.scope === 'edited' ? card.edited_arguments : card.arguments }
    : shown === undefined ? null : { card, choice: asked, envelope: shown.envelope, envelopeSha256: shown.envelope_sha256, runs: shown.arguments }
  const of = answerable && { choice: answerable.choice, envelope: answerable.envelope, envelopeSha256: answerable.envelopeSha256, runs: answerable.runs }
  // By everything that it looks at: a card that says something else is looked at again.
  const check = useQuery({ queryKey: ['what is shown', card.id, card, of], queryFn: () => differsIn(answerable!), enabled: answerable !== null, staleTime: Infinity, gcTime: 0 })
  const error = mode !== 'once' && chosen !== null ? preview.error : check.error
  const isSame = answerable !== null && check.data === null
  const { envelopeSha256 = null } = answerable ?? {}
  return {
    ready: isSame && envelopeSha256 !== null && answerable !== null ? { choice: answerable.choice, envelopeSha256 } : null,
    why: mode !== 'once' && chosen === null ? 'lower a number first' : 'what is shown is being checked', allows: shown?.allows ?? null, error, differs: answerable === null ? null : check.data ?? null,
  }
}

function useYes(card: ApprovalCardReply, done: () => void) {
  return useMutation({
    mutationFn: (yes: Ready & { readonly reason: string }) => sayYes(card, yes),
    onSuccess: () => {
      done()
      return queries.invalidateQueries()
    },
  })
}

/** `d`, then Enter: no needs no more than that. */
function useDenyKey(): React.RefObject<HTMLButtonElement | null> {
  const button = useRef<HTMLButtonElement>(null)
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      const isWriting = event.target instanceof HTMLElement && /^(?:INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)
      if (event.key === 'd' && !event.ctrlKey && !event.metaKey && !event.altKey && !isWriting && document.querySelector('[role="dialog"]') === null) button.current?.focus()
    }
    document.addEventListener('keydown', onKey)
    return () => document.removeEventListener('keydown', onKey)
  }, [])
  return button
}

/** What is signed has no other way than a browser. */
function commandsOf(card: ApprovalCardReply, ready: Ready | null, reason: string): Commands {
  const { id } = card
  const of = window.location.origin
  const more = reason === '' ? {} : { reason }
  if (card.signed || ready === null || !card.you.may) return { cli: commandOf('writ', 'approvals', 'show', id), curl: curlOf(showApproval, { parameters: { id } }, of) }
  const isPlain = ready.choice.scope === 'once' || card.choice !== null
  return {
    cli: isPlain ? commandOf('writ', 'approvals', 'approve', id, '--envelope', ready.envelopeSha256, ...(reason === '' ? [] : ['--reason', reason])) : null,
    curl: curlOf(approveApproval, { parameters: { id }, body: { choice: ready.choice, envelope_sha256: ready.envelopeSha256, ...more } }, of),
  }
}
