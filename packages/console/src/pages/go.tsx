import { Navigate, useParams } from '@tanstack/react-router'
import { pageOfId } from '../ids.ts'
import { Empty } from '../ui/empty.tsx'
import { Inert } from '../ui/agent-words.tsx'

/** Any id, from anywhere: the page that shows it. */
export function Go() {
  const { id } = useParams({ from: '/inside/go/$id' })
  const page = pageOfId(id)
  if (page !== undefined) return <Navigate to={page} replace />
  return <Empty title="This id has no page"><Inert text={id} most={80} /> is none of <code>nhi_</code>, <code>tsk_</code>, <code>dec_</code>, <code>apr_</code>, <code>stp_</code>, <code>evt_</code> and 26 characters, or it was cut.</Empty>
}
