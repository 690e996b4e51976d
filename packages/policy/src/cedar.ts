import {
  preparsePolicySet, preparseSchema, statefulIsAuthorized, type AuthorizationAnswer, type Context, type Entities,
} from '@cedar-policy/cedar-wasm/nodejs'
import { plain } from './cedar-flaw.ts'
import type { EntityRef } from './question.ts'

/** One request as Cedar takes it, every integer in it exact. */
export type CedarRequest = {
  readonly principal: EntityRef
  readonly action: EntityRef
  readonly resource: EntityRef
  readonly context: Context
  readonly entities: Entities
}

/** What Cedar itself says. Where there are errors, its answer is not Writ's (law 5). */
export type Evaluation = {
  readonly answer: 'allow' | 'deny'
  /** The policies that decided, by their place among those that were kept. */
  readonly reasons: readonly number[]
  readonly errors: readonly { /** Absent when the request itself is what is wrong. */ readonly policy?: number; readonly message: string }[]
}

/** What Cedar has parsed and keeps in this thread under a name; it frees nothing but what another text replaces. */
export type Kept = { readonly name: string }

type Names = { readonly free: string[]; made: number }

const policyNames: Names = { free: [], made: 0 }
const schemaNames: Names = { free: [], made: 0 }
function nameFrom(names: Names, prefix: string): string {
  const free = names.free.pop()
  if (free !== undefined) return free
  names.made += 1
  return `${prefix}-${names.made}`
}

/** For as long as the thread lives. */
export function keepSchema(text: string): Kept {
  const name = nameFrom(schemaNames, 'schema')
  const answer = preparseSchema(name, text)
  if (answer.type === 'failure') throw new Error(`a checked schema does not parse: ${answer.errors[0]?.message}`)
  return { name }
}

/** Parsed as one text, which costs a tenth of one by one; the first is 0, the second 1... */
export function keepPolicies(texts: readonly string[]): Kept {
  const name = nameFrom(policyNames, 'policies')
  const answer = preparsePolicySet(name, { staticPolicies: texts.join('\n') })
  if (answer.type === 'failure') throw new Error(`checked policies do not parse: ${answer.errors[0]?.message}`)
  return { name }
}

export function dropPolicies({ name }: Kept): void {
  preparsePolicySet(name, { staticPolicies: '' })
  policyNames.free.push(name)
}

const OWN_NAME = /^policy(\d+)$/
const NAMED = /^error while evaluating policy `[^`]*`: /

const indexOf = (name: string): number => Number(OWN_NAME.exec(name)![1])

/** With a schema, Cedar checks the request against it before; what the mapping of values has made fits it anyway. */
export function evaluate(policies: Kept, request: CedarRequest, schema?: Kept): Evaluation {
  const answer = ask(policies, request, schema)
  if (answer.type === 'failure') return { answer: 'deny', reasons: [], errors: answer.errors.map(({ message }) => ({ message: plain(message) })) }
  const { decision, diagnostics } = answer.response
  return {
    answer: decision, reasons: diagnostics.reason.map(indexOf),
    errors: diagnostics.errors.map(({ policyId, error }) => ({ policy: indexOf(policyId), message: error.message.replace(NAMED, '') })),
  }
}

/** Law 5: whatever stops the evaluation is an error of it, one that Cedar throws as well. */
function ask(policies: Kept, request: CedarRequest, schema: Kept | undefined): Pick<AuthorizationAnswer & { type: 'success' }, 'type' | 'response'> | Failure {
  try {
    return statefulIsAuthorized({
      principal: { ...request.principal }, action: { ...request.action }, resource: { ...request.resource },
      context: request.context, entities: request.entities,
      preparsedPolicySetId: policies.name, ...(schema ? { preparsedSchemaName: schema.name, validateRequest: true } : {}),
    })
  } catch (error) {
    return { type: 'failure', errors: [{ message: `the question can't be evaluated: ${error instanceof Error ? error.message : String(error)}` }] }
  }
}

type Failure = { readonly type: 'failure'; readonly errors: readonly { readonly message: string }[] }
