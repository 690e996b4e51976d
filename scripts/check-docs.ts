import { existsSync, readdirSync } from 'node:fs'
import { join, posix } from 'node:path'
import { PROJECT_ROOT, readFiles, report, type Breach, type SourceFile } from './breach.ts'

/** Every link, path, command and room that a document of ours names and that is not there. */
export function docBreaches(root: string): readonly Breach[] {
  const documents = readFiles(root, '*.md', 'docs/**/*.md', 'packages/*/*.md')
  const scripts = scriptsOf(root)
  return documents.flatMap((document) => [
    ...linkBreaches(root, document, documents),
    ...pathBreaches(root, document),
    ...commandBreaches(document, scripts),
    ...(document.path === 'ARCHITECTURE.md' ? roomBreaches(root, document) : []),
  ])
}

function scriptsOf(root: string): ReadonlySet<string> {
  const [manifest] = readFiles(root, 'package.json')
  const read = JSON.parse(manifest?.text ?? '{}') as { readonly scripts?: Readonly<Record<string, string>> }
  return new Set(Object.keys(read.scripts ?? {}))
}

type Line = { readonly text: string; readonly line: number; readonly fenced: boolean }

function linesOf({ text }: SourceFile): readonly Line[] {
  let fence: string | undefined
  return text.split('\n').map((one, at) => {
    const mark = /^\s*(```+|~~~+)/.exec(one)?.[1]
    const fenced = fence !== undefined || mark !== undefined
    if (mark !== undefined) fence = fence === undefined ? mark : one.trim().startsWith(fence) ? undefined : fence
    return { text: one, line: at + 1, fenced }
  })
}

function linkBreaches(root: string, document: SourceFile, documents: readonly SourceFile[]): readonly Breach[] {
  return linesOf(document).filter((one) => !one.fenced).flatMap(({ text, line }) =>
    [...text.replaceAll(/`[^`]*`/g, '').matchAll(/\]\(\s*<?([^)>\s]+)>?(?:\s+"[^"]*")?\s*\)/g)].map((found) => found[1]!).flatMap((link) => {
      if (/^[a-z][a-z0-9+.-]*:/i.test(link)) return []
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? document.path : posix.join(posix.dirname(document.path), decodeURI(path))
      const wrong = (what: string, wayOut: string): Breach => ({ file: document.path, line, what, wayOut })
      if (!existsSync(join(root, target))) return [wrong(`the link \`${link}\` leads nowhere`, 'paths are relative to the document')]
      const known = documents.find((one) => one.path === target)
      if (anchor === undefined || known === undefined || anchorsOf(known).has(anchor)) return []
      return [wrong(`\`${target}\` has no heading \`#${anchor}\``, 'a heading\'s anchor is its text in lower case with `-` for spaces')]
    }))
}

/** As GitHub makes them: lower case, punctuation gone, spaces to dashes, repeats numbered. */
function anchorsOf(document: SourceFile): ReadonlySet<string> {
  const counts = new Map<string, number>()
  const anchors = new Set<string>()
  for (const { text, fenced } of linesOf(document)) {
    const heading = fenced ? undefined : /^#{1,6}\s+(.*?)\s*#*\s*$/.exec(text)?.[1]
    if (heading === undefined) continue
    const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const slug = plain.replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, '').replaceAll(' ', '-')
    const count = counts.get(slug) ?? 0
    counts.set(slug, count + 1)
    anchors.add(count === 0 ? slug : `${slug}-${count}`)
  }
  return anchors
}

/** A text in backticks is a path when it begins as one of ours; what has a hole, a star or a blank in it is a pattern. */
function pathBreaches(root: string, document: SourceFile): readonly Breach[] {
  const top = readdirSync(root)
  const packages = existsSync(join(root, 'packages')) ? readdirSync(join(root, 'packages')) : []
  return linesOf(document).filter((one) => !one.fenced).flatMap(({ text, line }) =>
    [...text.matchAll(/(?<!`)`([^`]+)`(?!`)/g)].map((found) => found[1]!).flatMap((word) => {
      if (!/^[\w.@-]+(?:\/[\w.@-]+)*\/?$/.test(word)) return []
      const [first = '', second = '', ...rest] = word.replace(/\/$/, '').split('/')
      const candidates: string[] = []
      if (first === '@writ') candidates.push(`packages/${second}/src/${rest.join('/')}.ts`, ...(rest.length === 0 ? [`packages/${second}`] : []))
      else if (second === '' ? /^[A-Z]+\.md$/.test(word) : top.includes(first)) candidates.push(word)
      else if (second !== '' && packages.includes(first)) candidates.push(`packages/${word}`, `packages/${first}/src/${[second, ...rest].join('/')}`)
      else return []
      const places = [...candidates, ...candidates.map((one) => `${one}.ts`), posix.join(posix.dirname(document.path), word)]
      if (places.some((one) => existsSync(join(root, one)))) return []
      return [{ file: document.path, line, what: `\`${word}\` is not there`, wayOut: 'name the file that has taken its place' }]
    }))
}

function commandBreaches(document: SourceFile, scripts: ReadonlySet<string>): readonly Breach[] {
  return linesOf(document).flatMap(({ text, line }) =>
    [...text.matchAll(/\bnpm (?:run(?:-script)? ([\w:.-]+)|(test|start)\b)/g)].map((found) => (found[1] ?? found[2]!).replace(/[.:]+$/, ''))
      .filter((script) => !scripts.has(script))
      .map((script) => ({
        file: document.path, line,
        what: `\`npm run ${script}\` is not among the scripts of package.json`, wayOut: `there are ${[...scripts].join(', ')}`,
      })))
}

/** The first cell of a table's row that names a room: `domain`, `server/store`, or `server/store` with its `packages/`. */
const ROOM_CELL = /^\|\s*(?:\*\*)?`(?:packages\/)?([a-z]+(?:\/[a-z]+)?)\/?`(?:\*\*)?\s*\|/

function roomBreaches(root: string, document: SourceFile): readonly Breach[] {
  const named = linesOf(document).flatMap(({ text, line }) => {
    const room = ROOM_CELL.exec(text)?.[1]
    return room === undefined ? [] : [{ room, line }]
  })
  const there = roomsOf(root)
  const gone = named.filter(({ room }) => !there.includes(room)).map(({ room, line }) =>
    ({ file: document.path, line, what: `the room \`${room}\` is not in the tree`, wayOut: 'take its row out, or build it' }))
  const missing = there.filter((room) => !named.some((one) => one.room === room)).map((room) =>
    ({ file: document.path, line: 1, what: `the room \`${room}\` has no row in a table`, wayOut: `begin a row with \`| \`${room}\` |\`` }))
  return [...gone, ...missing]
}

/** The packages, and the folders of the server, which is the only package with rooms in it. */
function roomsOf(root: string): readonly string[] {
  const packages = readFiles(root, 'packages/*/package.json').map((file) => file.path.split('/')[1]!)
  const server = join(root, 'packages/server/src')
  const inside = existsSync(server) ? readdirSync(server, { withFileTypes: true }) : []
  return [...packages, ...inside.filter((one) => one.isDirectory()).map((one) => `server/${one.name}`)].toSorted()
}

if (import.meta.main) process.exitCode = report('docs', docBreaches(PROJECT_ROOT))
