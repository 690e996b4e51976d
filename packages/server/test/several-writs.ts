import { join } from 'node:path'
import { startWrit, type RunningWrit, type TestIdentity } from './running-writ.ts'

/** Several servers that are one Writ: one database, one key directory, one name; each with a port and a data directory of its own. */
export type SeveralWrits = {
  readonly writs: readonly [RunningWrit, RunningWrit, ...RunningWrit[]]
  /** The same identity, sending its requests to this server. */
  through(writ: RunningWrit, identity: TestIdentity): TestIdentity
  stop(): Promise<void>
}

export type SeveralOrder = {
  readonly count?: number
  readonly databaseUrl?: string
  readonly env?: NodeJS.ProcessEnv
  /** For the server of this number alone. */
  readonly only?: Readonly<Record<number, NodeJS.ProcessEnv>>
}

export const ISSUER = 'https://writ.acme.example'

export async function startSeveral({ count = 2, databaseUrl, env = {}, only = {} }: SeveralOrder = {}): Promise<SeveralWrits> {
  const common = { WRIT_ISSUER: ISSUER, ...env, ...(databaseUrl === undefined ? {} : { WRIT_DATABASE_URL: databaseUrl }) }
  const first = await startWrit({ ...(databaseUrl === undefined ? { store: 'postgres' as const } : {}), env: { ...common, ...only[0] } })
  const shared = { ...common, WRIT_DATABASE_URL: first.databaseUrl!, WRIT_KEYS: keysOf(first) }
  const more: RunningWrit[] = []
  try {
    for (let i = 1; i < count; i++) more.push(await startWrit({ env: { ...shared, ...only[i] }, operatorKey: first.operatorKey }))
  } catch (error) {
    for (const writ of [...more, first]) await writ.stop()
    throw error
  }
  return {
    writs: [first, ...more] as unknown as SeveralWrits['writs'],
    through: (writ, identity) => ({ ...identity, api: writ.as(() => identity.assertion()) }),
    // The first made the database.
    stop: async () => { for (const writ of [...more, first]) await writ.stop() },
  }
}

export const keysOf = (writ: Pick<RunningWrit, 'folder'>): string => join(writ.folder, 'data-keys')
