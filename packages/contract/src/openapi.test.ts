import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Validator } from '@seriousme/openapi-schema-validator'
import { ENDPOINTS } from './endpoints.ts'
import { documentedPath, openApiOf, type Operation } from './openapi.ts'
import { PROBLEM_BASE, PROBLEMS } from './problem.ts'

const document = openApiOf({ version: '1.2.3', origin: 'https://writ.acme.example' })
const operations: readonly (readonly [string, Operation])[] = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation] as const))
const operationOf = (address: string): Operation => operations.find(([one]) => one === address)![1]

test('the document is valid OpenAPI 3.1, and every reference in it leads somewhere', async () => {
  const validator = new Validator()
  const found = await validator.validate(JSON.parse(JSON.stringify(document)))
  assert.deepEqual([found.valid, found.errors], [true, undefined])
  assert.equal(validator.version, '3.1')
  for (const [, ref = ''] of JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    const target = ref.split('/').reduce((at: unknown, step: string) => (at as Record<string, unknown> | undefined)?.[step], document)
    assert.equal(typeof target, 'object', ref)
  }
})

test('it has every endpoint once, by the name that clients use, and nothing else', () => {
  assert.deepEqual(operations.map(([address]) => address).toSorted(), ENDPOINTS.map(({ endpoint }) => `${endpoint.method} ${documentedPath(endpoint)}`).toSorted())
  assert.deepEqual(operations.map(([, { operationId }]) => operationId).toSorted(), ENDPOINTS.map(({ name }) => name).toSorted())
  assert.equal(new Set(ENDPOINTS.map(({ name }) => name)).size, ENDPOINTS.length)
  assert.ok(ENDPOINTS.length >= 50)
})

test('every schema and every response is used, and every problem is explained', () => {
  const text = JSON.stringify(document)
  for (const name of Object.keys(document.components.schemas)) assert.ok(text.includes(`"#/components/schemas/${name}"`), name)
  for (const name of Object.keys(document.components.responses)) assert.ok(name in PROBLEMS || text.includes(`"#/components/responses/${name}"`), name)
  for (const type of Object.keys(PROBLEMS)) assert.ok(JSON.stringify(document.components.responses[type]).includes(`${PROBLEM_BASE}${type}"`), type)
})

test('each closed door says with what it opens, and what it answers to whoever has nothing', () => {
  for (const { name, endpoint } of ENDPOINTS) {
    const { security, responses } = operationOf(`${endpoint.method} ${documentedPath(endpoint)}`)
    assert.equal(security.length > 0, endpoint.who !== 'anyone', name)
    assert.equal('401' in responses, endpoint.who !== 'anyone' || endpoint.form === true || endpoint.problems.includes('unauthenticated'), name)
    for (const scheme of security.flatMap((one) => Object.keys(one))) assert.ok(scheme in document.components.securitySchemes, scheme)
  }
})

test('a call that changes something takes an idempotency key; one that asks does not, nor one that is decided anew each time', () => {
  const withKey = operations.filter(([, { parameters }]) => JSON.stringify(parameters ?? []).includes('/Idempotency-Key"')).map(([address]) => address)
  for (const [address, { security }] of operations) {
    if (address.startsWith('GET ') || address.startsWith('POST /access/')) assert.ok(!withKey.includes(address), address)
    else if (security.length > 0 && !address.includes('/triggers/') && !address.includes(' /mcp/')) assert.ok(withKey.includes(address), address)
  }
  assert.ok(withKey.includes('POST /oauth/token'))
})

test('what a standard OAuth client sends is a form, and what it is told are its own errors', () => {
  for (const { endpoint } of ENDPOINTS.filter((one) => one.endpoint.form === true)) {
    const { requestBody, responses } = operationOf(`POST ${endpoint.path}`)
    assert.deepEqual(Object.keys(requestBody!.content), ['application/x-www-form-urlencoded'])
    assert.ok(JSON.stringify(responses['400']).includes('OauthError'))
    assert.ok(!JSON.stringify(responses).includes('Problem'))
  }
})

test('a field with a default may be left out of what is sent, and is there in what is answered', () => {
  const required = (name: string): unknown => document.components.schemas[name]!['required']
  assert.deepEqual(required('OpenTaskBody'), ['purpose', 'authorization_details'])
  assert.ok((required('Template') as string[]).includes('member_of'))
  assert.ok(!(required('TemplateInput') as string[]).includes('member_of'))
})
