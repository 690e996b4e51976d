import type { ExactRecord } from '@writ/domain/exact'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import type { BundleFiles } from './bundle.ts'
import type { Complaint } from './complaint.ts'
import { complainAt, exactOf, readJson, type JsonFile, type JsonMember, type JsonNode } from './json-text.ts'

export const EXPECTATIONS = ['allow', 'deny', 'needs_approval'] as const
export type Expectation = (typeof EXPECTATIONS)[number]

/** An entity as a case writes it; the type may be AuthZEN's name for it. */
export type CaseEntity = {
  readonly type: string
  /** Null takes the one that cases share. */
  readonly id: string | null
  readonly attributes: ExactRecord
  readonly parents: readonly { readonly type: string; readonly id: string }[]
}

/** One case beside the policies: a question, and what must come of it. */
export type PolicyCase = {
  readonly name: string
  readonly file: string
  readonly line: number
  readonly principal: CaseEntity
  readonly action: string
  readonly resource: CaseEntity
  readonly arguments: ExactRecord
  readonly claimed: ExactRecord
  /** What Writ would know, where it differs from the ordinary. */
  readonly context: ExactRecord
  readonly expect: Expectation
  /** Policies that must be among those that decide; null when any may. */
  readonly by: readonly string[] | null
}

const MEMBERS = ['name', 'principal', 'subject', 'action', 'resource', 'arguments', 'claimed', 'context', 'expect', 'by'] as const
const ENTITY_MEMBERS = ['type', 'id', 'attributes', 'properties', 'parents'] as const
const NOBODY: CaseEntity = { type: 'Agent', id: null, attributes: {}, parents: [] }

const isCaseFile = (path: string): boolean => path.startsWith('tests/') && path.endsWith('.json')

/** All cases of a bundle, or everything that is wrong with their files. */
export function readCases(files: BundleFiles): Outcome<readonly PolicyCase[], readonly Complaint[]> {
  const cases: PolicyCase[] = []
  const complaints: Complaint[] = []
  for (const path of Object.keys(files).filter(isCaseFile).toSorted()) {
    const read = readCaseFile(path, files[path]!)
    if (read.ok) cases.push(...read.value)
    else complaints.push(...read.refusal)
  }
  return complaints.length > 0 ? refuse(complaints) : ok(cases)
}

function readCaseFile(path: string, text: string): Outcome<readonly PolicyCase[], readonly Complaint[]> {
  const parsed = readJson(path, text)
  if (!parsed.ok) return refuse([parsed.refusal])
  const { value: file } = parsed
  const complaints: Complaint[] = []
  const reader: CaseReader = { file, complain: (at, message, hint) => complaints.push(complainAt(file, at, message, hint)) }
  if (file.root.kind !== 'array') reader.complain(file.root.at, 'a file of cases is an array', 'begin it with `[`')
  const cases = file.root.kind === 'array' ? file.root.elements.map((element) => caseOf(reader, element)) : []
  return complaints.length > 0 ? refuse(complaints) : ok(cases)
}

type CaseReader = { readonly file: JsonFile; complain(at: number, message: string, hint?: string): void }
type Members = ReadonlyMap<string, JsonMember>

function caseOf(reader: CaseReader, node: JsonNode): PolicyCase {
  const members = membersOf(reader, node, 'a case', MEMBERS)
  const said = (name: string): JsonNode | undefined => members.get(name)?.value
  const subject = members.get('subject')
  if (subject !== undefined && members.has('principal')) reader.complain(subject.at, '`subject` and `principal` are the same thing', 'leave one out')
  const principal = said('principal') ?? said('subject')
  return {
    name: textIn(reader, node, members, 'name'),
    file: reader.file.file,
    line: complainAt(reader.file, node.at, '').line,
    principal: principal === undefined ? NOBODY : entityOf(reader, principal),
    action: textIn(reader, node, members, 'action'),
    resource: resourceOf(reader, node, said('resource')),
    arguments: recordIn(reader, said('arguments')),
    claimed: recordIn(reader, said('claimed')),
    context: recordIn(reader, said('context')),
    expect: expectationOf(reader, node, said('expect')),
    by: said('by') === undefined ? null : textsIn(reader, said('by')!),
  }
}

