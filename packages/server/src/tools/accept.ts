import type { EventActor } from '@writ/domain/event'
import { refuse, type Outcome } from '@writ/domain/outcome'
import type { BundleFiles } from '@writ/policy/bundle'
import { pinTools, shownInput, TOOLS_FILE, type PinnedTool } from '@writ/policy/pin-tools'
import type { Clock } from '../platform/clock.ts'
import type { Store } from '../record/tx.ts'
import { findMcpServer, listSeenTools, type SeenTool } from '../store/mcp-servers.ts'
import { findPolicyFiles, findPolicyHead } from '../store/policies.ts'
import type { Once } from '../store/store.ts'
import type { ToolTerms } from './proposal.ts'
import { settleTools } from './see.ts'
import { definitionIn } from './standing.ts'

/** What a person accepts: the definition that was looked at, by its hash, and what is said of the tool. */
export type AcceptedTool = ToolTerms & { readonly name: string; readonly hash: string }

export type AcceptRefusal =
  | { readonly kind: 'no_such_server' }
  /** `seen`: the hash of what is listed now; null where nothing is. */
  | { readonly kind: 'stale'; readonly tools: readonly { readonly name: string; readonly seen: string | null }[] }

/** `expected`: in place of this version alone. */
export type FilesToApply = { readonly files: BundleFiles; readonly reason: string; readonly expected: number; readonly by: EventActor; readonly once: Once }

export type AcceptNeeds<Applied, Refusal> = {
  readonly store: Pick<Store, 'read' | 'change'>
  readonly clock: Clock
  /** Checks and tests the files and brings them in force, as it does for whoever applies policies. */
  readonly apply: (order: FilesToApply) => Promise<Outcome<Applied, Refusal>>
}

export type AcceptOrder = Omit<FilesToApply, 'files' | 'expected'> & { readonly server: string; readonly tools: readonly AcceptedTool[] }

/**
 * Pins tools: the policies in force with these tools in their `tools.json`, applied as any policies are. Only what is listed at this moment is
 * accepted, and never anything but what the person has seen.
 */
export async function acceptTools<Applied, Refusal>({ store, clock, apply }: AcceptNeeds<Applied, Refusal>, { server, tools, ...order }: AcceptOrder): Promise<Outcome<Applied, AcceptRefusal | Refusal>> {
  const found = await store.read(async (db) => {
    const registered = await findMcpServer(db, server)
    if (registered === undefined) return undefined
    const { version } = await findPolicyHead(db)
    return { seen: await listSeenTools(db, registered.id), version, files: await findPolicyFiles(db, version) }
  })
  if (found === undefined) return refuse<AcceptRefusal>({ kind: 'no_such_server' })
  const listed = new Map(found.seen.filter((one) => one.goneAt === null).map((one) => [one.name, one]))
  const stale = tools.filter(({ name, hash }) => listed.get(name)?.hash !== hash)
  if (stale.length > 0) return refuse<AcceptRefusal>({ kind: 'stale', tools: stale.map(({ name }) => ({ name, seen: listed.get(name)?.hash ?? null })) })
  const text = pinTools(Object.hasOwn(found.files, TOOLS_FILE) ? found.files[TOOLS_FILE] : undefined, tools.map((one) => pinnedOf(server, one, listed.get(one.name)!)))
  // The policies in force were checked when they were applied.
  if (!text.ok) throw new Error(`version ${found.version} of the policies can not be read: ${text.refusal.message}`)
  const applied = await apply({ ...order, files: { ...found.files, [TOOLS_FILE]: text.value }, expected: found.version })
  if (!applied.ok) return applied
  await store.change(settleTools, { server, now: clock.now() })
  return applied
}

function pinnedOf(server: string, { name, hash, effect, reversible, labels, trust, public: open }: AcceptedTool, seen: SeenTool): PinnedTool {
  const { description, inputSchema } = definitionIn(seen)
  return {
    server, name, effect, reversible, labels, trust, pin: hash, public: open, description: typeof description === 'string' ? description : null, input: shownInput(inputSchema).input,
  }
}
