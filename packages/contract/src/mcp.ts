import { z } from 'zod'
import { endpoint } from './endpoint.ts'

/** JSON-RPC 2.0 §4, §5; the rest is the Model Context Protocol's own. */
export const mcpMessage = z.looseObject({ jsonrpc: z.literal('2.0'), id: z.union([z.string(), z.int()]).optional() })

/** RFC 9728 §2. */
export const protectedResourceReply = z.looseObject({ resource: z.string(), authorization_servers: z.array(z.string()) })

/** The gateway to one MCP server. What is wrong inside the protocol is said as JSON-RPC errors, denials as -32001 with their explanation. */
const mcp = { path: '/mcp/{server}', who: 'token_holder', reply: mcpMessage, problems: [] } as const

export const mcpRequest = endpoint({ ...mcp, method: 'POST', summary: 'One message of the Model Context Protocol, 2026-07-28 or 2025-11-25, to an MCP server through its gateway', body: mcpMessage })
export const mcpStream = endpoint({ ...mcp, method: 'GET', summary: 'What the MCP server says of its own accord, in a session (2025-11-25)', media: 'text/event-stream' })
export const mcpEnd = endpoint({ ...mcp, method: 'DELETE', summary: 'End a session of the Model Context Protocol (2025-11-25)' })

export const protectedResource = endpoint({
  method: 'GET', path: '/.well-known/oauth-protected-resource/mcp/{server}', who: 'anyone', summary: 'What the gateway to an MCP server takes (RFC 9728), whether there is one or not', reply: protectedResourceReply, problems: [],
})
