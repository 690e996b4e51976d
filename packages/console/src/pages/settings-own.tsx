import { Button } from '@mantine/core'
import type { PasskeyReply, SignInReply } from '@writ/contract/people'
import { useMutation } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState, type FormEvent } from 'react'
import { ask } from '../api.ts'
import { curlOf } from '../commands.ts'
import { beginPasskey, enrolPasskey, listPasskeys, listSignIns, removePasskey, revokeSignIn } from '../endpoints.ts'
import { useLiveState } from '../live.ts'
import { makePasskey } from '../passkey.ts'
import { queries, useAsk } from '../queries.ts'
import { Action } from '../ui/action.tsx'
import { Inert } from '../ui/agent-words.tsx'
import { CopyAs } from '../ui/copy-as.tsx'
import { Mark, type Tone } from '../ui/mark.tsx'
import { Facts, Part } from '../ui/page.tsx'
import { Ago } from '../ui/time.tsx'
import { plain } from '../ui/words.ts'
import { useWho } from '../who.ts'
import { canUsePasskeys, NoPasskeys } from './alone.tsx'
import { Confirmation, Found, offOf, Rows, useConfirmation } from './settings-kit.tsx'
import { PasskeyTrouble } from './sign-in.tsx'

/** Who you are here, where you have signed in, and with what you confirm. */
export function You() {
  const who = useWho()
  const poll = useLiveState().kind !== 'live'
  const signIns = useAsk(listSignIns, {}, { poll })
  const passkeys = useAsk(listPasskeys, {}, { poll })
  const origin = window.location.origin
  return (
    <>
      <Part title="You" aside={<CopyAs commands={{ cli: 'writ whoami', curl: `curl -sS ${origin}/v1/whoami \\\n  -H "Authorization: Bearer $WRIT_TOKEN"` }} />}>
        <Facts of={[
          ['Name', <Inert key="n" text={who?.name ?? ''} most={100} />], ['Address', who?.email ?? <span className="w-dim">none that a provider vouches for</span>],
          ['Roles', (who?.roles ?? []).map(plain).join(', ') || 'none yet: an administrator gives them'], ['Groups', (who?.groups ?? []).length === 0 ? <span className="w-dim">none</span> : <Inert text={who!.groups!.join(', ')} most={300} />],
        ]} />
      </Part>
      <Part title="Your passkeys" aside={<CopyAs commands={{ cli: null, curl: curlOf(listPasskeys, {}, origin) }} />}>
        <Found of={passkeys} what="your passkeys">{({ passkeys: found }) => <><Passkeys of={found} /><NewPasskey isFirst={found.length === 0} /></>}</Found>
      </Part>
      <Part title="Where you have signed in" aside={<CopyAs commands={{ cli: null, curl: curlOf(listSignIns, {}, origin) }} />}>
        <Found of={signIns} what="your sign-ins">{({ sign_ins: found }) => <SignIns of={found} />}</Found>
      </Part>
    </>
  )
}

export function Passkeys({ of }: { readonly of: readonly PasskeyReply[] }) {
  if (of.length === 0) return <p className="w-dim">None. What is of high risk is approved with a passkey’s signature alone.</p>
  return (
    <Rows name="Passkeys" heads={['Passkey', 'Enrolled', 'Last used', 'Recorded as', <span key="d" className="w-sr">Actions</span>]} rows={of.map((one) => [
      one.id, <Inert key="n" text={one.name} most={60} />, <Ago key="e" at={one.enrolled_at} />, one.used_at === null ? <span className="w-dim">never</span> : <Ago at={one.used_at} />,
      <Link key="v" to="/go/$id" params={{ id: one.event }}>its enrolment</Link>,
      <div key="a" className="w-settings-do">
        <Action
          name="removePasskey" to={removePasskey} tone="stop" label="Remove" title="Remove this passkey?" asked={(reason) => ({ parameters: { id: one.id }, body: { reason } })} cli={() => null}
        >
          <p>No signature of “<Inert text={one.name} most={60} />” is taken from now on. What it has signed stays signed. The key itself stays on the device until somebody deletes it there.</p>
        </Action>
      </div>,
    ])} />
  )
}

const STATES: Readonly<Record<SignInReply['state'], Tone>> = { live: 'good', ended: 'quiet', revoked: 'stopped' }
const HOW: Readonly<Record<SignInReply['how'], string>> = { oidc: 'the provider', passkey: 'a passkey', device: 'a code on a terminal' }

export function SignIns({ of }: { readonly of: readonly SignInReply[] }) {
  if (of.length === 0) return <p className="w-dim">Nowhere.</p>
  return (
    <Rows name="Sign-ins" heads={['Where', 'By', 'State', 'Since', 'Ends', <span key="d" className="w-sr">Actions</span>]} rows={of.map((one) => [
      one.id, <>{one.kind === 'cli' ? 'command line' : 'browser'}{one.own && <strong> (this one)</strong>}</>, HOW[one.how], <Mark key="s" tone={STATES[one.state]}>{one.state}</Mark>, <Ago key="m" at={one.made_at} />,
      one.state === 'live' ? <><Ago at={one.ends_at} /><span className="w-dim">; unused, <Ago at={one.idle_until} /></span></> : <span className="w-dim">it has</span>,
      <div key="a" className="w-settings-do">
        {one.state === 'live' && (
          <Action
            name="revokeSignIn" to={revokeSignIn} tone="stop" label="Revoke" title="Revoke this sign-in?" off={one.own ? 'it is the one that you use now: sign out in the menu with your name' : undefined}
            asked={(reason) => ({ parameters: { id: one.id }, body: { reason } })} cli={() => null}
          >
            <p>It is refused from now on, on every server. Whoever used it has to sign in again; what they have done stays done.</p>
          </Action>
        )}
      </div>,
    ])} />
  )
}

/** Made in this browser, by its device. */
function NewPasskey({ isFirst }: { readonly isFirst: boolean }) {
  const [name, setName] = useState('')
  const { isFresh } = useConfirmation()
  const enrol = useMutation({
    mutationFn: async () => {
      const { options } = await ask(beginPasskey, { body: {} })
      return ask(enrolPasskey, { body: { ...(name.trim() === '' ? {} : { name: name.trim() }), response: await makePasskey(options) } })
    },
    onSuccess: () => {
      setName('')
      void queries.invalidateQueries()
    },
  })
  if (!canUsePasskeys()) return <NoPasskeys />
  const off = isFirst || isFresh ? undefined : 'confirm with a passkey that you have first'
  const submit = (event: FormEvent): void => {
    event.preventDefault()
    if (off === undefined) enrol.mutate()
  }
  return (
    <form className="w-form w-settings-new" onSubmit={submit}>
      {!isFirst && <Confirmation what="One more passkey" />}
      <div className="w-settings-line">
        <input aria-label="Name of the new passkey" placeholder="its name, such as laptop" value={name} maxLength={100} onChange={(event) => setName(event.currentTarget.value)} />
        <Button type="submit" size="compact-sm" variant="default" loading={enrol.isPending} {...offOf(off)}>Make a passkey</Button>
        <CopyAs label="as" commands={{ cli: null, curl: curlOf(beginPasskey, { body: {} }, window.location.origin) }} />
      </div>
      {enrol.error !== null && <PasskeyTrouble error={enrol.error} />}
      {enrol.isSuccess && <p role="status">“<Inert text={enrol.data.name} most={60} />” is enrolled.</p>}
    </form>
  )
}
