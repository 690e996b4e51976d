import { posix } from 'node:path'
import { PROJECT_ROOT, readFiles, report, type Breach, type SourceFile } from './breach.ts'
import { importsOf, lineOf, only } from './source-text.ts'

type Package = {
  readonly floor: number
  /** The packages of ours that it may depend on. */
  readonly mayImport: readonly string[]
  /** Those that it may only start as a process of its own: named in its package.json and never imported. */
  readonly maySpawn?: readonly string[]
}

/** The drawing of the house; ARCHITECTURE.md shows it to people. A new package or room is a decision and begins here. */
const PACKAGES: Readonly<Record<string, Package>> = {
  domain: { floor: 0, mayImport: [] },
  ledger: { floor: 0, mayImport: [] },
  contract: { floor: 1, mayImport: ['domain'] },
  policy: { floor: 1, mayImport: ['domain'] },
  scanner: { floor: 1, mayImport: ['domain'] },
  server: { floor: 8, mayImport: ['domain', 'ledger', 'contract', 'policy', 'scanner'] },
  sdk: { floor: 7, mayImport: ['contract'] },
  cli: { floor: 8, mayImport: ['domain', 'ledger', 'contract', 'policy', 'scanner'], maySpawn: ['server'] },
  console: { floor: 8, mayImport: ['domain', 'ledger', 'contract', 'policy'] },
}

/** The rooms of the server, by folder below `src`; a file that stands in no folder is the roof. */
const SERVER_ROOMS: Readonly<Record<string, number>> = {
  http: 7, gateway: 7, jobs: 7,
  registry: 6, tasks: 6, issue: 6, policies: 6, evaluate: 6, tools: 6, people: 6, approvals: 6, notices: 6, stops: 6, evidence: 6,
  authenticate: 5, decide: 5, revoke: 5, probe: 5, watch: 5, prove: 5, reach: 5,
  record: 4,
  store: 3, keys: 3, connectors: 3, directory: 3, upstreams: 3,
  platform: 2, config: 2,
}
const ROOF_FILES = ['main.ts', 'writer.ts', 'changes.ts', 'start.ts', 'version.ts', 'open-store.ts', 'patience.ts', 'offer-sign-in.ts', 'change-context.ts', 'restore.ts', 'restore-main.ts']
const ROOF = 8

