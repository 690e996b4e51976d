import '@mantine/core/styles/Drawer.css'
import { Button, Drawer } from '@mantine/core'
import type { McpToolReply, ToolTerms } from '@writ/contract/mcp-servers'
import { useState, type FormEvent, type ReactNode } from 'react'
import { commandOf, curlOf } from '../commands.ts'
import { acceptMcpTools } from '../endpoints.ts'
import { useDo } from '../queries.ts'
import { whoMay } from '../ui/action.tsx'
import { AgentWords, Inert } from '../ui/agent-words.tsx'
import { CopyAs } from '../ui/copy-as.tsx'
import { Mark } from '../ui/mark.tsx'
import { Facts } from '../ui/page.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { Ago } from '../ui/time.tsx'
import { saidOf, TOOL_STATES } from '../ui/words.ts'
import { useReach } from '../who.ts'
import { linesOf, changedLines } from './tool-changes.ts'

type DrawerProps = { readonly server: string; readonly tool: McpToolReply; readonly onClose: () => void }

/** One tool: what its server says of it, how that changed, and on which terms it may be called. */
export function ToolDrawer({ server, tool, onClose }: DrawerProps) {
  const [tone, word] = saidOf(TOOL_STATES, tool.state)
  return (
    <Drawer opened onClose={onClose} position="right" size={620} title={<><Inert text={tool.name} most={80} /> <Mark tone={tone}>{word}</Mark></>} closeButtonProps={{ 'aria-label': 'Close' }}>
      <Description of={tool} />
      {tool.flags.length > 0 && <section className="w-problem"><strong>It holds text that nobody sees</strong><ul>{tool.flags.slice(0, 20).map((flag) => <li key={flag.at + flag.in}><code><Inert text={flag.at} most={100} /></code> ({flag.in}): {flag.characters.join(' ')}</li>)}</ul></section>}
      {tool.unshown.length > 0 && <p className="w-dim">No policy can see {tool.unshown.map((one) => `\u201c${one}\u201d`).join(', ')}: a call that gives one is denied.</p>}
      <Definition of={tool} />
      {tool.terms !== null && <><h3>In force</h3><Terms of={tool.terms} /></>}
      {(tool.state === 'new' || tool.state === 'changed') && tool.hash !== null && <Accept server={server} tool={tool} hash={tool.hash} onDone={onClose} />}
      <p className="w-dim">{tool.first_seen === null ? 'never seen' : <>first seen <Ago at={tool.first_seen} /></>}{tool.hash !== null && <>, hash <code>{tool.hash.slice(0, 16)}…</code></>}</p>
    </Drawer>
  )
}

function Description({ of }: { readonly of: McpToolReply }) {
  const said = describedIn(of.definition)
  return said === undefined ? null : <AgentWords text={said} by="the server’s words" />
}

function describedIn(definition: string | null): string | undefined {
  try {
    const { description } = JSON.parse(definition ?? '{}') as { readonly description?: unknown }
    return typeof description === 'string' ? description : undefined
  } catch {
    return undefined
  }
}

function Definition({ of }: { readonly of: McpToolReply }) {
  if (of.definition === null) return <p className="w-dim">Its server does not list it any more.</p>
  if (of.state !== 'changed' || of.pinned_definition === null) {
    return <details className="w-details"><summary>Definition</summary><pre tabIndex={0}><Inert text={linesOf(of.definition).join(' ')} /></pre></details>
  }
  return (
    <>
      <h3>What changed since it was pinned</h3>
      <div className="w-diff" role="region" aria-label="What changed" tabIndex={0}>
        {changedLines(of.pinned_definition, of.definition).map((line, i) => <div key={i} data-line={line.kind}><span aria-hidden="true">{line.kind === 'added' ? '+' : line.kind === 'removed' ? '−' : ' '}</span><span className="w-sr">{line.kind === 'same' ? '' : line.kind}</span><Inert text={line.text} /></div>)}
      </div>
    </>
  )
}

