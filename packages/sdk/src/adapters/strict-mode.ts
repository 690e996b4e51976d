type Schema = Readonly<Record<string, unknown>>

/**
 * The arguments without each `null` that only says that there is nothing. OpenAI's strict mode has the model write every property: of those that
 * may be left out its schema allows `null`, and that is what the model writes there. Policies know no `null`; what is not there they do know.
 * The very same value where there is none.
 */
export function withoutNulls(value: unknown, parameters: unknown): unknown {
  const schema = isRecord(parameters) ? parameters : {}
  if (Array.isArray(value)) {
    const items = schemaOf(schema, 'array')?.['items']
    return same(value, value.map((one: unknown) => withoutNulls(one, items)))
  }
  if (!isRecord(value)) return value
  const { properties, required } = schemaOf(schema, 'object') ?? {}
  if (!isRecord(properties)) return value
  const isRequired = (name: string): boolean => Array.isArray(required) && required.includes(name)
  const isNothing = (name: string): boolean =>
    value[name] === null && Object.hasOwn(properties, name) && (!isRequired(name) || allowsNull(properties[name]))
  const left = Object.keys(value).filter((name) => !isNothing(name))
    .map((name) => [name, Object.hasOwn(properties, name) ? withoutNulls(value[name], properties[name]) : value[name]] as const)
  return left.length === Object.keys(value).length && left.every(([name, one]) => one === value[name]) ? value : Object.fromEntries(left)
}

const same = (before: readonly unknown[], after: readonly unknown[]): readonly unknown[] => (after.every((one, i) => one === before[i]) ? before : after)

/** The schema itself, or what of its choices is not `null` where that is one alone. */
function schemaOf(schema: Schema, type: 'object' | 'array'): Schema | undefined {
  if (schema['type'] === type || (Array.isArray(schema['type']) && schema['type'].includes(type))) return schema
  const others = choicesIn(schema).filter((one) => !allowsNull(one))
  return others.length === 1 && isRecord(others[0]) && others[0]['type'] === type ? others[0] : undefined
}

function allowsNull(schema: unknown): boolean {
  if (!isRecord(schema)) return false
  const { type, enum: values } = schema
  if (type === 'null' || (Array.isArray(type) && type.includes('null'))) return !Array.isArray(values) || values.includes(null)
  if (type === undefined && Array.isArray(values)) return values.includes(null)
  return choicesIn(schema).some(allowsNull)
}

const choicesIn = ({ anyOf, oneOf }: Schema): readonly unknown[] => (Array.isArray(anyOf) ? anyOf : Array.isArray(oneOf) ? oneOf : [])

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value)
