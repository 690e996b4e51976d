import { Button } from '@mantine/core'
import type { SignInProblem } from '@writ/contract/sign-in'
import { useMutation } from '@tanstack/react-query'
import { useSearch } from '@tanstack/react-router'
import { ask, Refused } from '../api.ts'
import { beginPasskeySignIn, signInWays, signInWithPasskey } from '../endpoints.ts'
import { signWithPasskey } from '../passkey.ts'
import { useAsk } from '../queries.ts'
import { ProblemNote } from '../ui/problem-note.tsx'
import { Alone, canUsePasskeys, NoPasskeys } from './alone.tsx'

/** What the provider's way can end with, in words. */
const PROBLEMS: Readonly<Record<SignInProblem, string>> = {
  provider_unreachable: 'Your organisation’s provider did not answer. A passkey still works.', provider_misbehaved: 'Your organisation’s provider gave an answer that can not be trusted. Nobody was signed in.',
  provider_refused: 'Your organisation’s provider refused. Nobody was signed in.', declined: 'You said no there. Nobody was signed in.', blocked: 'An administrator of this Writ has blocked you. Nobody was signed in.', start_again: 'That attempt is over, or was begun in another browser. Begin again.',
  not_set_up: 'No provider is set up here.', too_many: 'There were too many attempts. Wait a minute.', not_now: 'Not now: the server could not keep it. Try again.',
}

/** Nothing but a path of this origin: a sign-in leads nowhere else. */
const pathIn = (to: string | undefined): string => (to !== undefined && /^\/(?![/\\])/.test(to) && !to.startsWith('/sign-in') ? to : '/')

export function SignIn() {
  const { to, problem } = useSearch({ from: '/sign-in' })
  const target = pathIn(to)
  const ways = useAsk(signInWays, {})
  const passkey = useMutation({
    mutationFn: async () => {
      const { options } = await ask(beginPasskeySignIn, { body: {} })
      return ask(signInWithPasskey, { body: { response: await signWithPasskey(options) } })
    },
    // A whole new page: nothing of before stays in its memory.
    onSuccess: () => { window.location.replace(target) },
  })
  const provider = ways.data?.provider ?? null
  const said = problem !== undefined && Object.hasOwn(PROBLEMS, problem) ? PROBLEMS[problem as SignInProblem] : undefined
  return (
    <Alone title="Sign in">
      {said !== undefined && <p role="alert" className="w-problem">{said}</p>}
      {ways.data?.is_anybody === false ? <p>Nobody has signed in here yet. <code>writ up</code> has printed a link that makes the first administrator: open it in this browser.</p> : (
        <>
          {canUsePasskeys() ? <Button fullWidth size="md" loading={passkey.isPending} onClick={() => passkey.mutate()}>With a passkey</Button> : <NoPasskeys />}
          {provider !== null && <Button fullWidth size="md" variant="default" component="a" href={`/sign-in/oidc?${new URLSearchParams({ return_to: target }).toString()}`}>With {provider.host}</Button>}
          {provider?.state === 'unreachable' && <p className="w-dim">{provider.host} did not answer the last time.</p>}
          {passkey.error !== null && <PasskeyTrouble error={passkey.error} />}
          {ways.error !== null && <ProblemNote error={ways.error} />}
        </>
      )}
    </Alone>
  )
}

/** The browser's own no has no words for people. */
export function PasskeyTrouble({ error }: { readonly error: Error }) {
  if (error instanceof Refused || error.name === 'Unreachable') return <ProblemNote error={error} />
  const says = error.name === 'NotAllowedError' ? 'The passkey was not used: you said no, or it took too long.'
    : error.name === 'InvalidStateError' ? 'This device already holds a passkey for you.' : `The browser could not use a passkey (${error.name}).`
  return <p role="alert" className="w-problem">{says}</p>
}