/** What only one file may touch, so that a test can hand in another. */
const ONLY_IN: readonly { readonly what: string; readonly touches: RegExp; readonly file: string }[] = [
  {
    what: 'reads the time', file: 'clock.ts',
    touches: /\bDate\.now\b|\bnew Date(?:\(\s*\)|\b(?!\s*\())|\bperformance\.(?:now|timeOrigin)\b|\bhrtime\b/g,
  },
  {
    what: 'draws randomness', file: 'entropy.ts',
    touches: /\bMath\.random\b|\b(?:randomBytes|randomUUID|randomInt|randomFill|randomFillSync|getRandomValues)\b/g,
  },
  {
    what: 'calls out', file: 'outbound.ts',
    touches: /(?<![.\w])fetch\s*\(|\bglobalThis\.fetch\b|\bhttps?\.(?:request|get)\s*\(|\bimport\s*\{[^}]*\b(?:request|get)\b[^}]*\}\s*from\b/g,
  },
]

/** On floors 0 and 1 time, ids and keys arrive as arguments; what is missing in a browser is missing here. */
const IMPURE = new RegExp([
  String.raw`\bDate\.now\b|\bnew Date(?:\(\s*\)|\b(?!\s*\())|\bMath\.random\b|\bglobalThis\b`,
  String.raw`(?<![.\w])(?:process|performance|crypto|Buffer)\s*[.[]`,
  String.raw`(?<![.\w])(?:fetch|setTimeout|setInterval|setImmediate)\s*\(`,
].join('|'), 'g')

/** Every place below `root` where the drawing is not kept. */
export function floorBreaches(root: string): readonly Breach[] {
  const sources = readFiles(root, 'packages/*/src/**/*.{ts,tsx}').filter((file) => !/\.test\.tsx?$/.test(file.path))
  const manifests = new Map(readFiles(root, 'packages/*/package.json').map((file) => [file.path.split('/')[1]!, manifestOf(file)]))
  return [
    ...[...manifests].flatMap(([name, manifest]) => manifestBreaches(name, manifest)),
    ...sources.flatMap((file) => [
      ...placeBreaches(file), ...importBreaches(file, manifests), ...barrelBreaches(file), ...purityBreaches(file),
    ]),
  ]
}

type Place = { readonly package: string; readonly room: string; readonly floor: number | undefined }

/** Where a path such as `packages/server/src/store/tables.ts` stands; undefined when it is not among the sources. */
function placeOf(path: string): Place | undefined {
  const [packages, name, src, ...inside] = path.split('/')
  if (packages !== 'packages' || src !== 'src' || name === undefined) return undefined
  if (name !== 'server') return { package: name, room: name, floor: PACKAGES[name]?.floor }
  const [folder, ...rest] = inside
  if (rest.length === 0) return { package: name, room: 'server roof', floor: ROOF_FILES.includes(folder!) ? ROOF : undefined }
  return { package: name, room: `server/${folder}`, floor: SERVER_ROOMS[folder!] }
}

function placeBreaches({ path }: SourceFile): readonly Breach[] {
  const place = placeOf(path)!
  if (place.floor !== undefined) return []
  return [{
    file: path, line: 1, what: `\`${place.room === 'server roof' ? posix.basename(path) : place.room}\` is on no floor of the drawing`,
    wayOut: 'move it into a room that is there, or put the new room into the table of scripts/check-floors.ts and ARCHITECTURE.md',
  }]
}

type Manifest = SourceFile & { readonly dependencies: readonly string[] }

function manifestOf(file: SourceFile): Manifest {
  const read = JSON.parse(file.text) as { readonly dependencies?: Readonly<Record<string, string>>; readonly devDependencies?: Readonly<Record<string, string>> }
  // What is built carries in itself what it was built from.
  const built = file.path === 'packages/console/package.json' ? Object.keys(read.devDependencies ?? {}) : []
  return { ...file, dependencies: [...Object.keys(read.dependencies ?? {}), ...built] }
}

function manifestBreaches(name: string, manifest: Manifest): readonly Breach[] {
  const { mayImport = [], maySpawn = [] } = PACKAGES[name] ?? {}
  return manifest.dependencies
    .filter((one) => one.startsWith('@writ/') && ![...mayImport, ...maySpawn].includes(one.slice('@writ/'.length)))
    .map((one) => ({
      file: manifest.path, line: lineOf(manifest.text, manifest.text.indexOf(`"${one}"`)), what: `\`${name}\` may not depend on \`${one}\``,
      wayOut: mayImport.length === 0 ? 'it depends on no package of ours' : `it may depend on ${mayImport.join(', ')}`,
    }))
}

function importBreaches(file: SourceFile, manifests: ReadonlyMap<string, Manifest>): readonly Breach[] {
  const from = placeOf(file.path)!
  return importsOf(file.text).flatMap(({ specifier, line }) => {
    const found = importBreach(from, file.path, specifier, manifests.get(from.package)?.dependencies ?? [])
    return found ? [{ file: file.path, line, ...found }] : []
  })
}

type Wrong = Pick<Breach, 'what' | 'wayOut'> | undefined

function importBreach(from: Place, path: string, specifier: string, dependencies: readonly string[]): Wrong {
  if (specifier.startsWith('node:')) {
    return from.floor === undefined || from.floor > 1 ? undefined :
      { what: `\`${from.room}\` is pure and imports \`${specifier}\``, wayOut: 'take what you need as an argument; the server hands it in' }
  }
  if (specifier.startsWith('@writ/')) {
    const [, name = '', ...inside] = specifier.split('/')
    const { mayImport = [], maySpawn = [] } = PACKAGES[from.package] ?? {}
    if (maySpawn.includes(name)) {
      const wayOut = `start it as a process: \`import.meta.resolve('${specifier}')\` names its file`
      return { what: `\`${from.package}\` imports \`${specifier}\``, wayOut }
    }
    if (name !== from.package && !mayImport.includes(name)) {
      return { what: `\`${from.package}\` may not import \`@writ/${name}\``, wayOut: `it may import ${mayImport.join(', ') || 'no package of ours'}` }
    }
    if (name === from.package) return { what: `\`${specifier}\` is this package's own`, wayOut: 'import it by its relative path' }
    return undeclared(`@writ/${name}`, dependencies) ?? floorBreach(from, placeOf(`packages/${name}/src/${inside.join('/')}.ts`))
  }
  if (!specifier.startsWith('.')) return undeclared(packageOf(specifier), dependencies)
  const target = posix.join(posix.dirname(path), specifier)
  if (target === `packages/${from.package}/package.json`) return undefined // its own version
  const to = placeOf(target)
  if (to === undefined || /\.test\.tsx?$/.test(target)) {
    return { what: `a source imports \`${target}\`, which is for tests and tools`, wayOut: 'move what both need into a room' }
  }
  if (to.package !== from.package) return { what: `\`${specifier}\` leaves the package`, wayOut: `import \`@writ/${to.package}/...\`` }
  return floorBreach(from, to)
}

function floorBreach(from: Place, to: Place | undefined): Wrong {
  if (from.floor === undefined || to?.floor === undefined || from.room === to.room || to.floor < from.floor) return undefined
  const way = to.floor > from.floor ? 'up' : 'sideways'
  return {
    what: `import goes ${way}: \`${from.room}\` (floor ${from.floor}) imports \`${to.room}\` (floor ${to.floor})`,
    wayOut: 'say what you need as a small `...Needs` type and let main.ts hand it in, or move the code to the floor that both stand on',
  }
}

const packageOf = (specifier: string): string => specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/')

function undeclared(name: string, dependencies: readonly string[]): Wrong {
  if (dependencies.includes(name)) return undefined
  return { what: `\`${name}\` is not among the dependencies of this package`, wayOut: 'declare it in the package.json, or do without it' }
}

function barrelBreaches({ path, text }: SourceFile): readonly Breach[] {
  const code = only(text, 'code')
  const rest = code.replaceAll(/\bexport\s+(?:type\s+)?(?:\*(?:\s+as\s+\w+)?|\{[^}]*\})\s+from\b/g, '').replaceAll(/[\s;]/g, '')
  const found: Breach[] = []
  if (code.trim() !== '' && rest === '') {
    found.push({ file: path, line: 1, what: 'this file only passes on what other files export', wayOut: 'let each import name the file it means' })
  }
  for (const { index } of code.matchAll(/\bexport\s+default\b|\bexport\s*\{[^}]*\bas\s+default\b/g)) {
    found.push({ file: path, line: lineOf(code, index), what: 'default export', wayOut: 'export it by its name' })
  }
  return found
}

function purityBreaches({ path, text }: SourceFile): readonly Breach[] {
  const place = placeOf(path)!
  const code = only(text, 'code')
  const at = (touches: RegExp, what: (touched: string) => string, wayOut: string): readonly Breach[] =>
    [...code.matchAll(touches)].map(({ 0: touched, index }) =>
      ({ file: path, line: lineOf(code, index), what: what(touched.replace(/[\s.[(]+$/, '')), wayOut }))
  if (place.floor !== undefined && place.floor <= 1) {
    return at(IMPURE, (touched) => `\`${place.room}\` is pure and touches \`${touched}\``, 'take it as an argument; the server hands it in')
  }
  if (place.package !== 'server') return []
  return ONLY_IN.flatMap(({ what, touches, file }) => path.endsWith(`/platform/${file}`) ? [] :
    at(touches, (touched) => `\`${touched}\` ${what} outside of platform/${file}`, `take what platform/${file} offers as an argument`))
}

if (import.meta.main) process.exitCode = report('floors', floorBreaches(PROJECT_ROOT))
