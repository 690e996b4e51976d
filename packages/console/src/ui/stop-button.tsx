import { Button } from '@mantine/core'
import { useNavigate } from '@tanstack/react-router'
import { useReach } from '../who.ts'
import { whoMay } from './action.tsx'

type StopButtonProps = { /** A task or an identity. */ readonly of: string; /** Why there is nothing to stop. */ readonly off?: string | undefined }

/** To what stopping it would touch; nothing is changed before somebody has seen that. */
export function StopButton({ of, off }: StopButtonProps) {
  const navigate = useNavigate()
  const why = useReach('makeStop') === 'none' ? whoMay('makeStop') : off
  return (
    <Button
      variant="light" color="red" size="compact-sm" {...(why === undefined ? {} : { 'data-disabled': true, 'aria-disabled': true, 'title': why })}
      onClick={() => { if (why === undefined) void navigate({ to: '/stops/new', search: { of } }) }}
    >
      Stop…
    </Button>
  )
}
