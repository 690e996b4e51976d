import type { McpServerReply } from '@writ/contract/mcp-servers'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { curlOf } from '../commands.ts'
import { listMcpServers, listMcpTools } from '../endpoints.ts'
import { useLiveState } from '../live.ts'
import { useAsk } from '../queries.ts'
import { Inert } from '../ui/agent-words.tsx'
import { Empty } from '../ui/empty.tsx'
import { Mark, NotEvaluated } from '../ui/mark.tsx'
import { Page } from '../ui/page.tsx'
import { ProblemNote } from '../ui/problem-note.tsx'
import { Switch } from '../ui/switch.tsx'
import { Ago } from '../ui/time.tsx'

/** Servers of tools, and how many of their tools are pinned, new or changed. */
export function Tools() {
  const { retired } = useSearch({ from: '/inside/tools' })
  const navigate = useNavigate({ from: '/tools' })
  const poll = useLiveState().kind !== 'live'
  const found = useAsk(listMcpServers, {}, { poll })
  const servers = found.data?.servers.filter((one) => retired !== undefined || one.state === 'active') ?? []
  return (
    <Page title="Tools" commands={{ cli: 'writ mcp list', curl: curlOf(listMcpServers, {}, window.location.origin) }}
      beside={<Switch name="Which servers" value={retired === undefined ? '' : 'yes'} choices={[['', 'active'], ['yes', 'retired too']]} onChange={(next) => void navigate({ search: { retired: next === '' ? undefined : next }, replace: true })} />}
    >
      {found.error !== null ? <ProblemNote error={found.error} /> : found.data === undefined ? <p className="w-loading" role="status">loading the servers…</p> : servers.length === 0 ? (
        <Empty title="No server of tools is registered yet" command="writ mcp add files -- npx @modelcontextprotocol/server-filesystem .">An MCP server is reached by tasks through Writ alone. Its tools are seen, and only what a person has pinned can be called.</Empty>
      ) : <ul className="w-cards">{servers.map((one) => <Server key={one.id} server={one} />)}</ul>}
    </Page>
  )
}

function Server({ server }: { readonly server: McpServerReply }) {
  const tools = useAsk(listMcpTools, { parameters: { name: server.name } }, { when: server.state === 'active' })
  const count = (state: string): number => tools.data?.tools.filter((one) => one.state === state).length ?? 0
  return (
    <li className="w-card">
      <h2><Link to="/tools/$name" params={{ name: server.name }}>{server.name}</Link> {server.state === 'retired' ? <Mark tone="quiet">retired</Mark> : null}</h2>
      <p className="w-dim"><code><Inert text={server.url ?? [server.command, ...server.args].join(' ')} most={120} /></code></p>
      <p className="w-dim">{server.transport}{server.environment === null ? '' : `, ${server.environment}`}, added <Ago at={server.added_at} /></p>
      {server.state === 'active' && (
        <p className="w-card-marks">
          {tools.error !== null ? <NotEvaluated why="its tools could not be asked for" /> : tools.data === undefined ? 'counting…' : tools.data.tools.length === 0 ? <>nobody has looked at its tools yet</> : (
            <>
              <Mark tone="good">{count('pinned')} pinned</Mark>{count('new') > 0 && <Mark tone="ask">{count('new')} new</Mark>}{count('changed') > 0 && <Mark tone="bad">{count('changed')} changed: blocked</Mark>}{count('gone') > 0 && <Mark tone="quiet">{count('gone')} gone</Mark>}
            </>
          )}
        </p>
      )}
    </li>
  )
}
