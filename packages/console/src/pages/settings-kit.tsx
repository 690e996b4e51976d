import { Button, Modal } from '@mantine/core'
import type { Endpoint } from '@writ/contract/endpoint'
import { useMutation } from '@tanstack/react-query'
import { useState, type FormEvent, type ReactNode } from 'react'
import { ask, type AskOf, type At, type ReplyOf } from '../api.ts'
import { curlOf } from '../commands.ts'
import { beginStepUp, stepUp } from '../endpoints.ts'
import { signWithPasskey } from '../passkey.ts'
import { queries, useDo } from '../queries.ts'
import { whoMay } from '../ui/action.tsx'
import { CopyButton } from '../ui/copy.tsx'
import { CopyAs } from '../ui/copy-as.tsx'
import { useNow } from '../ui/now.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { useReach, useWho } from '../who.ts'
import { PasskeyTrouble } from './sign-in.tsx'

type RowsProps = { readonly name: string; readonly heads: readonly ReactNode[]; readonly rows: readonly (readonly [key: string, ...cells: ReactNode[]])[] }

/** A short table; the first cell of a row names it. */
export function Rows({ name, heads, rows }: RowsProps) {
  return (
    <div className="w-scroll" tabIndex={0} role="region" aria-label={name}>
      <table className="w-table w-settings-table">
        <thead><tr>{heads.map((head, i) => <th key={i} scope="col">{head}</th>)}</tr></thead>
        <tbody>{rows.map(([key, first, ...cells]) => <tr key={key}><th scope="row">{first}</th>{cells.map((cell, i) => <td key={i}>{cell}</td>)}</tr>)}</tbody>
      </table>
    </div>
  )
}

type FoundProps<Reply> = { readonly of: { readonly data: Reply | undefined; readonly error: Error | null }; readonly what: string; readonly children: (reply: Reply) => ReactNode }

/** What was asked for; until it is here, that it is coming, or why not. */
export function Found<Reply>({ of, what, children }: FoundProps<Reply>) {
  if (of.error !== null) return <ProblemNote error={of.error} />
  return of.data === undefined ? <p className="w-loading" role="status">loading {what}…</p> : <>{children(of.data)}</>
}

type DeedProps<E extends Endpoint> = {
  readonly name: string
  readonly to: At<E>
  readonly label: string
  readonly asked: AskOf<E>
  readonly cli: string | null
  readonly says: (reply: ReplyOf<E>) => ReactNode
  /** What else can be done, before what came of it. */
  readonly children?: ReactNode
}

/** Something that changes nothing and needs no reason: done at a click, and what came of it stands beside. */
export function Deed<E extends Endpoint>({ name, to, label, asked, cli, says, children }: DeedProps<E>) {
  const deed = useDo(to)
  const off = useReach(name) === 'none' ? whoMay(name) : undefined
  return (
    <>
      <Button
        size="compact-sm" variant="default" loading={deed.isPending} {...offOf(off)}
        onClick={() => { if (off === undefined) deed.mutate(asked) }}
      >
        {label}
      </Button>
      <CopyAs label="as" commands={{ cli, curl: curlOf(to, asked, window.location.origin) }} />
      {children}
      {deed.error !== null && <div className="w-settings-result"><ProblemNote error={deed.error} /></div>}
      {deed.data !== undefined && <span role="status" className="w-settings-result">{says(deed.data)}</span>}
    </>
  )
}

/** A button that is off can be reached, and says why. */
export const offOf = (why: string | undefined): object => (why === undefined ? {} : { 'data-disabled': true, 'aria-disabled': true, 'title': why })

type FormActionProps<E extends Endpoint> = {
  readonly name: string
  readonly to: At<E>
  readonly label: string
  readonly title: string
  readonly children: ReactNode
  readonly asked: () => AskOf<E>
  /** The same with no secret in it. */
  readonly shown: () => AskOf<E>
  readonly cli: () => string | null
  readonly done: (reply: ReplyOf<E>) => void
}

