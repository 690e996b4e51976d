import { Button } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { useState, type FormEvent } from 'react'
import { ask } from '../api.ts'
import { beginPersonByLink, registerPersonByLink } from '../endpoints.ts'
import { makePasskey } from '../passkey.ts'
import { Alone, canUsePasskeys, NoPasskeys } from './alone.tsx'
import { PasskeyTrouble } from './sign-in.tsx'

/** Read once, and out of the address: neither the history nor whoever looks over a shoulder keeps it. */
let code: string | undefined
function codeOfLink(): string {
  if (code === undefined) {
    code = window.location.hash.slice(1)
    if (canUsePasskeys()) window.history.replaceState(null, '', window.location.pathname)
  }
  return code
}

/** Where a one-time link leads: a name, a passkey, and somebody is there. */
export function First() {
  const [link] = useState(codeOfLink)
  const [name, setName] = useState('')
  const register = useMutation({
    mutationFn: async () => {
      const { options } = await ask(beginPersonByLink, { body: { code: link, name: name.trim() } })
      return ask(registerPersonByLink, { body: { code: link, name: name.trim(), response: await makePasskey(options) } })
    },
    onSuccess: () => { window.location.replace('/') },
  })
  const submit = (event: FormEvent): void => {
    event.preventDefault()
    register.mutate()
  }
  if (!/^[\w-]{10,200}$/.test(link)) return <Alone title="This link is not whole"><p>It ends in <code>/first#</code> and a code. Copy it again from where <code>writ up</code> printed it, or go to the <a href="/sign-in">sign-in</a>.</p></Alone>
  return (
    <Alone title="Welcome to Writ">
      <p>This link works once, and makes you a person here, with a passkey of this device. The link of <code>writ up</code> makes the first administrator; an operator key that came from it before dies.</p>
      {canUsePasskeys() ? (
        <form className="w-form" onSubmit={submit}>
          <label className="w-field"><span>Your name, as it will stand in the log</span><input value={name} maxLength={100} required autoComplete="name" onChange={(event) => setName(event.currentTarget.value)} /></label>
          <Button type="submit" fullWidth size="md" loading={register.isPending} disabled={name.trim() === ''}>Make a passkey and sign in</Button>
        </form>
      ) : <NoPasskeys />}
      {register.error !== null && <PasskeyTrouble error={register.error} />}
      <p className="w-dim">The command line takes the same link, whole: <code>writ login</code>.</p>
    </Alone>
  )
}
