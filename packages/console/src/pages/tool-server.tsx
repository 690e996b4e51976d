import type { McpToolReply } from '@writ/contract/mcp-servers'
import { Button } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { ask } from '../api.ts'
import { commandOf, curlOf } from '../commands.ts'
import { listMcpTools, showMcpServer } from '../endpoints.ts'
import { keyOf, queries, useAsk } from '../queries.ts'
import { Inert } from '../ui/agent-words.tsx'
import { Empty } from '../ui/empty.tsx'
import { ListTable, type Column } from '../ui/list-table.tsx'
import { Mark } from '../ui/mark.tsx'
import { Page } from '../ui/page.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { Ago } from '../ui/time.tsx'
import { saidOf, TOOL_STATES } from '../ui/words.ts'
import { ToolDrawer } from './tool-drawer.tsx'

const labelsOf = (tool: McpToolReply): string => [...tool.terms?.labels ?? [], ...(typeof tool.terms?.trust === 'string' ? [tool.terms.trust] : [])].join(', ')

const COLUMNS: readonly Column<McpToolReply>[] = [
  { id: 'state', header: 'State', width: '170px', value: (one) => one.state, cell: (one) => <Mark tone={saidOf(TOOL_STATES, one.state)[0]}>{saidOf(TOOL_STATES, one.state)[1]}</Mark> },
  { id: 'tool', header: 'Tool', width: 'minmax(180px, 2fr)', value: (one) => one.name, cell: (one) => <Inert text={one.name} most={80} /> },
  { id: 'effect', header: 'Effect', width: '100px', value: (one) => one.terms?.effect ?? one.proposal?.effect ?? null, cell: (one) => one.terms?.effect ?? (one.proposal === null ? '–' : <span className="w-dim">{one.proposal.effect}?</span>) },
  { id: 'back', header: 'Can be taken back', width: '140px', value: (one) => (one.terms === null ? null : one.terms.reversible ? 'yes' : 'no') },
  { id: 'labels', header: 'Labels', width: 'minmax(120px, 1fr)', value: labelsOf },
  { id: 'hidden', header: 'Hidden text', width: '110px', value: (one) => one.flags.length, isNumber: true, cell: (one) => (one.flags.length === 0 ? '–' : <Mark tone="bad">{one.flags.length}</Mark>) },
  { id: 'seen', header: 'Last seen', width: '110px', value: (one) => one.last_seen, cell: (one) => (one.last_seen === null ? 'never' : <Ago at={one.last_seen} />) },
  { id: 'hash', header: 'Hash', value: (one) => one.hash },
]

/** One server: its tools as they were seen and as they are pinned. */
export function ToolServer() {
  const { name } = useParams({ from: '/inside/tools/$name' })
  const search = useSearch({ from: '/inside/tools/$name' })
  const navigate = useNavigate({ from: '/tools/$name' })
  const parameters = { name }
  const server = useAsk(showMcpServer, { parameters })
  const tools = useAsk(listMcpTools, { parameters })
  const fresh = useQuery({
    queryKey: ['look at tools', name], enabled: false, retry: false,
    queryFn: async () => {
      const seen = await ask(listMcpTools, { parameters, query: { fresh: 'true' } })
      queries.setQueryData(keyOf(listMcpTools, { parameters }), seen)
      return seen
    },
  })
  if (server.data === undefined) return server.error === null ? <p className="w-loading" role="status">loading the server…</p> : <ProblemNote error={server.error} />
  const opened = tools.data?.tools.find((one) => one.name === search.tool)
  return (
    <Page
      title={server.data.name} isList beside={<><Mark tone={server.data.state === 'active' ? 'good' : 'quiet'}>{server.data.state}</Mark><code className="w-dim"><Inert text={server.data.url ?? [server.data.command, ...server.data.args].join(' ')} most={60} /></code></>}
      commands={{ cli: commandOf('writ', 'mcp', 'tools', name), curl: curlOf(listMcpTools, { parameters }, window.location.origin) }}
      actions={<Button variant="default" size="compact-sm" loading={fresh.isFetching} onClick={() => void fresh.refetch()}>Look again</Button>}
    >
      {fresh.error !== null && <ProblemNote error={fresh.error} />}
      {fresh.data !== undefined && fresh.data.left_out.length > 0 && <p className="w-dim">Left out, for nobody could be allowed to call them: {fresh.data.left_out.map(({ because, count }) => `${count} ${because}`).join(', ')}.</p>}
      <ListTable
        name={`tools of ${name}`} columns={COLUMNS} search={search} idOf={(one) => one.name} hint="filter: state:new effect:external"
        list={{ rows: tools.data?.tools ?? [], more: false, isLoading: tools.isPending, error: tools.error, fetchMore: () => {} }}
        onSearch={(next) => void navigate({ search: { ...search, ...next }, replace: true })} onOpen={(one) => void navigate({ search: { ...search, tool: one.name } })}
        empty={<Empty title="Nobody has looked at its tools yet" command={commandOf('writ', 'mcp', 'tools', name)}>“Look again” asks the server itself. What it lists can be called by nobody until a person has pinned it.</Empty>}
      />
      {opened !== undefined && <ToolDrawer key={opened.name} server={name} tool={opened} onClose={() => void navigate({ search: { ...search, tool: undefined } })} />}
    </Page>
  )
}