/** As `Action`, for what takes fields and no reason. */
export function FormAction<E extends Endpoint>(props: FormActionProps<E>) {
  const [isOpen, setOpen] = useState(false)
  const off = useReach(props.name) === 'none' ? whoMay(props.name) : undefined
  return (
    <>
      <Button size="compact-sm" variant="default" {...offOf(off)} onClick={() => { if (off === undefined) setOpen(true) }}>{props.label}…</Button>
      {isOpen && <FormDialog {...props} onClose={() => setOpen(false)} />}
    </>
  )
}

function FormDialog<E extends Endpoint>({ to, label, title, children, asked, shown, cli, done, onClose }: FormActionProps<E> & { readonly onClose: () => void }) {
  const deed = useDo(to, (reply) => {
    done(reply)
    onClose()
  })
  const submit = (event: FormEvent): void => {
    event.preventDefault()
    deed.mutate(asked())
  }
  return (
    <Modal opened onClose={onClose} title={title} size="lg" closeButtonProps={{ 'aria-label': 'Close' }}>
      <form onSubmit={submit} className="w-form">
        {children}
        {deed.error !== null && <ProblemNote error={deed.error} />}
        <div className="w-form-end">
          <CopyAs commands={{ cli: cli(), curl: curlOf(to, shown(), window.location.origin) }} />
          <span className="w-spring" />
          <Button variant="default" size="sm" onClick={onClose}>Leave it</Button>
          <Button type="submit" size="sm" loading={deed.isPending}>{label}</Button>
        </div>
      </form>
    </Modal>
  )
}

/** A secret that is here and nowhere else: gone with this dialog. */
export function ShownOnce({ title, secret, onClose, children }: { readonly title: string; readonly secret: string; readonly onClose: () => void; readonly children: ReactNode }) {
  return (
    <Modal opened onClose={onClose} title={title} size="lg" closeOnClickOutside={false} closeButtonProps={{ 'aria-label': 'Close' }}>
      <div className="w-form">
        <p>{children}</p>
        <div className="w-empty"><div className="w-command"><pre tabIndex={0} aria-label={title}>{secret}</pre><CopyButton text={secret} says="Copy it" /></div></div>
        <div className="w-form-end"><span className="w-spring" /><Button size="sm" onClick={onClose}>I have it: forget it</Button></div>
      </div>
    </Modal>
  )
}

/** As long as the server takes a confirmation for; it has the last word. */
const CONFIRMED_FOR_MS = 10 * 60_000

/** Whether a passkey has confirmed in the last minutes that you are there. */
export function useConfirmation(): { readonly isFresh: boolean; readonly hasPasskey: boolean } {
  const [who, now] = [useWho(), useNow()]
  const at = who?.stepped_up_at ?? null
  return { isFresh: at !== null && now - Date.parse(at) < CONFIRMED_FOR_MS, hasPasskey: (who?.passkeys ?? 0) > 0 }
}

/** Asks for the passkey where its confirmation is needed, and is too old. */
export function Confirmation({ what }: { readonly what: string }) {
  const { isFresh, hasPasskey } = useConfirmation()
  const confirm = useMutation({
    mutationFn: async () => {
      const { options } = await ask(beginStepUp, { body: {} })
      return ask(stepUp, { body: { response: await signWithPasskey(options) } })
    },
    onSuccess: () => queries.invalidateQueries(),
  })
  if (isFresh) return <p className="w-dim" role="status">Your passkey has confirmed that it is you.</p>
  if (!hasPasskey) return <p className="w-hint">{what} takes the confirmation of a passkey, and you have none yet: make one under “You”.</p>
  return (
    <div className="w-settings-line">
      <Button size="compact-sm" variant="light" loading={confirm.isPending} onClick={() => confirm.mutate()}>Confirm with your passkey</Button>
      <span className="w-dim">{what} takes one of the last ten minutes.</span>
      {confirm.error !== null && <PasskeyTrouble error={confirm.error} />}
    </div>
  )
}
