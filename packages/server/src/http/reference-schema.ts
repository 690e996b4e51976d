import type { Schema } from '@writ/contract/openapi-schemas'

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\'': '&#39;' }

/** Text for HTML, in an element or in a quoted attribute. */
export const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (one) => ENTITIES[one]!)

/** A sentence of ours: what stands in backticks is code. */
export const prose = (text: string): string => escaped(text).replaceAll(/`([^`]+)`/g, '<code>$1</code>')

/** A schema in words: what sort of value it is, its limits, and its fields as a list. */
export function schemaHtml(schema: Schema): string {
  const { description, ...rest } = schema
  return typeof description === 'string' ? `${schemaHtml(rest)} ${prose(description)}` : sortHtml(schema)
}

function sortHtml(schema: Schema): string {
  const [only, ...more] = alternativesOf(schema)
  if (only === undefined) return valueHtml(schema)
  if (more.length === 0) return schemaHtml(only)
  const shown = [only, ...more].map((one) => schemaHtml(one))
  return shown.some((one) => one.includes('<ul')) ? `one of<ul class="fields">${shown.map((one) => `<li>${one}</li>`).join('')}</ul>` : shown.join(' or ')
}

function alternativesOf({ anyOf, oneOf, allOf }: Schema): readonly Schema[] {
  return [anyOf, oneOf, allOf].flatMap((some) => (Array.isArray(some) ? some as Schema[] : []))
}

function valueHtml(schema: Schema): string {
  const { $ref, type, items, additionalProperties } = schema
  if (typeof $ref === 'string') {
    const name = escaped($ref.split('/').at(-1)!)
    return `<a href="#schema-${name}">${name}</a>`
  }
  if ('const' in schema) return `<code>${escaped(JSON.stringify(schema.const))}</code>`
  if (Array.isArray(schema.enum)) return schema.enum.map((one) => `<code>${escaped(JSON.stringify(one))}</code>`).join(' | ')
  if (type === 'array') return `list${limits(schema)} of ${isSchema(items) ? schemaHtml(items) : 'anything'}`
  if (type === 'object') {
    const fields = fieldsHtml(schema)
    if (fields !== '') return `object${additionalProperties === undefined || additionalProperties === true || isOpen(additionalProperties) ? ' with these and other fields' : ''}${fields}`
    return isSchema(additionalProperties) && !isOpen(additionalProperties) ? `object of ${schemaHtml(additionalProperties)}` : additionalProperties === false ? 'object without fields' : 'object'
  }
  const name = Array.isArray(type) ? type.join(' or ') : typeof type === 'string' ? type : 'anything'
  return `<span class="quiet">${escaped(name)}${limits(schema)}</span>`
}

function fieldsHtml({ properties, required }: Schema): string {
  if (!isSchema(properties) || Object.keys(properties).length === 0) return ''
  const needed: readonly unknown[] = Array.isArray(required) ? required : []
  const rows = Object.entries(properties).map(([name, schema]) => `<li><code><b>${escaped(name)}</b></code>${needed.includes(name) ? '' : ' <span class="quiet">optional</span>'} ${schemaHtml(schema as Schema)}</li>`)
  return `<ul class="fields">${rows.join('')}</ul>`
}

const isSchema = (value: unknown): value is Schema => typeof value === 'object' && value !== null && !Array.isArray(value)
const isOpen = (value: unknown): boolean => isSchema(value) && Object.keys(value).length === 0

/** A limit that only says how large a number can be at all is none. */
const isTold = (value: unknown): value is number => typeof value === 'number' && Math.abs(value) < Number.MAX_SAFE_INTEGER

/** A pattern is longer than what it says: the field's own refusal says it in words. */
function limits(schema: Schema): string {
  const range = (least: unknown, most: unknown, unit: string): string[] => {
    if (isTold(least) && isTold(most)) return [`${least} to ${most}${unit}`]
    if (isTold(most)) return [`at most ${most}${unit}`]
    return isTold(least) ? [`at least ${least}${unit}`] : []
  }
  const told = [
    ...(typeof schema.format === 'string' ? [schema.format] : []),
    ...range(schema.minimum, schema.maximum, ''), ...range(schema.minLength, schema.maxLength, ' characters'), ...range(schema.minItems, schema.maxItems, ''),
    ...('default' in schema ? [`${JSON.stringify(schema.default)} unless said`] : []),
  ]
  return told.length === 0 ? '' : escaped(` (${told.join('; ')})`)
}
