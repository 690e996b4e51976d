import '@mantine/core/styles/Drawer.css'
import { Drawer } from '@mantine/core'
import type { EventReply } from '@writ/contract/events'
import { useQuery } from '@tanstack/react-query'
import { commandOf, curlOf } from '../commands.ts'
import { listLogs } from '../endpoints.ts'
import { proveEvent, type EventProof, type VerifiedEvent } from '../event-proof.ts'
import { AgentWords, Inert } from '../ui/agent-words.tsx'
import { CopyAs } from '../ui/copy-as.tsx'
import { CopyButton } from '../ui/copy.tsx'
import { Mark, NotEvaluated } from '../ui/mark.tsx'
import { Facts } from '../ui/page.tsx'
import { Exactly } from '../ui/time.tsx'
import { plain } from '../ui/words.ts'
import { FactValue, outcomeOf } from './event-words.tsx'

type DrawerProps = { readonly event: EventReply; readonly onClose: () => void }

/** One event: what was recorded, in whose words, and whether the log holds it as it is shown here. */
export function EventDrawer({ event, onClose }: DrawerProps) {
  const outcome = outcomeOf(event)
  const proof = useProof(event)
  return (
    <Drawer opened onClose={onClose} position="right" size={620} title={<>{event.type} {outcome !== null && <Mark tone={outcome[0]}>{outcome[1]}</Mark>}</>} closeButtonProps={{ 'aria-label': 'Close' }}>
      <div className="w-event">
        <Proof of={proof} />
        <Facts of={[
          ['When', <Exactly key="at" at={event.at} />], ['Lane', event.stream], ['By', event.actor.kind === event.actor.id ? event.actor.kind : <>{event.actor.kind} <FactValue of={event.actor.id} /></>],
          ...(event.identity === null ? [] : [['Identity', <FactValue key="identity" of={event.identity} />] as const]),
          ...(event.task === null ? [] : [['Task', <FactValue key="task" of={event.task} />] as const]),
          ...(event.lease === null ? [] : [['Lease', <FactValue key="lease" of={event.lease} />] as const]),
          ['Event', <code key="id">{event.id} <CopyButton text={event.id} says="Copy the id of the event" /></code>],
          ['OCSF', `class ${event.ocsf.class_uid}, activity ${event.ocsf.activity_id}`],
        ]} />
        <h3>What the leaf says</h3>
        {Object.keys(event.facts).length === 0 ? <p className="w-dim">nothing more than that it happened</p> : <Facts of={Object.entries(event.facts).map(([name, value]) => [plain(name), <FactValue key={name} of={value} />])} />}
        <Said of={event} proof={proof} />
        <div className="w-form-end"><span className="w-spring" /><CopyAs commands={{ cli: commandOf('writ', 'audit', 'export', '--stream', event.stream, 'LOG'), curl: curlOf(listLogs, {}, window.location.origin) }} label="Check it elsewhere" /></div>
      </div>
    </Drawer>
  )
}

/** Undefined while it is being checked. */
function useProof(of: EventReply): EventProof | undefined {
  const proof = useQuery({ queryKey: ['proof of an event', of], queryFn: () => proveEvent(of), staleTime: Infinity, retry: false, refetchOnWindowFocus: false })
  return proof.error === null ? proof.data : { kind: 'not_evaluated', says: proof.error.message }
}

type SaidProps = { readonly of: EventReply; readonly proof: EventProof | undefined }

function Said({ of: { said, actor }, proof }: SaidProps) {
  const words = proof?.kind === 'verified' ? proof.words : {}
  const unshown = Object.keys(words).filter((field) => !Object.hasOwn(said, field))
  if (Object.keys(said).length === 0 && unshown.length === 0) return null
  const by = actor.kind === 'identity' ? 'the agent’s words' : 'as said'
  return (
    <>
      <h3>What was said</h3>
      {Object.entries(said).map(([field, text]) => <div key={field} className="w-said"><AgentWords text={text} by={`${plain(field)}: ${by}`} /><Word of={words[field]} proof={proof} /></div>)}
      {unshown.map((field) => <p key={field}>{plain(field)}: <NotEvaluated why={NOT_SHOWN} /> <span className="w-dim">{NOT_SHOWN}</span></p>)}
      <p className="w-dim">The log holds a commitment to each of these, and no text, so that it can be erased. That somebody said so does not make it true.</p>
    </>
  )
}

const NOT_SHOWN = 'it was erased, or is not for your role'

function Word({ of, proof }: { readonly of: VerifiedEvent['words'][string] | undefined; readonly proof: EventProof | undefined }) {
  if (proof === undefined) return null
  if (of === 'proved') return <p><Mark tone="good">the very words</Mark> <span className="w-dim">that the log commits to, checked in this browser</span></p>
  const why = of === 'not_disclosed' ? 'it was erased meanwhile' : 'the event itself is not proved'
  return <p>whether these are the words: <NotEvaluated why={why} /> <span className="w-dim">{why}</span></p>
}

function Proof({ of }: { readonly of: EventProof | undefined }) {
  if (of === undefined) return <section className="w-proof" aria-busy="true" aria-label="Proof"><p role="status">checking it in this browser…</p></section>
  return <section className="w-proof" data-kind={of.kind} aria-label="Proof" role="status"><ProofWords of={of} /></section>
}

function ProofWords({ of }: { readonly of: EventProof }) {
  if (of.kind === 'not_evaluated') return <p><NotEvaluated why={of.says} />: <Inert text={of.says} /></p>
  if (of.kind === 'failed') return <><p><Mark tone="bad">broken</Mark> found out in this browser</p><p><strong><Inert text={of.says} /></strong></p></>
  return (
    <>
      <p><Mark tone="good">unbroken</Mark> checked in this browser</p>
      <p className="w-dim">Leaf {of.index.toLocaleString('en')} of {of.size.toLocaleString('en')} in <code>{of.origin}</code>. The log’s key signed the checkpoint of <Exactly at={of.checkpointAt} />, its tree holds this leaf, and the leaf says what is shown below.{of.isKeyKnown ? ' The key is the one that this browser knows.' : ' This browser sees the key for the first time.'}</p>
      <details className="w-details"><summary>The leaf and its hash</summary><pre tabIndex={0}><Inert text={of.leaf} />{`\n\n${of.hash}`}</pre></details>
    </>
  )
}
