import { Button } from '@mantine/core'
import { Link } from '@tanstack/react-router'
import { useState, type FormEvent, type ReactNode } from 'react'
import { commandOf, curlOf } from '../commands.ts'
import { evaluateAccess, explainDecision, listIdentities } from '../endpoints.ts'
import { useAsk, useDo } from '../queries.ts'
import { whoMay } from '../ui/action.tsx'
import { Inert } from '../ui/agent-words.tsx'
import { CopyAs } from '../ui/copy-as.tsx'
import { Explanation } from '../ui/explanation.tsx'
import { Mark } from '../ui/mark.tsx'
import { Part } from '../ui/page.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { shortName } from '../ui/words.ts'
import { useReach } from '../who.ts'

/** An object of JSON, or why it is none. */
function objectIn(text: string): Record<string, unknown> | string {
  if (text.trim() === '') return {}
  try {
    const value = JSON.parse(text) as unknown
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value as Record<string, unknown> : 'arguments are an object, such as {"amount": 4200}'
  } catch {
    return 'the arguments are not JSON'
  }
}

/** Asks the policies in force what they would say: advice, which opens nothing. */
export function TryRequest() {
  const identities = useAsk(listIdentities, { query: { limit: 1000 } }).data?.identities ?? []
  const [who, setWho] = useState('')
  const [action, setAction] = useState('call')
  const [resource, setResource] = useState('')
  const [args, setArgs] = useState('')
  const may = useReach('evaluateAccess') === 'all'
  const asking = useDo(evaluateAccess)
  const identity = identities.find((one) => one.id === who) ?? identities[0]
  const given = objectIn(args)
  const [, type = 'tool', id = resource] = /^(\w+):(.+)$/.exec(resource) ?? []
  const asked = { body: { subject: { type: identity?.kind ?? 'agent', id: identity?.spiffe_id ?? 'IDENTITY' }, action: { name: action, ...(typeof given === 'string' || args.trim() === '' ? {} : { properties: given }) }, resource: { type, id: id === '' ? 'SERVER/TOOL' : id } } }
  const off = !may ? whoMay('evaluateAccess') : identity === undefined ? 'there is no identity to ask for' : typeof given === 'string' ? given : resource === '' ? 'on what?' : undefined
  const submit = (event: FormEvent): void => {
    event.preventDefault()
    if (off === undefined) asking.mutate(asked)
  }
  const context = typeof given === 'string' ? [] : Object.entries(given).flatMap(([name, value]) => ['-c', `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`])
  return (
    <Part title="Try a request" aside={<span className="w-dim">the policies in force</span>}>
      <form className="w-form w-try" onSubmit={submit}>
        <Field label="Who"><select value={identity?.id ?? ''} onChange={(event) => setWho(event.currentTarget.value)}>{identities.map((one) => <option key={one.id} value={one.id}>{shortName(one.spiffe_id)}</option>)}</select></Field>
        <Field label="Does"><input value={action} spellCheck={false} onChange={(event) => setAction(event.currentTarget.value)} /></Field>
        <Field label="On: SERVER/TOOL, or TYPE:ID"><input value={resource} spellCheck={false} placeholder="files/write_file" onChange={(event) => setResource(event.currentTarget.value)} /></Field>
        <Field label="With arguments, as JSON"><textarea rows={2} value={args} spellCheck={false} placeholder='{"amount": 4200}' onChange={(event) => setArgs(event.currentTarget.value)} /></Field>
        <div className="w-form-end">
          <CopyAs commands={{ cli: commandOf('writ', 'can', asked.body.subject.id, action, type === 'tool' ? asked.body.resource.id : `${type}:${asked.body.resource.id}`, ...context), curl: curlOf(evaluateAccess, asked, window.location.origin) }} />
          <span className="w-spring" />
          {off !== undefined && <span className="w-dim">{off}</span>}
          <Button type="submit" size="compact-sm" variant="default" loading={asking.isPending} disabled={off !== undefined}>Ask</Button>
        </div>
        {asking.error !== null && <ProblemNote error={asking.error} />}
      </form>
      {asking.data !== undefined && <Answered decision={asking.data.decision} context={asking.data.context} />}
    </Part>
  )
}

type AnsweredProps = { readonly decision: boolean; readonly context: { readonly id?: string | undefined; readonly reason?: string | undefined; readonly error?: { readonly message: string } | undefined } }

function Answered({ decision, context: { id, reason, error } }: AnsweredProps) {
  const explanation = useAsk(explainDecision, { parameters: { id: id ?? '' } }, { when: id !== undefined })
  if (id !== undefined && explanation.data !== undefined) return <div className="w-try" role="status"><Explanation of={explanation.data} /><p><Link to="/decisions/$id" params={{ id }}>the decision</Link></p></div>
  const why = error?.message ?? reason
  return <p className="w-try" role="status"><Mark tone={decision ? 'good' : 'bad'}>{decision ? 'allowed' : 'denied'}</Mark> {why !== undefined && <Inert text={why} most={400} />}</p>
}

const Field = ({ label, children }: { readonly label: string; readonly children: ReactNode }) => <label className="w-field"><span>{label}</span>{children}</label>
