import { exactText, InexactNumber, type ExactValue } from '@writ/domain/exact'
import type { Engine } from './engine.ts'
import { ABSENT, inert, type ActualValues } from './explanation.ts'
import type { Entity, EntityRef, Question } from './question.ts'
import type { Term } from './terms.ts'

const MOST_VALUES = 10

/** What the question has where these terms look, as inert text. */
export function actualValues(engine: Engine, question: Question, terms: readonly Term[]): ActualValues {
  const values = new Map<string, string>()
  for (const path of terms.flatMap(({ paths }) => paths)) {
    const name = inert(path.join('.'))
    // The context as a whole is no value that a person could look at.
    if (values.size === MOST_VALUES || values.has(name) || (path.length === 1 && path[0] === 'context')) continue
    values.set(name, inert(shown(follow(engine, question, path))))
  }
  return Object.fromEntries(values)
}

type Value = ExactValue | { readonly entity: EntityRef }

type Members = Readonly<Record<string, Value>>

function follow(engine: Engine, question: Question, [root, ...names]: readonly string[]): Value | undefined {
  const { known, arguments: asked, claimed } = question
  let value: Value | undefined = root === 'context' ? { ...known, arguments: asked, claimed } as Value :
    { entity: root === 'principal' ? question.principal.uid : question.resource.uid }
  for (const name of names) {
    const members: Members | undefined = value === undefined ? undefined : membersOf(engine, question, value)
    value = members !== undefined && Object.hasOwn(members, name) ? members[name] : undefined
  }
  return value
}

function membersOf(engine: Engine, question: Question, value: Value): Members | undefined {
  if (value === null || typeof value !== 'object' || Array.isArray(value) || value instanceof InexactNumber) return undefined
  const ref = refOf(value)
  if (ref === undefined) return value as Members
  const asked = [question.principal, question.resource].find(({ uid }) => uid.type === ref.type && uid.id === ref.id)
  const known = engine.entity(ref)
  return { ...attributesOf(known), ...attributesOf(asked) }
}

const attributesOf = (entity: Entity | undefined): Entity['attributes'] => entity?.attributes ?? {}

/** An entity stands as `{ entity: { type, id } }`; a caller's record of that shape reads like one, and is only shown as one. */
function refOf(value: Value): EntityRef | undefined {
  if (value === null || typeof value !== 'object' || Object.keys(value).join() !== 'entity') return undefined
  const { entity } = value as { readonly entity: unknown }
  const { type, id } = (typeof entity === 'object' && entity !== null ? entity : {}) as Partial<EntityRef>
  return typeof type === 'string' && typeof id === 'string' ? { type, id } : undefined
}

function shown(value: Value | undefined): string {
  if (value === undefined) return ABSENT
  const ref = refOf(value)
  return ref === undefined ? exactText(value as ExactValue) : `${ref.type}::${JSON.stringify(ref.id)}`
}
