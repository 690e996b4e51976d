import { exactText, InexactNumber, type ExactValue } from '@writ/domain/exact'
import type { Bundle, BundleFiles } from './bundle.ts'
import { readCases, type PolicyCase } from './case-file.ts'
import type { Policy } from './policies.ts'
import type { Entity, PolicyPlace } from './question.ts'
import type { Tool } from './tools.ts'

export type Change = 'added' | 'removed' | 'changed'

/** A policy that decides differently, or may: `reworded` differs in blanks and comments only. */
export type PolicyDifference = PolicyPlace & {
  readonly change: Change | 'reworded' | 'moved'
  readonly effect: Policy['effect']
  readonly before: string | null
  readonly after: string | null
}

/** A thing of a bundle by the name that people know it by: `Writ::Group::"payments"`, `mail/send`, a case's name. */
export type NamedDifference = { readonly name: string; readonly change: Change }

export type BundleDifferences = {
  readonly policies: readonly PolicyDifference[]
  /** What the operator adds to the schema. */
  readonly schema: Change | null
  readonly entities: readonly NamedDifference[]
  readonly tools: readonly NamedDifference[]
  readonly cases: readonly NamedDifference[]
}

/** What somebody has to look at before the second bundle takes the place of the first. */
export function differencesOf(before: Bundle, after: Bundle): BundleDifferences {
  return {
    policies: policyDifferences(before.policies, after.policies),
    schema: changeOf(before.files[SCHEMA_FILE], after.files[SCHEMA_FILE]),
    entities: namedDifferences(textsByName(ownEntities(before), entityName, entityText), textsByName(ownEntities(after), entityName, entityText)),
    tools: namedDifferences(textsByName(before.tools, toolName, toolText), textsByName(after.tools, toolName, toolText)),
    cases: namedDifferences(textsByName(casesIn(before.files), caseName, caseText), textsByName(casesIn(after.files), caseName, caseText)),
  }
}

export const isSame = ({ policies, schema, entities, tools, cases }: BundleDifferences): boolean =>
  schema === null && [policies, entities, tools, cases].every((differences) => differences.length === 0)

const SCHEMA_FILE = 'schema.cedarschema'

function policyDifferences(before: readonly Policy[], after: readonly Policy[]): readonly PolicyDifference[] {
  const older = new Map(before.map((policy) => [policy.id, policy]))
  const newer = new Map(after.map((policy) => [policy.id, policy]))
  return [...new Set([...older.keys(), ...newer.keys()])].toSorted().flatMap((id) => {
    const [was, is] = [older.get(id), newer.get(id)]
    const change = policyChange(was, is)
    if (change === null) return []
    const { effect, file, line } = (is ?? was)!
    return [{ policy: id, file, line, change, effect, before: was?.text ?? null, after: is?.text ?? null }]
  })
}

function policyChange(was: Policy | undefined, is: Policy | undefined): PolicyDifference['change'] | null {
  if (was === undefined) return 'added'
  if (is === undefined) return 'removed'
  if (was.text === is.text) return was.file === is.file ? null : 'moved'
  // JavaScript rounds integers past 2^53, so that two policies which differ in one could look the same.
  const isExact = !/\d{16}/.test(was.text) && !/\d{16}/.test(is.text)
  return isExact && JSON.stringify(was.json) === JSON.stringify(is.json) ? 'reworded' : 'changed'
}

function namedDifferences(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): readonly NamedDifference[] {
  return [...new Set([...before.keys(), ...after.keys()])].toSorted().flatMap((name) => {
    const change = changeOf(before.get(name), after.get(name))
    return change === null ? [] : [{ name, change }]
  })
}

function changeOf(before: string | undefined, after: string | undefined): Change | null {
  if (before === after) return null
  if (before === undefined) return 'added'
  return after === undefined ? 'removed' : 'changed'
}

/** Two things of one name, such as two cases, stand as one. */
function textsByName<T>(things: readonly T[], nameOf: (thing: T) => string, textOf: (thing: T) => string): ReadonlyMap<string, string> {
  const texts = new Map<string, string>()
  for (const thing of things) texts.set(nameOf(thing), `${texts.get(nameOf(thing)) ?? ''}${textOf(thing)}\n`)
  return texts
}

/** Without those that stand for a tool, which is a difference of its own. */
const ownEntities = ({ entities, tools }: Bundle): readonly Entity[] =>
  entities.filter(({ uid }) => uid.type !== 'Writ::Tool' || !tools.some(({ id }) => id === uid.id))

const entityName = ({ uid }: Entity): string => `${uid.type}::${JSON.stringify(uid.id)}`
const entityText = ({ attributes, parents }: Entity): string =>
  inOrder({ attributes, parents: parents.map(({ type, id }) => JSON.stringify([type, id])).toSorted() })
const toolName = ({ id }: Tool): string => id
const toolText = (tool: Tool): string => inOrder({ ...tool, labels: tool.labels.toSorted(), public: tool.public.toSorted() })
const caseName = ({ name }: PolicyCase): string => name
const caseText = ({ file: _file, line: _line, ...asked }: PolicyCase): string => inOrder(asked)

/** Whoever checks a bundle hears what is wrong with its case files; here they have no cases then. */
function casesIn(files: BundleFiles): readonly PolicyCase[] {
  const read = readCases(files)
  return read.ok ? read.value : []
}

/** The same text for the same value, in whichever order its members were written. */
const inOrder = (value: unknown): string => exactText(ordered(value))

function ordered(value: unknown): ExactValue {
  if (Array.isArray(value)) return value.map(ordered)
  if (value === null || typeof value !== 'object' || value instanceof InexactNumber) return value as ExactValue
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, one]) => [name, ordered(one)]))
}
