import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

/** A program as it was released, in a folder of its own. */
export type PastRelease = { readonly program: string; remove(): void }

/** Why its source is not here, if it is not: a shallow clone, or an archive, has no past. */
export function missingRelease(release: number): string | undefined {
  const commit = commitOf(release)
  try {
    execFileSync('git', ['cat-file', '-e', `${commit}^{commit}`], { cwd: ROOT, stdio: 'ignore' })
    return undefined
  } catch {
    return `release ${release} is commit ${commit}, which this clone does not have: fetch the whole history`
  }
}

const commitOf = (release: number): string => readFileSync(new URL(`fixtures/release-${release}/commit`, import.meta.url), 'utf8').trim()

/** Its own packages, with the libraries that are installed. */
export function unpackRelease(release: number): PastRelease {
  const folder = mkdtempSync(join(tmpdir(), `writ-release-${release}-`))
  const remove = (): void => { rmSync(folder, { recursive: true, force: true }) }
  try {
    const archive = execFileSync('git', ['archive', commitOf(release), 'package.json', 'packages'], { cwd: ROOT, maxBuffer: 100_000_000 })
    execFileSync('tar', ['-x'], { cwd: folder, input: archive })
    const libraries = join(folder, 'node_modules')
    mkdirSync(join(libraries, '@writ'), { recursive: true })
    for (const name of readdirSync(join(ROOT, 'node_modules'))) if (name !== '@writ') symlinkSync(join(ROOT, 'node_modules', name), join(libraries, name))
    for (const name of readdirSync(join(folder, 'packages'))) symlinkSync(join(folder, 'packages', name), join(libraries, '@writ', name))
    return { program: join(folder, 'packages/server/src/main.ts'), remove }
  } catch (cause) {
    remove()
    throw cause
  }
}