function membersOf(reader: CaseReader, node: JsonNode, what: string, known: readonly string[]): Members {
  if (node.kind !== 'object') {
    reader.complain(node.at, `${what} is an object`)
    return new Map()
  }
  for (const [name, { at }] of node.members) {
    if (!known.includes(name)) reader.complain(at, `${what} has no \`${name}\``, `it may have ${listed(known)}`)
  }
  return node.members
}

function textIn(reader: CaseReader, whole: JsonNode, members: Members, name: string): string {
  const node = members.get(name)?.value
  if (node?.kind === 'plain' && typeof node.value === 'string' && node.value !== '') return node.value
  if (node !== undefined) reader.complain(node.at, `\`${name}\` is a text`)
  else if (whole.kind === 'object') reader.complain(whole.at, `\`${name}\` is missing`)
  return ''
}

function textsIn(reader: CaseReader, node: JsonNode): readonly string[] {
  const value = exactOf(node)
  if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value as readonly string[]
  reader.complain(node.at, 'a list of ids of policies is expected', '["read-tools-in-grant"]')
  return []
}

function recordIn(reader: CaseReader, node: JsonNode | undefined): ExactRecord {
  if (node === undefined) return {}
  if (node.kind === 'object') return exactOf(node) as ExactRecord
  reader.complain(node.at, 'an object is expected')
  return {}
}

function expectationOf(reader: CaseReader, whole: JsonNode, node: JsonNode | undefined): Expectation {
  const found = EXPECTATIONS.find((one) => node?.kind === 'plain' && node.value === one)
  if (found === undefined && whole.kind === 'object') reader.complain(node?.at ?? whole.at, `\`expect\` is one of ${listed(EXPECTATIONS)}`)
  return found ?? 'deny'
}

function resourceOf(reader: CaseReader, whole: JsonNode, node: JsonNode | undefined): CaseEntity {
  if (node !== undefined) return entityOf(reader, node)
  if (whole.kind === 'object') reader.complain(whole.at, '`resource` is missing')
  return NOBODY
}

/** `"Tool mail/send"`, or the same as an object with what is known of it. */
function entityOf(reader: CaseReader, node: JsonNode): CaseEntity {
  if (node.kind === 'plain' && typeof node.value === 'string') return { ...refOf(node.value), attributes: {}, parents: [] }
  const members = membersOf(reader, node, 'an entity', ENTITY_MEMBERS)
  const id = members.get('id')
  return {
    type: textIn(reader, node, members, 'type'),
    id: id === undefined ? null : textIn(reader, node, members, 'id'),
    attributes: recordIn(reader, (members.get('attributes') ?? members.get('properties'))?.value),
    parents: parentsOf(reader, members.get('parents')?.value),
  }
}

function parentsOf(reader: CaseReader, node: JsonNode | undefined): CaseEntity['parents'] {
  if (node === undefined) return []
  if (node.kind !== 'array') reader.complain(node.at, 'a list of parents is expected', '["Group payments"]')
  return (node.kind === 'array' ? node.elements : []).map((element) => {
    const { type, id } = entityOf(reader, element)
    if (id === null) reader.complain(element.at, 'a parent has an id', '"Group payments"')
    return { type, id: id ?? '' }
  })
}

const listed = (words: readonly string[]): string => words.map((one) => `\`${one}\``).join(', ')

function refOf(text: string): { readonly type: string; readonly id: string | null } {
  const space = text.indexOf(' ')
  return space === -1 ? { type: text, id: null } : { type: text.slice(0, space), id: text.slice(space + 1) }
}
