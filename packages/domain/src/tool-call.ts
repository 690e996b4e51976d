/** How an MCP server is reached: over HTTP, or as a program that Writ starts for each task. */
export const MCP_TRANSPORTS = ['http', 'stdio'] as const
export type McpTransport = (typeof MCP_TRANSPORTS)[number]

/**
 * How a call of a tool came out. `failed`: the server answered with a protocol error; `tool_error`: the tool itself said that it failed;
 * `input_required`: the server asked its client something, and what goes on with the answer is another call; `unreachable`: no answer came from
 * the server; `unknown`: whoever served the call did not live to record it.
 */
export const CALL_OUTCOMES = ['succeeded', 'failed', 'tool_error', 'input_required', 'cancelled', 'unreachable', 'unknown'] as const
export type CallOutcome = (typeof CALL_OUTCOMES)[number]

export const CALL_STATUSES = ['in_flight', ...CALL_OUTCOMES] as const
export type CallStatus = (typeof CALL_STATUSES)[number]
