import { UnusableStore } from './faults.ts'
import type { Ask } from './migrate.ts'

export type CheckOrder = {
  /** Host, port and database, for the message; never the URL, which holds a password. */
  readonly place: string
  /** For development only: start although a damaged page would not be noticed. */
  readonly allowMissingChecksums?: boolean
}

type Settings = Readonly<Record<string, string>>

const CHECKED = ['fsync', 'full_page_writes', 'synchronous_commit', 'synchronous_standby_names', 'server_encoding', 'data_checksums'] as const

/** Throws `UnusableStore` for a server that may lose what it has acknowledged (R8). */
export async function checkDatabase(ask: Ask, order: CheckOrder): Promise<void> {
  const rows = await ask('select name, setting from pg_settings where name = any(string_to_array($1, \',\'))', [CHECKED.join(',')]) as readonly { name: string; setting: string }[]
  const unsafe = firstUnsafe(Object.fromEntries(rows.map((row) => [row.name, row.setting])), order.allowMissingChecksums ?? false)
  if (unsafe === undefined) return
  const { setting, found, danger, wayOut } = unsafe
  throw new UnusableStore('unsafe_setting', `PostgreSQL at \`${order.place}\` has \`${setting} = ${found}\`: ${danger}; ${wayOut}`)
}

type Unsafe = { readonly setting: (typeof CHECKED)[number]; readonly found: string; readonly danger: string; readonly wayOut: string }

const inConfiguration = (setting: string): string =>
  `set \`${setting} = on\` in postgresql.conf, or where it is set for this role or database, and reload`

function firstUnsafe(settings: Settings, allowMissingChecksums: boolean): Unsafe | undefined {
  for (const setting of ['fsync', 'full_page_writes'] as const) {
    if (settings[setting] !== 'on') {
      return { setting, found: foundIn(settings, setting), danger: 'a power cut may destroy the database', wayOut: inConfiguration(setting) }
    }
  }
  const commit = foundIn(settings, 'synchronous_commit')
  if (commit === 'off') {
    return { ...commitAt(commit), danger: 'a power cut loses acknowledged changes' }
  }
  // `local` is as good as `on` while there is no synchronous standby; with one, a failover loses what the standby has not got.
  if (commit === 'local' && settings['synchronous_standby_names'] !== '') {
    return { ...commitAt(commit), danger: 'a failover loses acknowledged changes' }
  }
  if (settings['server_encoding'] !== 'UTF8') {
    return {
      setting: 'server_encoding', found: foundIn(settings, 'server_encoding'), danger: 'it can\'t hold every name',
      wayOut: 'make a database with `create database ... encoding \'UTF8\' template template0`',
    }
  }
  if (settings['data_checksums'] !== 'on' && !allowMissingChecksums) {
    return {
      setting: 'data_checksums', found: foundIn(settings, 'data_checksums'), danger: 'a damaged page would be read as if it were sound',
      wayOut: 'stop the server and run `pg_checksums --enable`',
    }
  }
  return undefined
}

const commitAt = (found: string) => ({ setting: 'synchronous_commit', found, wayOut: inConfiguration('synchronous_commit') } as const)

const foundIn = (settings: Settings, setting: string): string => settings[setting] ?? 'unknown'
