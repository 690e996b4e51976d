import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'

const folder = process.env['WRIT_VECTORS'] ?? join(import.meta.dirname, '../../../../../shared/vectors')
const file = join(folder, 'mcp-wire-schema', '2025-11-25.schema.json')

/** Why a test of the schema is left out; false where it is not. */
export const NO_SCHEMA = existsSync(file) ? false as const : 'skipped: no vectors'

type Wire = { readonly id?: unknown; readonly method?: string; readonly result?: unknown; readonly error?: unknown }

/** What a method's result is called in the schema. */
const RESULTS: Readonly<Record<string, string>> = {
  'initialize': 'InitializeResult', 'ping': 'EmptyResult', 'tools/list': 'ListToolsResult', 'tools/call': 'CallToolResult', 'resources/list': 'ListResourcesResult',
  'resources/templates/list': 'ListResourceTemplatesResult', 'resources/read': 'ReadResourceResult', 'resources/subscribe': 'EmptyResult', 'resources/unsubscribe': 'EmptyResult',
  'prompts/list': 'ListPromptsResult', 'prompts/get': 'GetPromptResult', 'completion/complete': 'CompleteResult', 'logging/setLevel': 'EmptyResult',
}

/** Holds what a server sends to the schema of MCP 2025-11-25; `answering` is the method that a response belongs to. */
export function olderSchema(): (message: unknown, answering?: string) => void {
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true })
  const schema = JSON.parse(readFileSync(file, 'utf8')) as { readonly $defs: { readonly NumberSchema: { readonly properties: Record<string, object> } } }
  // The revision's schema.ts, which has the say, calls these `number`; its JSON has become `integer` on the way.
  for (const bound of ['default', 'minimum', 'maximum']) schema.$defs.NumberSchema.properties[bound] = { type: 'number' }
  ajv.addSchema({ ...schema, $id: 'mcp' })
  const check = (name: string, value: unknown): void => {
    const validate = ajv.getSchema(`mcp#/$defs/${name}`)
    assert.ok(validate, `the schema has no ${name}`)
    assert.ok(validate(value), `${JSON.stringify(value)} is no ${name}: ${ajv.errorsText(validate.errors)}`)
  }
  return (message, answering) => {
    check('JSONRPCMessage', message)
    const { id, method, result, error } = message as Wire
    if (method !== undefined) return check(id === undefined ? 'ServerNotification' : 'ServerRequest', message)
    if (error !== undefined) return check('JSONRPCErrorResponse', message)
    check('JSONRPCResultResponse', message)
    check(RESULTS[answering ?? ''] ?? assert.fail(`a result of ${answering}`), result)
  }
}
