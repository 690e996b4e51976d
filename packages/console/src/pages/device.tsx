import { Button } from '@mantine/core'
import { useState, type FormEvent } from 'react'
import { confirmDeviceSignIn, showDeviceSignIn } from '../endpoints.ts'
import { useDo } from '../queries.ts'
import { Inert } from '../ui/agent-words.tsx'
import { Facts, Page, Part } from '../ui/page.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { spanText } from '../ui/spans.ts'
import { Ago } from '../ui/time.tsx'
import { plain } from '../ui/words.ts'

/** Read once, and out of the address. */
function codeInAddress(): string {
  const code = decodeURIComponent(window.location.hash.slice(1)).slice(0, 50)
  if (code !== '') window.history.replaceState(null, '', window.location.pathname)
  return code
}

/** Somebody at a terminal wants to be you: the code is compared, and then it is you who says so. */
export function Device() {
  const [code, setCode] = useState(codeInAddress)
  const [isDone, setDone] = useState<'allow' | 'deny' | null>(null)
  const asked = useDo(showDeviceSignIn)
  const answer = useDo(confirmDeviceSignIn)
  const submit = (event: FormEvent): void => {
    event.preventDefault()
    asked.mutate({ body: { user_code: code } })
  }
  const confirm = (said: 'allow' | 'deny'): void => { answer.mutate({ body: { user_code: code, answer: said } }, { onSuccess: () => setDone(said) }) }
  const device = asked.data
  return (
    <Page title="Let a command line sign in">
      <Part title={device === undefined ? 'The code on your terminal' : 'Is this you?'}>
        {isDone !== null ? <p role="status">{isDone === 'allow' ? 'Done: your terminal goes on by itself.' : 'Refused: nobody was signed in.'}</p> : device === undefined ? (
          <form className="w-form w-narrow" onSubmit={submit}>
            <label className="w-field"><span>As <code>writ login</code> shows it</span><input value={code} maxLength={50} required autoComplete="off" spellCheck={false} onChange={(event) => setCode(event.currentTarget.value)} /></label>
            {asked.error !== null && <ProblemNote error={asked.error} />}
            <div className="w-form-end"><Button type="submit" size="sm" loading={asked.isPending} disabled={code.trim() === ''}>Look at it</Button></div>
          </form>
        ) : (
          <>
            <Facts of={[
              ['Code', <strong key="c">{device.user_code}</strong>], ['Asked from', <code key="f">{device.asked_from}</code>], ['It calls itself', device.claimed_device === null ? 'nothing' : <><Inert text={device.claimed_device} most={100} /> <span className="w-dim">(not verified)</span></>],
              ['Asked', <Ago key="a" at={device.asked_at} />], ['It will be able to', `do what you may: ${device.roles.map(plain).join(', ') || 'nothing yet'}`],
              ['For', `${spanText(device.lives_seconds * 1000)} at most, and ${spanText(device.idles_seconds * 1000)} when it is not used`],
            ]} />
            <p className="w-hint">If somebody sent you this code or this link, refuse: they would be you.</p>
            {answer.error !== null && <ProblemNote error={answer.error} />}
            <div className="w-form-end"><Button size="sm" loading={answer.isPending} onClick={() => confirm('allow')}>It is me: let it in</Button><Button size="sm" variant="light" color="red" onClick={() => confirm('deny')}>Refuse</Button></div>
          </>
        )}
      </Part>
    </Page>
  )
}
