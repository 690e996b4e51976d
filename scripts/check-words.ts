import { posix } from 'node:path'
import { PROJECT_ROOT, readFiles, report, type Breach, type SourceFile } from './breach.ts'
import { lineOf, only } from './source-text.ts'

/** Synonyms of a glossary word, and what to say instead; GLOSSARY.md has the words. */
const SYNONYMS: Readonly<Record<string, string>> = {
  account: 'identity', principal: 'identity', robot: 'identity', nhi: 'identity',
  session: 'task, or lease', workitem: 'task',
  permission: 'grant, or permit', entitlement: 'grant',
  verdict: 'decision',
  consent: 'approval', signoff: 'approval',
  handoff: 'delegation', impersonate: 'delegation', impersonation: 'delegation',
  alert: 'finding, or incident',
  kpi: 'a plain word', shield: 'a plain word', guardian: 'a plain word', fabric: 'a plain word',
}

/** Words that say of a thing only that it is one. */
const EMPTY: readonly string[] = [
  'service', 'services', 'manager', 'managers', 'helper', 'helpers', 'util', 'utils', 'utility', 'utilities',
  'data', 'info', 'impl', 'dto', 'common', 'shared', 'misc', 'stuff', 'wrapper', 'abstract', 'legacy',
]

/** Where such a word is right: somebody else's own, by name and place. Each says why. */
const ALLOWED: readonly { readonly word: string; readonly where: RegExp; readonly because: string }[] = [
  { word: 'session', where: /^packages\/server\/src\/connectors\//, because: 'PostgreSQL calls a connected client a session' },
  { word: 'session', where: /^packages\/(?:server\/src\/(?:gateway|upstreams)|cli\/src\/mcp)\//, because: 'MCP 2025-11-25 calls what a client and a server know of each other a session' },
  { word: 'data', where: /^packages\/(?:server\/src\/(?:main|config\/|store\/lock)|cli\/src\/)/, because: 'operators say data directory' },
]

/** Every exported name and every file name below `root` that says a thing by a word that the glossary does not have. */
export function wordBreaches(root: string): readonly Breach[] {
  return readFiles(root, 'packages/*/src/**/*.{ts,tsx}', 'scripts/*.ts').flatMap((file) => [...fileNameBreaches(file), ...exportBreaches(file)])
}

function fileNameBreaches({ path }: SourceFile): readonly Breach[] {
  const parts = path.split('/').slice(path.startsWith('packages/') ? 3 : 1)
  const found = parts.flatMap(wordsOf).flatMap((word) => breachOf(path, 1, word, `the path says \`${word}\``))
  const name = posix.basename(path)
  if (/^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z]+)*\.tsx?$/.test(name)) return found
  return [...found, { file: path, line: 1, what: `\`${name}\` is not in kebab-case`, wayOut: 'lower-case words, joined by `-`' }]
}

const DECLARED = /\bexport\s+(?:declare\s+)?(?:abstract\s+)?(?:async\s+)?(function\*?|const|let|class|type|interface|enum)\s+([A-Za-z_$][\w$]*)/g
const LISTED = /\bexport\s+(?:type\s+)?\{([^}]*)\}/g

function exportBreaches({ path, text }: SourceFile): readonly Breach[] {
  const code = only(text, 'code')
  const declared = [...code.matchAll(DECLARED)].map(({ 1: sort, 2: name, index }) => ({ sort: sort!, name: name!, line: lineOf(code, index) }))
  const listed = [...code.matchAll(LISTED)].flatMap(({ 1: names, index }) => names!.split(',').map((one) => one.trim().split(/\s+/).at(-1)!)
    .filter((name) => name !== '').map((name) => ({ sort: 'name', name, line: lineOf(code, index) })))
  return [...declared, ...listed].flatMap(({ sort, name, line }) => [
    ...wordsOf(name).flatMap((word) => breachOf(path, line, word, `\`${name}\` says \`${word}\``)),
    ...(/^(?:type|interface|class)$/.test(sort) && /^[IT][A-Z][a-z]/.test(name) ?
      [{ file: path, line, what: `\`${name}\` wears its sort as a prefix`, wayOut: `\`${name.slice(1)}\`` }] : []),
    ...(/V\d+$/.test(name) ?
      [{ file: path, line, what: `\`${name}\` is a twin by number`, wayOut: 'change the first one, or name what is different' }] : []),
  ])
}

function breachOf(file: string, line: number, word: string, what: string): readonly Breach[] {
  const singular = word.replace(/s$/, '')
  const better = SYNONYMS[word] ?? SYNONYMS[singular]
  if (better === undefined && !EMPTY.includes(word)) return []
  if (ALLOWED.some((one) => (one.word === word || one.word === singular) && one.where.test(file))) return []
  return [{ file, line, what, wayOut: better === undefined ? 'name what it is about' : `the glossary's word is ${better}` }]
}

/** `taskIdOf`, `TASK_ID`, `HTTPServer` and `task-id` -> lower-case words. */
function wordsOf(name: string): readonly string[] {
  const apart = name.replaceAll(/([a-z0-9])([A-Z])/g, '$1 $2').replaceAll(/([A-Z])([A-Z][a-z])/g, '$1 $2')
  return apart.toLowerCase().split(/[^a-z0-9]+/).filter((word) => word !== '')
}

if (import.meta.main) process.exitCode = report('words', wordBreaches(PROJECT_ROOT))
