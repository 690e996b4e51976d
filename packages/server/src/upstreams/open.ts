import type { Entropy } from '../platform/entropy.ts'
import type { OutboundStreams } from '../platform/outbound.ts'
import { HTTP_BOUNDS, type HttpBounds, type HttpNeeds } from './http-exchange.ts'
import { OLDER_LIMITS, type OlderLimits } from './older-calls.ts'
import { openStdio, STDIO_BOUNDS, type StdioBounds } from './stdio.ts'
import { openOlderHttp } from './streamable-http-2025.ts'
import { discoverOverHttp } from './streamable-http-2026.ts'
import { secretParts, without, withholding } from './withheld.ts'
import { UpstreamFault, type Generation, type McpClient, type Upstream } from './upstream.ts'

export type UpstreamTransport =
  | { readonly kind: 'http'; readonly url: string; /** Certification authorities in PEM, in place of those that everybody trusts. */ readonly ca: string | null }
  | { readonly kind: 'stdio'; readonly command: string; readonly args: readonly string[]; readonly cwd?: string }

export type UpstreamSettings = { readonly name: string; readonly transport: UpstreamTransport }

/** What the server wants to see of us: headers over HTTP, names in the environment of a child process. */
export type UpstreamSecret = {
  readonly headers?: Readonly<Record<string, string>>
  readonly environment?: Readonly<Record<string, string>>
  /** More of the environment, and no secret: it is not withheld from what the server says. */
  readonly beside?: Readonly<Record<string, string>>
}

export type Opening = {
  readonly secret: UpstreamSecret | null
  /** On whose behalf it is opened. A server of the older generation hears of it once, and of no other client later. */
  readonly client: McpClient
  /** Gives the opening up. What is open is ended by `close`. */
  readonly signal?: AbortSignal
}

/** What was found out of each server's generation, as long as its settings stay. One for the process. */
export type KnownGenerations = Map<string, Generation>

export type UpstreamNeeds = {
  readonly outbound: OutboundStreams
  readonly entropy: Entropy
  readonly generations: KnownGenerations
  /** A child process that ended unasked, with the end of its standard error, from which the secrets are taken out. */
  readonly onTrouble?: (trouble: { readonly server: string; readonly code: string; readonly lastWords: readonly string[] }) => void
  readonly bounds?: Partial<HttpBounds & StdioBounds & OlderLimits & { /** How long all the steps of an opening may take together. */ readonly openMs: number }>
}

const OPEN_MS = 60_000

/**
 * Opens one task's own way to an MCP server, in the generation that the server speaks: the newer one where it answers `server/discover`,
 * otherwise the older one. Throws `UpstreamFault`, or the signal's reason.
 */
export async function openUpstream(settings: UpstreamSettings, opening: Opening, needs: UpstreamNeeds): Promise<Upstream> {
  const key = JSON.stringify([settings.name, settings.transport])
  const known = needs.generations.get(key) ?? null
  const late = AbortSignal.timeout(needs.bounds?.openMs ?? OPEN_MS)
  const signal = AbortSignal.any([late, ...(opening.signal === undefined ? [] : [opening.signal])])
  const secrets = secretParts([...Object.values(opening.secret?.headers ?? {}), ...Object.values(opening.secret?.environment ?? {})])
  const open = async (of: Generation | null): Promise<Upstream> => {
    try {
      const upstream = await (settings.transport.kind === 'http' ? openHttp : openOverStdio)({ settings, opening, needs, signal, secrets, known: of })
      needs.generations.set(key, upstream.description.generation)
      return withholding(upstream, secrets)
    } catch (cause) {
      opening.signal?.throwIfAborted()
      throw late.aborted ? new UpstreamFault(settings.name, 'too_slow', { cause }) : cause
    }
  }
  try {
    return await open(known)
  } catch (cause) {
    if (known === null || !isHandshakeFault(cause)) throw cause
    // The server is another one than it was.
    needs.generations.delete(key)
    return open(null)
  }
}

const isHandshakeFault = (cause: unknown): boolean => cause instanceof UpstreamFault && /^(?:handshake_refused|bad_answer|status_4\d\d|unsupported_version)$/.test(cause.code)

type Order = {
  readonly settings: UpstreamSettings
  readonly opening: Opening
  readonly needs: UpstreamNeeds
  readonly signal: AbortSignal
  readonly secrets: readonly string[]
  readonly known: Generation | null
}

async function openHttp({ settings, opening, needs, signal, known }: Order): Promise<Upstream> {
  const { name, transport } = settings
  if (transport.kind !== 'http') throw new TypeError('no settings of an MCP server over HTTP')
  const http: HttpNeeds = {
    server: name, url: transport.url, ca: transport.ca, secretHeaders: opening.secret?.headers ?? {},
    outbound: needs.outbound, bounds: { ...HTTP_BOUNDS, ...needs.bounds },
  }
  if (known !== '2025-11-25') {
    const found = await discoverOverHttp(http, opening.client, signal)
    if (found.kind === 'newer') return found.upstream
    if (found.kind === 'other_version') throw new UpstreamFault(name, 'unsupported_version')
  }
  return openOlderHttp({ ...http, client: opening.client, entropy: needs.entropy, limits: { ...OLDER_LIMITS, ...needs.bounds } }, signal)
}

function openOverStdio({ settings, opening, needs, signal, secrets, known }: Order): Promise<Upstream> {
  const { name, transport } = settings
  if (transport.kind !== 'stdio') throw new TypeError('no settings of an MCP server over stdio')
  const environment = { ...opening.secret?.environment, ...opening.secret?.beside }
  return openStdio({
    server: name, command: transport.command, args: transport.args, cwd: transport.cwd, environment, client: opening.client, known,
    entropy: needs.entropy, limits: { ...OLDER_LIMITS, ...needs.bounds }, bounds: { ...STDIO_BOUNDS, ...needs.bounds },
    onEnd: ({ code, lastWords }) => { needs.onTrouble?.({ server: name, code, lastWords: lastWords.map((line) => without(secrets, line)) }) },
  }, signal)
}
