import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { PROJECT_ROOT, readFiles, report, type Breach } from './breach.ts'
import { lineOf, only } from './source-text.ts'

const DOCUMENT = 'docs/conformance.md'

/** `RFC 9162 §2.1.1`, or `RFC 8785` where the whole of it is meant. */
export type Citation = { readonly clause: string; readonly file: string; readonly line: number }

/** How we write the standards that we cite; the document writes them in the same way. */
const STANDARD = /\b(?:RFC\s+\d{3,5}|C2SP\s+[a-z]+(?:-[a-z]+)+|SPIFFE-ID|JWT-SVID|NIST\s+SP\s+[\d-]+[A-Z]?|ISO\s+\d+|OCSF|Standard\s+Webhooks)\b/g
const SECTIONS = /^(?:\s*(?:,|and|to|–)?\s*§\s*[A-Z0-9]+(?:\.[A-Z0-9]+)*)+/
const SECTION = /§\s*([A-Z0-9]+(?:\.[A-Z0-9]+)*)/g

/** Every clause that a comment of a source cites; `RFC 8693 §2, §4.1` cites two. */
export function citationsIn(root: string): readonly Citation[] {
  return readFiles(root, 'packages/*/src/**/*.{ts,tsx}').filter(({ path }) => !/\.test\.tsx?$/.test(path)).flatMap(({ path, text }) => {
    // A clause may be cut by the end of a line: the star that begins the next one is not part of it.
    const comments = only(text, 'comment').replaceAll(/(?<=\n\s*)(?:\*|\/\/)/g, (mark) => ' '.repeat(mark.length))
    return [...comments.matchAll(STANDARD)].flatMap(({ 0: cited, index }) => {
      const standard = cited.replaceAll(/\s+/g, ' ')
      const after = SECTIONS.exec(comments.slice(index + cited.length))?.[0] ?? ''
      const sections = [...after.matchAll(SECTION)].map((found) => found[1]!)
      const clauses = sections.length === 0 ? [standard] : sections.map((section) => `${standard} §${section}`)
      return clauses.map((clause) => ({ clause, file: path, line: lineOf(comments, index) }))
    })
  })
}

type Row = { readonly requirement: string; readonly clause: string; readonly file: string; readonly test: string; readonly line: number }

/** The rows of the document's tables that have its four columns, without the backticks. */
export function rowsOf(document: string): readonly Row[] {
  return document.split('\n').flatMap((text, at) => {
    const cells = /^\|(.*)\|\s*$/.exec(text)?.[1]?.split('|').map((cell) => cell.trim().replaceAll('`', ''))
    if (cells?.length !== 4 || cells.every((cell) => /^:?-+:?$/.test(cell)) || cells[0] === 'requirement id') return []
    const [requirement, clause, file, test] = cells as [string, string, string, string]
    return [{ requirement, clause, file, test, line: at + 1 }]
  })
}

/** The citations of which the document has no row, once for each clause and file. */
export function missingRows(root: string): readonly Citation[] {
  const there = new Set(documentRows(root).flatMap((row) => split(row.file).map((file) => `${row.clause} ${file}`)))
  const seen = new Set<string>()
  return citationsIn(root).filter(({ clause, file }) => {
    const key = `${clause} ${file}`
    return !there.has(key) && !seen.has(key) && Boolean(seen.add(key))
  })
}

/** Every clause that is cited and not listed, and every row that names what is not there. */
export function sourceBreaches(root: string): readonly Breach[] {
  const cited = new Set(citationsIn(root).map(({ clause, file }) => `${clause} ${file}`))
  const missing = missingRows(root).map(({ clause, file, line }) => ({
    file, line, what: `\`${clause}\` is cited here and not listed in ${DOCUMENT}`, wayOut: '`node scripts/check-sources.ts --missing` prints the row',
  }))
  return [...missing, ...documentRows(root).flatMap((row) => rowBreaches(root, row, cited))]
}

function rowBreaches(root: string, row: Row, cited: ReadonlySet<string>): readonly Breach[] {
  const wrong = (what: string, wayOut: string): Breach => ({ file: DOCUMENT, line: row.line, what, wayOut })
  const absent = [row.file, row.test].flatMap(split).filter((path) => !existsSync(join(root, path)))
  if (absent.length > 0) return absent.map((path) => wrong(`\`${path}\` is not there`, 'name the file that has taken its place, or remove the row'))
  const found: Breach[] = []
  if (!isNone(row.clause)) {
    for (const file of split(row.file).filter((path) => !cited.has(`${row.clause} ${path}`))) {
      found.push(wrong(`\`${file}\` does not cite \`${row.clause}\``, 'cite it in a comment where it is obeyed, or remove the row'))
    }
  }
  if (row.requirement === '' || row.requirement.includes('?')) found.push(wrong('a row without a requirement', 'name one, or write `-`'))
  return found
}

const split = (cell: string): readonly string[] => isNone(cell) ? [] : cell.split(/\s*(?:,|<br>)\s*/)
const isNone = (cell: string): boolean => cell === '-' || cell === '–' || cell === ''

function documentRows(root: string): readonly Row[] {
  return readFiles(root, DOCUMENT).flatMap((file) => rowsOf(file.text))
}

/** The rows to paste. The requirement is that of another row of the same standard, to be looked at. */
export function printMissing(root: string): readonly string[] {
  const rows = documentRows(root)
  const standardOf = (clause: string): string => clause.replace(/ §.*/, '')
  return missingRows(root).toSorted((a, b) => (a.clause < b.clause ? -1 : 1)).map(({ clause, file }) => {
    const requirement = rows.find((row) => standardOf(row.clause) === standardOf(clause))?.requirement ?? '?'
    const beside = ['.test.ts', '.vectors.test.ts'].map((end) => file.replace(/\.tsx?$/, end)).find((path) => existsSync(join(root, path)))
    return `| ${requirement} | ${clause} | \`${file}\` | ${beside === undefined ? '-' : `\`${beside}\``} |`
  })
}

if (import.meta.main) {
  if (process.argv.includes('--missing')) for (const row of printMissing(PROJECT_ROOT)) console.log(row)
  else process.exitCode = report('sources', sourceBreaches(PROJECT_ROOT))
}
