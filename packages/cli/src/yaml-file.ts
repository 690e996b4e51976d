import { LineCounter, parseDocument, type Document } from 'yaml'
import type { z } from 'zod'
import { CommandFailure, EXIT, type FieldError } from './exit.ts'
import { fieldName } from './field-name.ts'

/** A YAML (or JSON) text and where in it each field stands. */
export type YamlFile = { readonly value: unknown; readonly lineOf: (path: readonly PropertyKey[]) => number | undefined }

/** Reads YAML 1.2 strictly: one document, no key twice. */
export function parseYaml(text: string, path: string): YamlFile {
  const lines = new LineCounter()
  const document = parseDocument(text, { strict: true, uniqueKeys: true, prettyErrors: false, lineCounter: lines, stringKeys: true })
  const found = [...document.errors, ...document.warnings].map((fault) => {
    const { line, col } = lines.linePos(fault.pos[0])
    return { field: `${path}:${line}:${col}`, message: sentenceOf(fault.message) }
  })
  if (found.length > 0) throw new CommandFailure(EXIT.usage, `\`${path}\` is not YAML that can be applied`, { fields: found })
  return { value: valueOf(document, path), lineOf: (at) => lineOf(document, lines, at) }
}

function valueOf(document: Document, path: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 })
  } catch (fault) {
    throw new CommandFailure(EXIT.usage, `\`${path}\` is not YAML that can be applied: ${sentenceOf((fault as Error).message)}`, { cause: fault })
  }
}

/** The line of the deepest part of the path that the file has. */
function lineOf(document: Document, lines: LineCounter, path: readonly PropertyKey[]): number | undefined {
  for (let depth = path.length; depth >= 0; depth--) {
    const node: unknown = document.getIn(path.slice(0, depth), true)
    if (typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range)) return lines.linePos(node.range[0] as number).line
  }
  return undefined
}

/** The value as the schema reads it, or every field that is wrong, with its line. */
export function parseWith<T>(schema: z.ZodType<T>, file: YamlFile, path: string): T {
  const parsed = schema.safeParse(file.value)
  if (parsed.success) return parsed.data
  throw new CommandFailure(EXIT.usage, `\`${path}\` has fields that are missing or wrong`, { fields: fieldsOf(parsed.error, file, path) })
}

export function fieldsOf(error: z.ZodError, file: YamlFile, path: string): readonly FieldError[] {
  return error.issues.map((issue) => {
    const line = file.lineOf(issue.path)
    return { field: `${path}${line === undefined ? '' : `:${line}`} ${fieldName(issue.path)}`.trim(), message: sentenceOf(issue.message) }
  })
}

const sentenceOf = (message: string): string => {
  const first = message.split('\n')[0]!.replace(/\.$/, '')
  return first.charAt(0).toLowerCase() + first.slice(1)
}
