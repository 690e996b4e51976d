import { Menu } from '@mantine/core'
import { useLocation, useNavigate } from '@tanstack/react-router'
import { showApproval } from '../endpoints.ts'
import { useAsk } from '../queries.ts'
import { whoMay } from '../ui/action.tsx'
import { useReach } from '../who.ts'

/** In reach on every page: what it leads to says first what it would touch. */
export function StopMenu() {
  if (useReach('listStops') === 'none') return null
  return (
    <Menu position="bottom-end" withinPortal shadow="md" width={300}>
      <Menu.Target><button type="button" className="w-icon-button" data-stop aria-label="Stop" title="Stop something (x)"><StopSign /></button></Menu.Target>
      <Menu.Dropdown><Ways /></Menu.Dropdown>
    </Menu>
  )
}

const StopSign = () => (
  <svg width="18" height="18" viewBox="0 0 18 18" fill="none" stroke="var(--w-bad)" strokeWidth="1.6" strokeLinejoin="round" aria-hidden="true"><path d="M6 1.5h6L16.5 6v6L12 16.5H6L1.5 12V6z" /><path d="M6 9h6" strokeLinecap="round" /></svg>
)

type Way = readonly [scope: string | undefined, label: string]
const OF_TASK: readonly Way[] = [[undefined, 'This task…'], ['identity', 'Its identity…'], ['identity_tree', 'That, and whoever it has delegated to…']]
const OF_IDENTITY: readonly Way[] = [[undefined, 'This identity…'], ['identity_tree', 'It, and whoever it has delegated to…']]

/** Drawn once it is open. */
function Ways() {
  const navigate = useNavigate()
  const of = useSubject()
  const isOff = useReach('makeStop') === 'none'
  const ways = of === undefined ? [] : of.startsWith('tsk_') ? OF_TASK : OF_IDENTITY
  return (
    <>
      <Menu.Label>{isOff ? `Stopping is not yours: ${whoMay('makeStop')}` : 'Stop, after a look at what it touches'}</Menu.Label>
      {ways.map(([scope, label]) => <Menu.Item key={label} disabled={isOff} onClick={() => void navigate({ to: '/stops/new', search: { of, scope } })}>{label}</Menu.Item>)}
      <Menu.Item disabled={isOff} onClick={() => void navigate({ to: '/stops/new' })}>{of === undefined ? 'A task or an identity…' : 'Something else…'}</Menu.Item>
      <Menu.Divider />
      <Menu.Item onClick={() => void navigate({ to: '/stops' })}>What was stopped</Menu.Item>
    </>
  )
}

/** The task or the identity that the page is about. */
function useSubject(): string | undefined {
  const [, folder, id = ''] = useLocation().pathname.split('/')
  const isApproval = folder === 'approvals' && id !== ''
  const approval = useAsk(showApproval, { parameters: { id } }, { when: isApproval })
  if (isApproval) return approval.data?.task
  return (folder === 'tasks' || folder === 'identities') && id !== '' ? id : undefined
}
