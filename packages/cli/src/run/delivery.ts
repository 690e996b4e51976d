import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AuthorizationDetail } from '@writ/domain/authority'
import { leaseVariables, LIBPQ } from '@writ/domain/lease-variables'
import { usage } from '../exit.ts'

export type LeaseTo = 'env' | 'fd' | 'file'

/** One lease to be had: `postgres:shop:ddl`. */
export type Wanted = { readonly type: 'postgres'; readonly resource: string; readonly action: string }

/** A lease as the command gets it. */
export type Delivered = Wanted & {
  readonly lease: string; readonly host: string; readonly port: number; readonly database: string; readonly user: string; readonly password: string
  readonly tls: boolean; readonly expires_at: string
}

/** Where the command finds its leases, beside its environment. */
export type Delivery = {
  readonly environment: NodeJS.ProcessEnv
  /** What to write on the command's descriptor 3; nothing when undefined. */
  readonly descriptorText: string | undefined
  /** A folder that holds a secret until the end; none when undefined. */
  readonly folder: string | undefined
  readonly forget: () => Promise<void>
}

export const LEASE_FD = 3

/** What libpq would read besides what we set, and what would then win over it or mix with it. */
const AMBIENT_PG = ['PGHOST', 'PGHOSTADDR', 'PGPORT', 'PGDATABASE', 'PGUSER', 'PGPASSWORD', 'PGPASSFILE', 'PGSERVICE', 'PGSERVICEFILE', 'PGSSLMODE', 'PGREQUIRESSL'] as const

/** The leases that the grant asks for: one for each permit on a back end that Writ can mint logins on. */
export function wantedLeases(details: readonly AuthorizationDetail[]): readonly Wanted[] {
  return details.filter((detail) => detail.type === 'postgres')
    .flatMap(({ locations, actions }) => locations.flatMap((resource) => actions.map((action): Wanted => ({ type: 'postgres', resource, action }))))
}

/** `WRIT_LEASE_SHOP`; with the action when one resource is granted twice. Refused when two would have the same name. */
export function variablePrefixes(wanted: readonly Wanted[]): readonly string[] {
  const prefixes = wanted.map(({ resource, action }) =>
    wanted.filter((other) => variableName(other.resource) === variableName(resource)).length > 1 ? `WRIT_LEASE_${variableName(resource)}_${variableName(action)}` : `WRIT_LEASE_${variableName(resource)}`)
  const twice = prefixes.find((prefix, i) => prefixes.indexOf(prefix) !== i)
  if (twice !== undefined) throw usage(`two grants would both be delivered as \`${twice}_*\``, 'use --lease-to file or --lease-to fd')
  return prefixes
}

const variableName = (text: string): string => text.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')

/** The command's environment: the caller's, without anything by which it could speak to Writ in the caller's name. */
export function bareEnvironment(environment: NodeJS.ProcessEnv, task: string): NodeJS.ProcessEnv {
  const kept = Object.entries(environment).filter(([name]) => !name.toUpperCase().startsWith('WRIT_') && !(AMBIENT_PG as readonly string[]).includes(name))
  return { ...Object.fromEntries(kept), WRIT_TASK: task }
}

export async function deliver(to: LeaseTo, bare: NodeJS.ProcessEnv, leases: readonly Delivered[]): Promise<Delivery> {
  const nothing = { descriptorText: undefined, folder: undefined, forget: async () => undefined }
  if (leases.length === 0) return { ...nothing, environment: bare }
  if (to === 'env') return { ...nothing, environment: { ...bare, ...variablesOf(leases) } }
  const text = `${JSON.stringify({ task: bare.WRIT_TASK, leases }, null, 2)}\n`
  if (to === 'fd') return { ...nothing, environment: { ...bare, WRIT_LEASE_FD: String(LEASE_FD) }, descriptorText: text }
  // mkdtemp makes the folder 0700. XDG_RUNTIME_DIR is in memory and this user's alone.
  const folder = await mkdtemp(join(process.env.XDG_RUNTIME_DIR || tmpdir(), 'writ-lease-'))
  const file = join(folder, 'lease.json')
  await writeFile(file, text, { mode: 0o600, flag: 'wx' })
  return { environment: { ...bare, WRIT_LEASE_FILE: file }, descriptorText: undefined, folder, forget: () => rm(folder, { recursive: true, force: true }) }
}

/** What libpq reads (PG*) for the first lease and, when there are several, `WRIT_LEASE_<RESOURCE>_*` for each. */
export function variablesOf(leases: readonly Delivered[]): NodeJS.ProcessEnv {
  const [first] = leases
  if (first === undefined) return {}
  const ofFirst = leaseVariables(LIBPQ, first)
  if (leases.length === 1) return ofFirst
  const prefixes = variablePrefixes(leases)
  return Object.assign({}, ofFirst, ...leases.map((lease, i) => leaseVariables(prefixes[i]!, lease)))
}
