import { globSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build, type Plugin } from 'esbuild'

const SOURCE = fileURLToPath(new URL('../packages/server/src/', import.meta.url))

/** How a file names the one that a thread of its runs. */
const THREAD = /new URL\('\.\/([\w-]+)\.ts', import\.meta\.url\)/g

/** What an operator starts. */
const PROGRAMS = ['main.ts', 'restore-main.ts']

/**
 * The server, its restore and the files of its threads, each with all that it imports in one file: `main.mjs` for `src/main.ts`. For a run of
 * the tests, which starts it some hundred times: to find and read 1,100 modules takes half of the CPU that a start and a stop cost.
 */
export async function packServer(folder: string): Promise<void> {
  const files = globSync('**/*.ts', { cwd: SOURCE, exclude: ['**/*.test.ts'] })
  const threads = files.flatMap((file) => [...readFileSync(join(SOURCE, file), 'utf8').matchAll(THREAD)].map(([, name]) => join(dirname(file), `${name!}.ts`)))
  await build({
    entryPoints: [...PROGRAMS, ...new Set(threads)].map((file) => join(SOURCE, file)),
    outdir: folder,
    entryNames: '[name]',
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    // The log says of which class an error is.
    keepNames: true,
    // pg looks for it, and does without.
    external: ['pg-native'],
    logLevel: 'warning',
    banner: { js: 'import { createRequire as writRequire } from \'node:module\'; const require = writRequire(import.meta.url)' },
    plugins: [besideEachOther, leftWhereItIs],
  })
}

/** How the server names the folder of the built console. */
const CONSOLE = 'new URL(\'../../../console/dist/\', import.meta.url)'
const CONSOLE_PLACE = new URL('../packages/console/dist/', import.meta.url).href

/** In the folder every thread's file lies beside the file that starts it; the console stays where it was built. */
const besideEachOther: Plugin = {
  name: 'beside each other',
  setup(of) {
    of.onLoad({ filter: /packages\/server\/src\/.*\.ts$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8')
      const contents = text.replaceAll(THREAD, 'new URL(\'./$1.mjs\', import.meta.url)').replaceAll(CONSOLE, `new URL(${JSON.stringify(CONSOLE_PLACE)})`)
      return { contents, loader: 'ts' }
    })
  },
}

/** Cedar reads a file that lies beside its own. */
const leftWhereItIs: Plugin = {
  name: 'left where it is',
  setup(of) {
    of.onResolve({ filter: /^@cedar-policy\// }, ({ path, importer }) => ({ path: pathToFileURL(createRequire(importer).resolve(path)).href, external: true }))
  },
}
