import type { IdentityReply } from '@writ/contract/registry'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { listIdentities } from '../endpoints.ts'
import { curlOf } from '../commands.ts'
import { useAll } from '../queries.ts'
import { Empty } from '../ui/empty.tsx'
import { ListTable, type Column } from '../ui/list-table.tsx'
import { Mark } from '../ui/mark.tsx'
import { Page } from '../ui/page.tsx'
import { Ago } from '../ui/time.tsx'
import { IDENTITY_STATES, saidOf, shortName } from '../ui/words.ts'

const live = (identity: IdentityReply): number => identity.credentials.filter((one) => one.state === 'live').length + identity.bindings.filter((one) => one.state === 'live').length

const COLUMNS: readonly Column<IdentityReply>[] = [
  { id: 'name', header: 'Identity', width: 'minmax(160px, 2fr)', value: (one) => shortName(one.spiffe_id), cell: (one) => <Link to="/identities/$id" params={{ id: one.id }} title={one.spiffe_id}>{shortName(one.spiffe_id)}</Link> },
  { id: 'state', header: 'State', width: '100px', value: (one) => one.state, cell: (one) => <Mark tone={saidOf(IDENTITY_STATES, one.state)[0]} title={one.state_reason}>{one.state}</Mark> },
  { id: 'kind', header: 'Kind', width: '84px', value: (one) => one.kind },
  { id: 'class', header: 'Class', width: '92px', value: (one) => one.class },
  { id: 'environment', header: 'Where', width: '88px', value: (one) => one.environment },
  { id: 'owner', header: 'Technical owner', width: 'minmax(112px, 1fr)', value: (one) => one.owners.technical },
  { id: 'business', header: 'Business owner', width: 'minmax(112px, 1fr)', value: (one) => one.owners.business },
  { id: 'evidence', header: 'Keys', width: '44px', isNumber: true, value: live },
  { id: 'used', header: 'Last used', width: '90px', value: (one) => one.last_used_at, cell: (one) => (one.last_used_at === null ? <span className="w-dim">never</span> : <Ago at={one.last_used_at} />) },
  { id: 'ends', header: 'Ends', width: '84px', value: (one) => one.ends_at.slice(0, 10), cell: (one) => <Ago at={one.ends_at} /> },
  { id: 'id', header: 'Id', value: (one) => one.id },
  { id: 'spiffe', header: 'SPIFFE ID', value: (one) => one.spiffe_id },
  { id: 'scope', header: 'System scope', value: (one) => one.system_scope.join(' ') },
  { id: 'authority', header: 'Authority', value: (one) => one.authority.join(' ') },
]

export function Identities() {
  const search = useSearch({ from: '/inside/identities' })
  const navigate = useNavigate({ from: '/identities' })
  const list = useAll(listIdentities, {}, (reply) => reply.identities)
  return (
    <Page title="Identities" isList commands={{ cli: 'writ identity list', curl: curlOf(listIdentities, {}, window.location.origin) }}>
      <ListTable
        name="identities" columns={COLUMNS} list={list} idOf={(one) => one.id} search={search} hint="filter: kind:agent -state:retired team"
        onSearch={(next) => void navigate({ search: next, replace: true })} onOpen={(one) => void navigate({ to: '/identities/$id', params: { id: one.id } })}
        empty={<Empty title="No identity is registered yet" command={'writ identity register spiffe://acme.example/desk-agent --help'}>Every agent, pipeline and service that acts gets one here: two owners, a purpose, an end, and a key of its own. A manifest registers many at once: <code>writ apply -f writ.yaml</code>.</Empty>}
      />
    </Page>
  )
}
