import * as contract from '@writ/contract/mcp'
import { DPOP_ALGS } from '../../authenticate/dpop.ts'
import { route, type Route } from '../call.ts'
import type { RawAnswer, RawCall, RawRoute } from '../raw-route.ts'

export type McpDoorNeeds = {
  readonly door: (call: RawCall) => Promise<RawAnswer>
}

/** A whole file may stand in the arguments of one call. */
const MOST_BYTES = 4 * 1024 * 1024

/** The door of each MCP server. */
export const mcpRoutes = ({ door }: McpDoorNeeds): readonly RawRoute[] => [{ methods: ['POST', 'GET', 'DELETE'], path: contract.mcpRequest.path, mostBytes: MOST_BYTES, handle: door }]

export type McpMetadataNeeds = {
  /** What clients call this server. */
  readonly issuer: () => string
  readonly resourceOf: (issuer: string, server: string) => string
}

/** The same for a server that is there and for one that is not: whoever has no token learns of none. */
export function mcpMetadataRoutes({ issuer, resourceOf }: McpMetadataNeeds): readonly Route[] {
  return [
    route(contract.protectedResource, async ({ parameters }) => ({
      reply: {
        resource: resourceOf(issuer(), parameters['server']!),
        authorization_servers: [issuer()],
        resource_name: `MCP server ${parameters['server']!} through Writ`,
        bearer_methods_supported: ['header'],
        dpop_signing_alg_values_supported: [...DPOP_ALGS],
        dpop_bound_access_tokens_required: false,
        authorization_details_types_supported: ['mcp'],
      },
      headers: { 'cache-control': 'public, max-age=300' },
    })),
  ]
}
