import { Button, Modal } from '@mantine/core'
import type { Endpoint } from '@writ/contract/endpoint'
import { MAY } from '@writ/contract/roles'
import { useId, useState, type FormEvent, type ReactNode } from 'react'
import type { AskOf, At, ReplyOf } from '../api.ts'
import { curlOf } from '../commands.ts'
import { useDo } from '../queries.ts'
import { useReach } from '../who.ts'
import { CopyAs } from './copy-as.tsx'
import { ProblemNote } from './problem-note.tsx'

export type ActionProps<E extends Endpoint> = {
  /** The endpoint's name in the contract: who may call it, `MAY` says. */
  readonly name: string
  readonly to: At<E>
  readonly label: string
  /** What is about to happen, as a question. */
  readonly title: string
  /** What it touches, and what it does not. */
  readonly children: ReactNode
  readonly asked: (reason: string) => AskOf<E>
  readonly cli: (reason: string) => string | null
  /** `stop`: it takes something away. */
  readonly tone?: 'stop' | 'plain'
  /** Why it can not be done now, whoever asks. */
  readonly off?: string | undefined
  readonly done?: (reply: ReplyOf<E>) => void
}

/** Something that changes things: shown first, with a reason that is recorded, and with what it is as CLI and curl. */
export function Action<E extends Endpoint>(props: ActionProps<E>) {
  const { name, label, tone = 'plain' } = props
  const [isOpen, setOpen] = useState(false)
  const may = useReach(name) !== 'none'
  const off = may ? props.off : whoMay(name)
  return (
    <>
      <Button
        variant={tone === 'stop' ? 'light' : 'default'} {...(tone === 'stop' ? { color: 'red' } : {})} size="compact-sm" {...(off === undefined ? {} : { 'data-disabled': true, 'aria-disabled': true, 'title': off })}
        onClick={() => { if (off === undefined) setOpen(true) }}
      >
        {label}…
      </Button>
      {isOpen && <Dialog {...props} onClose={() => setOpen(false)} />}
    </>
  )
}

/** `only responder or admin may do this`. */
export function whoMay(name: string): string {
  const may = Object.hasOwn(MAY, name) ? MAY[name]! : []
  if (may === 'everybody') return 'whoever is signed in may do this'
  const roles = may.map((role) => role.replace('_', ' '))
  return roles.length === 0 ? 'no person may do this' : `only ${roles.length === 1 ? roles[0]! : `${roles.slice(0, -1).join(', ')} or ${roles.at(-1)!}`} may do this`
}

function Dialog<E extends Endpoint>({ to, label, title, children, asked, cli, tone, done, onClose }: ActionProps<E> & { readonly onClose: () => void }) {
  const [reason, setReason] = useState('')
  const field = useId()
  const deed = useDo(to, (reply) => {
    done?.(reply)
    onClose()
  })
  const submit = (event: FormEvent): void => {
    event.preventDefault()
    if (reason.trim() !== '') deed.mutate(asked(reason.trim()))
  }
  const shown = reason.trim() === '' ? 'REASON' : reason.trim()
  return (
    <Modal opened onClose={onClose} title={title} size="lg" closeButtonProps={{ 'aria-label': 'Close' }}>
      <form onSubmit={submit} className="w-form">
        <div className="w-form-says">{children}</div>
        <label htmlFor={field}>Reason <span className="w-dim">kept in the log</span></label>
        <textarea id={field} rows={2} maxLength={500} required value={reason} data-autofocus onChange={(event) => setReason(event.currentTarget.value)} />
        {deed.error !== null && <ProblemNote error={deed.error} />}
        <div className="w-form-end">
          <CopyAs commands={{ cli: cli(shown), curl: curlOf(to, asked(shown), window.location.origin) }} />
          <span className="w-spring" />
          <Button variant="default" size="sm" onClick={onClose}>Leave it</Button>
          <Button type="submit" size="sm" {...(tone === 'stop' ? { color: 'red' } : {})} loading={deed.isPending} disabled={reason.trim() === ''}>{label}</Button>
        </div>
      </form>
    </Modal>
  )
}
