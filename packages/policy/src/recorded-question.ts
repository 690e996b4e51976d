import { InexactNumber, type ExactRecord, type ExactValue } from '@writ/domain/exact'
import type { Entity, EntityRef, Question } from './question.ts'

/** The question that exact JSON holds, as it was kept with a decision; undefined when it holds none. */
export function readQuestion(value: ExactValue): Question | undefined {
  if (!isRecord(value)) return undefined
  const { principal, action, resource, arguments: asked, claimed, known } = value
  if (typeof action !== 'string' || !isEntity(principal) || !isEntity(resource)) return undefined
  if (!isRecord(asked) || !isRecord(claimed) || !isRecord(known)) return undefined
  return { principal, action, resource, arguments: asked, claimed, known }
}

const isRecord = (value: unknown): value is ExactRecord =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof InexactNumber)

const isRef = (value: unknown): value is EntityRef => isRecord(value) && typeof value['type'] === 'string' && typeof value['id'] === 'string'

function isEntity(value: unknown): value is Entity {
  if (!isRecord(value)) return false
  const { uid, attributes, parents } = value
  return isRef(uid) && isRecord(attributes) && Array.isArray(parents) && parents.every(isRef)
}
