import type { EntityRef } from './question.ts'

/** One text for one entity. A type holds no quotation mark, so that two entities never share a text. */
export const keyOf = ({ type, id }: EntityRef): string => `${type}::"${id}`
