import type { ExactRecord, ExactValue } from '@writ/domain/exact'

/** A Cedar entity: its type as the schema names it (`Writ::Tool`, `record`), and its id. */
export type EntityRef = { readonly type: string; readonly id: string }

/** An entity with what is known of it. Attributes are JSON values; a set is an array, another entity is an `EntityRef` under `entity`. */
export type Entity = {
  readonly uid: EntityRef
  readonly attributes: { readonly [name: string]: ExactValue | { readonly entity: EntityRef } }
  readonly parents: readonly EntityRef[]
}

/** One question to the policies, whole: whoever has it and the bundle gets the same answer at any time (replay). */
export type Question = {
  readonly principal: Entity
  /** As AuthZEN says it: `call`, `connect`, `read`; which Cedar action that is, the schema and the resource tell. */
  readonly action: string
  readonly resource: Entity
  /** What the caller means to do with it: `context.arguments` in a policy. */
  readonly arguments: ExactRecord
  /** What the caller says of its surroundings, and nobody has verified: `context.claimed`. */
  readonly claimed: ExactRecord
  /** What Writ knows, and no caller may say: the task, its purpose, its labels, the budget... Attributes of the context by name. */
  readonly known: { readonly [name: string]: ExactValue | { readonly entity: EntityRef } }
}

/** Where a policy stands, for a person. */
export type PolicyPlace = { readonly policy: string; readonly file: string; readonly line: number }

export type PolicyAnswer = {
  readonly answer: 'allow' | 'deny'
  /** The policies that decided: the permits of an allow, the forbids of a denial; none when nothing permits. */
  readonly by: readonly PolicyPlace[]
  /** Why the question could not be evaluated. Law 5: with any of them the answer is `deny`. */
  readonly errors: readonly string[]
  /** Denied, and the same question with `context.approved` would be allowed (decision 6). */
  readonly approvable: boolean
}
