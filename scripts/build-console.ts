import { createHash } from 'node:crypto'
import { globSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'

const ROOT = resolve(import.meta.dirname, '..')
const CONSOLE = join(ROOT, 'packages/console')
export const DIST = join(CONSOLE, 'dist')

/** What the built console was made of; as long as that is the same, it is not built again. */
const STAMP = '.built-from'
const SOURCES = [
  'packages/console/{index.html,package.json,tsconfig.json,vite.config.ts}', 'packages/console/src/**', 'packages/ledger/src/*.ts', 'packages/domain/src/*.ts', 'packages/policy/src/*.ts',
  'packages/contract/src/{roles,strict-json,json-flaw,json-reader}.ts',
  'package-lock.json', 'scripts/build-console.ts',
]
const SMALLEST_WORTH_COMPRESSING = 1024

/** Builds the console unless it was built from just this; says whether there was something to do. */
export async function buildConsole(say: (line: string) => void = () => {}): Promise<boolean> {
  const from = hashOfSources()
  if (builtFrom() === from) return false
  say('building the console, once (some 10 s)')
  const { build } = await import('vite')
  // Put in place once it is whole: whoever builds at the same time, or is served meanwhile, finds all of one build.
  const made = mkdtempSync(join(CONSOLE, 'dist-'))
  try {
    await build({ configFile: join(CONSOLE, 'vite.config.ts'), logLevel: 'warn', mode: 'production', build: { outDir: made } })
    await compressAll(made)
    writeFileSync(join(made, STAMP), `${from}\n`)
    if (builtFrom() === from) return false
    rmSync(DIST, { recursive: true, force: true })
    renameSync(made, DIST)
  } finally {
    rmSync(made, { recursive: true, force: true })
  }
  return true
}

function hashOfSources(): string {
  const hash = createHash('sha256')
  const files = globSync(SOURCES, { cwd: ROOT, exclude: (path) => path.endsWith('.test.ts') }).filter((path) => /\.\w+$/.test(path)).toSorted()
  for (const file of files) hash.update(`${file}\0`).update(readFileSync(join(ROOT, file))).update('\0')
  return hash.digest('hex')
}

function builtFrom(): string | undefined {
  try {
    return readFileSync(join(DIST, STAMP), 'utf8').trim()
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw cause
  }
}

/** Once here instead of for every visitor. */
async function compressAll(folder: string): Promise<void> {
  const files = globSync('assets/*.{js,css,wasm,svg}', { cwd: folder })
  await Promise.all(files.map(async (file) => {
    const path = join(folder, file)
    const bytes = await readFile(path)
    if (bytes.length < SMALLEST_WORTH_COMPRESSING) return
    const params = { [constants.BROTLI_PARAM_QUALITY]: bytes.length > 1_000_000 ? 9 : 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length }
    await writeFile(`${path}.br`, await promisify(brotliCompress)(bytes, { params }))
    await writeFile(`${path}.gz`, await promisify(gzip)(bytes, { level: 9 }))
  }))
}

if (import.meta.main) {
  const isNew = await buildConsole((line) => { process.stdout.write(`${line}\n`) })
  process.stdout.write(isNew ? `${DIST}\n` : 'the console is as its sources are\n')
}
