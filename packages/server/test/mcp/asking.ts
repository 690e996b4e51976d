import assert from 'node:assert/strict'
import type { OutboundRule } from '../../src/platform/outbound.ts'
import { outbound } from '../../src/platform/outbound.ts'
import { hostEntropy } from '../../src/platform/entropy.ts'
import { openUpstream, type UpstreamNeeds, type UpstreamSecret, type UpstreamTransport } from '../../src/upstreams/open.ts'
import type { Along, McpAnswer, McpClient, McpMessage, Turn, Upstream } from '../../src/upstreams/upstream.ts'

/** A client that can do everything that a server may ask for. */
export const ABLE: McpClient = { name: 'a client', version: '1.2.3', capabilities: { roots: {}, sampling: {}, elicitation: {} } }
export const UNABLE: McpClient = { ...ABLE, capabilities: {} }

export type Wanted = {
  readonly transport: UpstreamTransport
  readonly secret?: UpstreamSecret
  readonly client?: McpClient
  readonly signal?: AbortSignal
  readonly needs?: Partial<UpstreamNeeds>
}

/** An upstream whose HTTP server, if it is one, may be on this machine. */
export async function asked({ transport, secret, client = ABLE, signal, needs }: Wanted): Promise<Upstream> {
  const allow: readonly OutboundRule[] = transport.kind === 'http' ? [{ kind: 'host', host: new URL(transport.url).host }] : []
  return openUpstream({ name: 'shop', transport }, { secret: secret ?? null, client, ...(signal === undefined ? {} : { signal }) }, {
    outbound: outbound({ allow }), entropy: hostEntropy, generations: new Map(), ...needs,
  })
}

export const along = (more: Partial<Along> = {}): Along => ({ client: ABLE, signal: new AbortController().signal, notify: () => undefined, ...more })

export const call = (name: string, args: McpMessage['params'] = {}, meta?: McpMessage['params']): McpMessage =>
  ({ method: 'tools/call', params: { name, arguments: args, ...(meta === undefined ? {} : { _meta: meta }) } })

/** The first text of a tool's result. */
export function textOf(turn: Turn): string {
  assert.equal(turn.kind, 'result', JSON.stringify(turn))
  const { content } = JSON.parse(turn.kind === 'result' ? turn.text : '') as { readonly content: readonly { readonly text: string }[] }
  return content[0]!.text
}

/** What a client says to each thing that it may be asked. */
export const ANSWERS: Readonly<Record<string, McpAnswer>> = {
  'elicitation/create': { kind: 'result', text: '{"action":"accept","content":{"name":"Ann"}}' },
  'sampling/createMessage': { kind: 'result', text: '{"role":"assistant","content":{"type":"text","text":"a rose"},"model":"poet"}' },
  'roots/list': { kind: 'result', text: '{"roots":[{"uri":"file:///garden"}]}' },
}

/** Carries a request to its end and answers whatever is asked on the way; notes what that was. */
export async function toTheEnd(upstream: Upstream, message: McpMessage, said: string[] = []): Promise<Turn> {
  let turn = await upstream.request(message, along())
  while (turn.kind === 'input_required') {
    const answers = Object.entries(turn.inputs).map(([name, { method }]) => [name, ANSWERS[method]!] as const)
    said.push(...Object.values(turn.inputs).map(({ method }) => method))
    turn = await upstream.resume(message, turn.state, Object.fromEntries(answers), along())
  }
  return turn
}
