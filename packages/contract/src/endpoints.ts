import * as accessRequests from './access-requests.ts'
import * as approvals from './approvals.ts'
import * as authzen from './authzen.ts'
import * as backends from './backends.ts'
import * as backup from './backup.ts'
import * as bindings from './bindings.ts'
import * as decisions from './decisions.ts'
import type { Endpoint } from './endpoint.ts'
import * as events from './events.ts'
import * as issuers from './issuers.ts'
import * as live from './live.ts'
import * as mcp from './mcp.ts'
import * as mcpServers from './mcp-servers.ts'
import * as notices from './notices.ts'
import * as oauth from './oauth.ts'
import * as operators from './operators.ts'
import * as overview from './overview.ts'
import * as people from './people.ts'
import * as policies from './policies.ts'
import * as registry from './registry.ts'
import * as signIn from './sign-in.ts'
import * as stops from './stops.ts'
import * as surface from './surface.ts'
import * as tasks from './tasks.ts'
import * as words from './words.ts'

/** Whatever these rooms say is part of the surface: what a room exports is served and documented by its name. */
const ROOMS: readonly object[] = [registry, operators, people, signIn, issuers, bindings, backends, mcpServers, mcp, tasks, policies, decisions, approvals, authzen, accessRequests, stops, overview, events, live, notices, backup, oauth, surface]

export type NamedEndpoint = { readonly name: string; readonly endpoint: Endpoint }

const isEndpoint = (value: unknown): value is Endpoint =>
  typeof value === 'object' && value !== null && ['method', 'path', 'who', 'reply'].every((member) => member in value)

/** Everything that the server serves, by the names that its clients know it by. */
export const ENDPOINTS: readonly NamedEndpoint[] = ROOMS.flatMap((room) =>
  Object.entries(room).flatMap(([name, value]: [string, unknown]) => (isEndpoint(value) ? [{ name, endpoint: value }] : [])))

/** Every schema that has a name of its own. */
export const SCHEMAS: ReadonlyMap<string, object> = new Map([...ROOMS, words].flatMap((room) =>
  Object.entries(room).filter(([, value]: [string, unknown]) => typeof value === 'object' && value !== null && '_zod' in value)))