const Terms = ({ of }: { readonly of: ToolTerms }) => (
  <Facts of={[['Effect', of.effect], ['Can be taken back', of.reversible ? 'yes' : 'no'], ['Labels', of.labels.join(', ') || 'none'], ['Trust', of.trust ?? 'as its server'], ['Recorded arguments', of.public.join(', ') || 'none']]} />
)

const EFFECTS = ['read', 'write', 'external'] as const
const wordsIn = (text: string): string[] => text.split(',').map((one) => one.trim()).filter((one) => one !== '')

function Accept({ server, tool, hash, onDone }: { readonly server: string; readonly tool: McpToolReply; readonly hash: string; readonly onDone: () => void }) {
  const begin = tool.terms ?? tool.proposal
  const [effect, setEffect] = useState<ToolTerms['effect']>(begin?.effect ?? 'external')
  const [isReversible, setReversible] = useState(begin?.reversible ?? false)
  const [labels, setLabels] = useState(begin?.labels.join(', ') ?? '')
  const [isUntrusted, setUntrusted] = useState(begin?.trust === 'untrusted')
  const [reason, setReason] = useState('')
  const may = useReach('acceptMcpTools') !== 'none'
  const deed = useDo(acceptMcpTools, onDone)
  const trust = isUntrusted ? 'untrusted' : begin?.trust === 'untrusted' ? null : begin?.trust ?? null
  const asked = {
    parameters: { name: server },
    body: { tools: [{ name: tool.name, hash, effect, reversible: isReversible, labels: wordsIn(labels), trust, public: begin?.public ?? [] }], reason: reason.trim() || 'REASON' },
  }
  const submit = (event: FormEvent): void => {
    event.preventDefault()
    deed.mutate(asked)
  }
  const cli = tool.state === 'changed' ? commandOf('writ', 'mcp', 'accept', server, tool.name) : commandOf('writ', 'mcp', 'pin', server, tool.name, '--effect', `${tool.name}=${effect}`, '--reversible', `${tool.name}=${isReversible ? 'yes' : 'no'}`, ...wordsIn(labels).flatMap((one) => ['--label', `${tool.name}=${one}`]))
  return (
    <form className="w-form w-accept" onSubmit={submit}>
      <h3>{tool.state === 'changed' ? 'Accept the change' : 'Pin it'}</h3>
      <Field label="What a call does to the world"><select value={effect} onChange={(event) => setEffect(event.currentTarget.value as ToolTerms['effect'])}>{EFFECTS.map((one) => <option key={one}>{one}</option>)}</select></Field>
      <Field label="Can it be taken back?"><select value={isReversible ? 'yes' : 'no'} onChange={(event) => setReversible(event.currentTarget.value === 'yes')}><option>yes</option><option>no</option></select></Field>
      <Field label="Labels of what it brings, by comma"><input value={labels} placeholder="confidential" onChange={(event) => setLabels(event.currentTarget.value)} /></Field>
      <Field label="Could anybody have written what it brings?"><select value={isUntrusted ? 'yes' : 'no'} onChange={(event) => setUntrusted(event.currentTarget.value === 'yes')}><option value="yes">yes: untrusted</option><option value="no">no</option></select></Field>
      <Field label="Reason, kept in the log"><input value={reason} maxLength={500} required onChange={(event) => setReason(event.currentTarget.value)} /></Field>
      {deed.error !== null && <ProblemNote error={deed.error} />}
      <div className="w-form-end">
        <CopyAs commands={{ cli, curl: curlOf(acceptMcpTools, asked, window.location.origin) }} />
        <span className="w-spring" />
        <Button type="submit" size="sm" loading={deed.isPending} disabled={!may || reason.trim() === ''} title={may ? undefined : whoMay('acceptMcpTools')}>{tool.state === 'changed' ? 'Accept as it is now' : 'Pin it as it is listed'}</Button>
      </div>
      {!may && <p className="w-dim">{whoMay('acceptMcpTools')}</p>}
    </form>
  )
}

const Field = ({ label, children }: { readonly label: string; readonly children: ReactNode }) => <label className="w-field"><span>{label}</span>{children}</label>
