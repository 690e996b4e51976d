import { z } from 'zod'
import { SCHEMAS, type NamedEndpoint } from './endpoints.ts'
import { oauthError } from './oauth.ts'
import { problem } from './problem.ts'

/** A JSON Schema (draft 2020-12), which is what OpenAPI 3.1 holds. */
export type Schema = Readonly<Record<string, unknown>>

type Io = 'input' | 'output'
type Named = Map<z.ZodType, string>

export type SchemaComponents = {
  readonly components: Readonly<Record<string, Schema>>
  /** Where the document has this schema, as it is sent or as it is answered. */
  readonly refOf: (schema: z.ZodType, io: Io) => Schema
}

const PREFIX = '#/components/schemas/'

/**
 * Every body and reply as a component, and whatever they hold that has a name. One schema may read differently as it is sent, where
 * fields with a default may be left out: then what is sent is called `...Input`.
 */
export function schemaComponents(endpoints: readonly NamedEndpoint[]): SchemaComponents {
  const named: Named = new Map<z.ZodType, string>([[problem, 'Problem'], [oauthError, 'OauthError']])
  for (const [name, schema] of SCHEMAS) if (schema instanceof z.ZodObject) named.set(schema, capital(name))
  const sent: Named = new Map(named)
  const answered: Named = new Map(named)
  for (const { name, endpoint } of endpoints) {
    if (endpoint.body !== undefined && !sent.has(endpoint.body)) sent.set(endpoint.body, `${capital(name)}Body`)
    if (endpoint.media === undefined && !answered.has(endpoint.reply)) answered.set(endpoint.reply, `${capital(name)}Reply`)
  }
  const replies = endpoints.flatMap(({ endpoint: { reply, media } }) => (media === undefined ? [answered.get(reply)!] : []))
  const output = reachable(render(answered, 'output'), ['Problem', 'OauthError', ...replies])
  const plain = render(sent, 'input')
  const differs = new Set(Object.keys(plain).filter((name) => name in output && !isSame(plain[name], output[name])))
  const renamed: Named = new Map([...sent].map(([schema, name]) => [schema, differs.has(name) ? `${name}Input` : name]))
  const bodies = endpoints.flatMap(({ endpoint: { body } }) => (body === undefined ? [] : [renamed.get(body)!]))
  const all = { ...reachable(asInput(plain, differs), bodies), ...output }
  return {
    components: Object.fromEntries(Object.entries(all).toSorted(([a], [b]) => (a < b ? -1 : 1))),
    refOf: (schema, io) => ({ $ref: PREFIX + (io === 'input' ? renamed : answered).get(schema)! }),
  }
}

function render(named: Named, io: Io): Readonly<Record<string, Schema>> {
  const registry = z.registry<{ id: string }>()
  for (const [schema, id] of named) registry.add(schema, { id })
  const { schemas } = z.toJSONSchema(registry, { io, uri: (id) => PREFIX + id, unrepresentable: 'any' })
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) =>
    [name, Object.fromEntries(Object.entries(schema).filter(([member]) => member !== '$schema' && member !== '$id'))]))
}

/** Those that differ, and whatever leads to them, by the name that they have as input. */
function asInput(plain: Readonly<Record<string, Schema>>, differs: ReadonlySet<string>): Readonly<Record<string, Schema>> {
  const text = JSON.stringify(plain).replaceAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g, (whole, name: string) => (differs.has(name) ? `"$ref":"${PREFIX}${name}Input"` : whole))
  return Object.fromEntries(Object.entries(JSON.parse(text) as Record<string, Schema>).map(([name, schema]) => [differs.has(name) ? `${name}Input` : name, schema]))
}

/** Only what these lead to: a name that no body and no reply holds says nothing to a client. */
function reachable(all: Readonly<Record<string, Schema>>, from: readonly string[]): Readonly<Record<string, Schema>> {
  const found = new Set<string>()
  const waiting = [...from]
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (found.has(name)) continue
    found.add(name)
    waiting.push(...[...JSON.stringify(all[name]).matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref]) => ref!.slice(PREFIX.length)))
  }
  return Object.fromEntries(Object.entries(all).filter(([name]) => found.has(name)))
}

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)
const capital = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1)
