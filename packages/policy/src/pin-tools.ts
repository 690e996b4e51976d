import type { Effect } from '@writ/domain/decision'
import { exactText, type ExactRecord, type ExactValue } from '@writ/domain/exact'
import { ok, type Outcome } from '@writ/domain/outcome'
import type { Complaint } from './complaint.ts'
import { inputTypeOf } from './input-type.ts'
import { exactOf, readJson, type JsonNode } from './json-text.ts'

export const TOOLS_FILE = 'tools.json'

/** A tool as a person accepted it. */
export type PinnedTool = {
  readonly server: string
  readonly name: string
  readonly effect: Effect
  readonly reversible: boolean
  readonly labels: readonly string[]
  readonly trust: string | null
  readonly pin: string
  /** Names of arguments. */
  readonly public: readonly string[]
  readonly description: string | null
  readonly input: ExactRecord
}

/** The text of `tools.json` with these tools in it: in the place of what it had of their names, or at its end. Of all others nothing changes but blanks. */
export function pinTools(text: string | undefined, tools: readonly PinnedTool[]): Outcome<string, Complaint> {
  const file = readJson(TOOLS_FILE, text ?? '[]')
  if (!file.ok) return file
  const entries: ExactValue[] = file.value.root.kind === 'array' ? file.value.root.elements.map(exactOf) : []
  for (const tool of tools) {
    const at = entries.findIndex((entry) => isOf(entry, tool))
    entries.splice(at === -1 ? entries.length : at, at === -1 ? 0 : 1, entryOf(tool))
  }
  return ok(`${exactText(entries, 2)}\n`)
}

const isOf = (entry: ExactValue, { server, name }: PinnedTool): boolean => {
  const record = entry as ExactRecord
  return record['server'] === server && record['name'] === name
}

const entryOf = ({ trust, description, ...tool }: PinnedTool): ExactRecord => {
  const { server, name, effect, reversible, labels, pin, public: open, input } = tool
  return {
    server, name, effect, reversible, labels, ...(trust === null ? {} : { trust }), pin, ...(open.length === 0 ? {} : { public: open }), ...(description === null ? {} : { description }), input,
  }
}

/** What policies are shown of a tool's arguments. `unshown`: those for which Cedar has no type, so that a call which gives one is denied. */
export type ShownInput = { readonly input: ExactRecord; readonly unshown: readonly string[] }

const NOTHING: ExactRecord = { type: 'object' }

/** As much of a tool's own schema as Cedar has types for. */
export function shownInput(schema: ExactValue | undefined): ShownInput {
  if (!isRecord(schema)) return { input: NOTHING, unshown: [] }
  if (hasType(schema)) return { input: schema, unshown: [] }
  const properties = isRecord(schema['properties']) ? schema['properties'] : {}
  const { additionalProperties: open, patternProperties: _patterns, ...rest } = schema
  const base: ExactRecord = { ...rest, ...(typeof open === 'boolean' ? { additionalProperties: open } : {}), type: 'object' }
  const shown = Object.keys(properties).filter((name) => hasType({ ...base, properties: { [name]: properties[name]! }, required: [] }))
  const required = isList(schema['required']) ? schema['required'] : []
  const input: ExactRecord = { ...base, properties: Object.fromEntries(shown.map((name) => [name, properties[name]!])), required: required.filter((name) => shown.includes(name as string)) }
  return { input: hasType(input) ? input : NOTHING, unshown: Object.keys(properties).filter((name) => !hasType(input) || !shown.includes(name)) }
}

function hasType(schema: ExactRecord): boolean {
  const read = readJson(TOOLS_FILE, exactText(schema))
  if (!read.ok) return false
  const type = inputTypeOf(read.value.root)
  return type.kind === 'type' && type.text.startsWith('{')
}

const isRecord = (value: ExactValue | undefined): value is ExactRecord => nodeKind(value) === 'object'
const isList = (value: ExactValue | undefined): value is readonly ExactValue[] => Array.isArray(value)

/** A number that is no integer is an object of a class. */
const nodeKind = (value: ExactValue | undefined): JsonNode['kind'] =>
  (Array.isArray(value) ? 'array' : typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype ? 'object' : 'plain')
