import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { Complaint } from './complaint.ts'
import { keyOf } from './entity-key.ts'
import { readEntities } from './entities.ts'
import { readJson, type JsonFile } from './json-text.ts'
import { duplicatePolicies, readPolicies, type Policy } from './policies.ts'
import type { Entity } from './question.ts'
import { isRoleOnly } from './role-only.ts'
import type { SchemaTypes } from './schema-types.ts'
import { readSchema, SCHEMA_FILE } from './schema.ts'
import { placeAt } from './place.ts'
import { readTools, toolEntity, type Tool } from './tools.ts'
import { typeComplaints } from './type-check.ts'

/** The files of a directory of policies: each one's text by its path from there, `/` between folders. */
export type BundleFiles = Readonly<Record<string, string>>

/** A directory of policies, read: what decides. */
export type Bundle = {
  readonly files: BundleFiles
  readonly policies: readonly Policy[]
  /** Those of `entities.json`, and one for each tool. */
  readonly entities: readonly Entity[]
  readonly tools: readonly Tool[]
  /** The whole schema as Cedar reads it: the operator's, Writ's own and what the tools add. */
  readonly schemaText: string
  readonly types: SchemaTypes
}

const MOST_CHARACTERS = 2_000_000
const POLICIES = /^(?:[^/]+\/)*[^/]+\.cedar$/
const OTHER_FILES = /^(?:schema\.cedarschema|entities\.json|tools\.json|tests\/(?:[^/]+\/)*[^/]+\.json|(?:[^/]+\/)*[^/]+\.md)$/

/** Reads and checks everything: types against the schema, and what a policy may not be. The cases of `tests/` are not run. */
export function readBundle(files: BundleFiles): Outcome<Bundle, readonly Complaint[]> {
  const { bundle, complaints } = readFiles(files)
  const found = [...complaints, ...(bundle ? [...typeComplaints(bundle), ...roleOnlyComplaints(bundle)] : [])]
  return bundle && found.length === 0 ? ok(bundle) : refuse(sorted(found))
}

/** Reads a version that was checked when it was applied: everything but the types, which take longest. */
export function readCheckedBundle(files: BundleFiles): Outcome<Bundle, readonly Complaint[]> {
  const { bundle, complaints } = readFiles(files)
  return bundle && complaints.length === 0 ? ok(bundle) : refuse(sorted(complaints))
}

/** Without a schema there is nothing to check the rest against, and no bundle. */
type Read = { readonly bundle?: Bundle; readonly complaints: readonly Complaint[] }

function readFiles(files: BundleFiles): Read {
  const entries = Object.entries(files)
  if (entries.reduce((sum, [, text]) => sum + text.length, 0) > MOST_CHARACTERS) {
    return { complaints: [complaint(entries[0]![0], `the files have more than ${MOST_CHARACTERS} characters together`)] }
  }
  const read = entries.filter(([path]) => POLICIES.test(path)).toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([path, text]) => readPolicies(path, text))
  const policies = read.flatMap((one) => one.policies)
  const complaints = [
    ...entries.filter(([path]) => !POLICIES.test(path) && !OTHER_FILES.test(path))
      .map(([path]) => complaint(path, 'no such file belongs to policies', WHAT_BELONGS)),
    ...read.flatMap((one) => one.complaints), ...duplicatePolicies(policies, (file) => files[file]!),
  ]
  const toolsFile = jsonFile(files, 'tools.json', complaints)
  const { tools, complaints: toolComplaints } = toolsFile ? readTools(toolsFile) : { tools: [], complaints: [] }
  complaints.push(...toolComplaints)
  const schema = readSchema(textOf(files, SCHEMA_FILE) ?? '', tools)
  if (!schema.ok) return { complaints: [...complaints, ...schema.refusal] }
  const { text: schemaText, types } = schema.value
  const entitiesFile = jsonFile(files, 'entities.json', complaints)
  const { entities, complaints: entityComplaints } = entitiesFile ? readEntities(entitiesFile, types) : { entities: [], complaints: [] }
  const own = tools.map(toolEntity)
  const taken = new Set(own.map(({ uid }) => keyOf(uid)))
  const twice = entities.filter(({ uid }) => taken.has(keyOf(uid)))
    .map(({ uid }) => complaint('entities.json', `the tool \`${uid.id}\` is described in tools.json`))
  return {
    bundle: { files, policies, entities: [...entities, ...own], tools, schemaText, types },
    complaints: [...complaints, ...entityComplaints, ...twice],
  }
}

const WHAT_BELONGS = 'policies are `*.cedar`; beside them stand `schema.cedarschema`, `entities.json`, `tools.json`, `tests/*.json` and `*.md`'

const complaint = (file: string, message: string, hint?: string): Complaint =>
  ({ file, line: 1, column: 1, message, ...(hint === undefined ? {} : { hint }) })

const textOf = (files: BundleFiles, file: string): string | undefined => (Object.hasOwn(files, file) ? files[file] : undefined)

function jsonFile(files: BundleFiles, file: string, complaints: Complaint[]): JsonFile | undefined {
  const text = textOf(files, file)
  const read = text === undefined ? undefined : readJson(file, text)
  if (read && !read.ok) complaints.push(read.refusal)
  return read?.ok ? read.value : undefined
}

function roleOnlyComplaints({ policies, types, files }: Bundle): readonly Complaint[] {
  return policies.filter((policy) => isRoleOnly(policy.json, types)).map((policy) => ({
    file: policy.file, ...placeAt(files[policy.file]!, policy.at),
    message: `the permit \`${policy.id}\` lets identities of class \`autonomous\` in for nothing but who they are`,
    hint: 'add what has to be true of the task, the arguments or the resource (`context.purpose`, `context.arguments`, `resource.effect`...), '
      + 'or leave the class out with `when { principal.class != "autonomous" }`',
  }))
}

const sorted = (complaints: readonly Complaint[]): readonly Complaint[] =>
  complaints.toSorted((a, b) => (a.file !== b.file ? (a.file < b.file ? -1 : 1) : a.line - b.line || a.column - b.column))
