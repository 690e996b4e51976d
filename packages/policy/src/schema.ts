import { checkParseSchema, schemaToJson, schemaToJsonWithResolvedTypes, type DetailedError } from '@cedar-policy/cedar-wasm/nodejs'
import { IDENTITY_KINDS } from '@writ/domain/identity'
import { IDENTITY_CLASSES } from '@writ/domain/profile'
import { ok, refuse, type Outcome } from '@writ/domain/outcome'
import { allFlaws, complaintOf, plain } from './cedar-flaw.ts'
import { codeOf, quote } from './code-text.ts'
import type { Complaint } from './complaint.ts'
import { placeAt, unitAtByte, type Place } from './place.ts'
import { readTypes, type SchemaTypes } from './schema-types.ts'
import type { Tool } from './tools.ts'

export const SCHEMA_FILE = 'schema.cedarschema'

/** `service_account` is `ServiceAccount`. */
export const pascalCase = (name: string): string => name.split(/[_-]/).map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')

/** The kinds of identity as Cedar's types, without the namespace. */
export const KIND_TYPES: readonly string[] = IDENTITY_KINDS.map(pascalCase)

const TASK_MEMBERS = `
    task: String,
    purpose: Purpose,
    class: String,
    environment: String,
    on_behalf_of?: { issuer: String, subject: String },
    change?: String,
    depth: Long,
    budget_left: Long,
    labels: Set<String>,
    approved: Bool,
    at: datetime,`

/** Writ's own part of the schema, for these kinds of identity and these tools. */
export function writSchema(kinds: readonly string[], tools: readonly Tool[]): string {
  const who = `principal: [${kinds.join(', ')}]`
  const actions = tools.map(({ id, argumentsType }) => `
  action ${quote(id)} in [call] appliesTo { ${who}, resource: [Tool], context: {${TASK_MEMBERS}
    arguments: ${argumentsType},
  } };`)
  return `namespace Writ {
  entity Class enum [${IDENTITY_CLASSES.map(quote).join(', ')}];
  entity Group in [Group];
  entity Purpose in [Purpose];
  entity ${kinds.join(', ')} in [Class, Group] = { class: String, environment: String, system_scope: Set<String> };
  entity Server in [Group] = { environment?: String, labels?: Set<String> };
  entity Tool in [Server, Group] = { effect: String, reversible: Bool, labels: Set<String>, trust?: String };
  entity Backend in [Group] = { kind: String, environment?: String, labels: Set<String>, effect: String, reversible: Bool };
  type TaskContext = {${TASK_MEMBERS}
  };
  action call appliesTo { ${who}, resource: [Tool], context: TaskContext };
  action read appliesTo { ${who}, resource: [Tool, Server, Backend], context: TaskContext };
  action list appliesTo { ${who}, resource: [Server, Backend], context: TaskContext };
  action connect appliesTo { ${who}, resource: [Backend], context: {${TASK_MEMBERS}
    template: String,
  } };
  action delegate appliesTo { ${who}, resource: [${kinds.join(', ')}], context: TaskContext };${actions.join('')}
}
`
}

/** Writ's own schema, which every bundle has; the tools of a bundle add an action each. */
export const WRIT_SCHEMA: string = writSchema(KIND_TYPES, [])

/** The operator's part stands first, so that a place in it is a place in the file. */
export const composeSchema = (operators: string, tools: readonly Tool[], kinds: readonly string[] = KIND_TYPES): string =>
  `${operators}${operators === '' ? '' : '\n'}${writSchema(kinds, tools)}`

export type Schema = { readonly text: string; readonly types: SchemaTypes }

/** Reads the operator's schema together with Writ's own. */
export function readSchema(operators: string, tools: readonly Tool[]): Outcome<Schema, readonly Complaint[]> {
  const taken = /\bnamespace\s+Writ\b/.exec(codeOf(operators))
  if (taken) {
    return refuse([{
      file: SCHEMA_FILE, ...placeAt(operators, taken.index), message: 'the namespace `Writ` is Writ\'s own',
      hint: 'declare your types in a namespace of yours, or in none',
    }])
  }
  // Writ's own needs no check, and most begin with nothing else.
  const isOwn = operators.trim() === '' && tools.length === 0
  const alone = isOwn ? undefined : schemaToJson(operators)
  const syntax = alone?.type === 'failure' ? allFlaws(alone.errors).filter(({ message }) => !UNRESOLVED.test(plain(message))) : []
  if (syntax.length > 0) return refuse(syntax.map((flaw) => complaintOf(flaw, { file: SCHEMA_FILE, text: operators, from: 0 })))
  const text = composeSchema(operators, tools)
  const read = schemaToJsonWithResolvedTypes(text)
  if (read.type === 'failure') return refuse(allFlaws(read.errors).map((flaw) => complaintOfWhole(flaw, operators)))
  const { commonTypes = {}, entityTypes = {} } = read.json[''] ?? {}
  const shadowed = [...Object.keys(commonTypes), ...Object.keys(entityTypes)].filter((name) => CEDARS_TYPES.includes(name))
  if (shadowed.length > 0) {
    return refuse(shadowed.map((name) => ({
      file: SCHEMA_FILE, ...placeOfName(name, operators), message: `\`${name}\` is a type of Cedar's, and Writ's own schema uses it`,
    })))
  }
  // What is without a namespace stands in every namespace: Cedar takes no name there that Writ uses in its own.
  const whole = isOwn ? undefined : checkParseSchema(text)
  if (whole?.type === 'failure') return refuse(allFlaws(whole.errors).map((flaw) => complaintOfShadow(flaw, operators)))
  return ok({ text, types: readTypes(read.json) })
}

/** A name that an operator gave another meaning would have it in Writ's part as well. */
const CEDARS_TYPES: readonly string[] = ['String', 'Long', 'Bool', 'Boolean', 'Set', 'datetime', 'duration', 'decimal', 'ipaddr']

const UNRESOLVED = /^failed to resolve (?:types?|actions?): ([^,]+)/

/** Of names that it can't resolve Cedar does not say where they stand. */
function complaintOfWhole({ message, help, sourceLocations }: DetailedError, operators: string): Complaint {
  const length = new TextEncoder().encode(operators).length
  const inside = sourceLocations?.find(({ start }) => start < length)
  const unresolved = UNRESOLVED.exec(plain(message))?.[1]
  const place = unresolved !== undefined ? placeOfName(unresolved, operators) : placeAt(operators, inside ? unitAtByte(operators, inside.start) : 0)
  return { file: SCHEMA_FILE, ...place, message: plain(message), ...(help === null ? {} : { hint: help }) }
}

const SHADOWS = /illegally shadows the existing definition of `(?:Action::"([^"]+)"|([^`]+))`/

function complaintOfShadow(flaw: DetailedError, operators: string): Complaint {
  const [, action, type] = SHADOWS.exec(flaw.message) ?? []
  const name = action ?? type
  if (name === undefined) return complaintOfWhole(flaw, operators)
  return {
    file: SCHEMA_FILE, ...placeOfName(name, operators), message: `Writ has an ${action === undefined ? 'entity type' : 'action'} \`${name}\` of its own`,
    hint: 'call it otherwise, or declare it in a namespace of yours',
  }
}

function placeOfName(name: string, operators: string): Place {
  const code = codeOf(operators)
  const found = [name, name.split('::').at(-1)!].map((one) => code.search(new RegExp(`(?<![\\w:])${RegExp.escape(one)}(?!\\w)`)))
    .find((at) => at !== -1)
  return placeAt(operators, found ?? 0)
}
