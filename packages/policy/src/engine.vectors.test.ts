import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { policySetTextToParts, schemaToJsonWithResolvedTypes } from '@cedar-policy/cedar-wasm/nodejs'
import type { ExactValue } from '@writ/domain/exact'
import { readCheckedBundle } from './bundle.ts'
import { evaluate, keepPolicies, keepSchema, type CedarRequest } from './cedar.ts'
import { openEngine } from './engine.ts'
import { keyOf } from './entity-key.ts'
import { exactOf, readJson } from './json-text.ts'
import type { EntityRef, Question } from './question.ts'
import { readTypes } from './schema-types.ts'
import { mapMembers, mapRecord, startMapping } from './values.ts'
import { fromCedar } from './entities.ts'

const folder = process.env['WRIT_VECTORS'] ?? join(import.meta.dirname, '../../../../shared/vectors')
const file = join(folder, 'cedar', 'handwritten.json')
const skip = existsSync(file) ? false : 'skipped: no vectors'

type Vector = {
  readonly _file: string
  readonly policies: string
  readonly schema: string
  readonly entities_json_text: string
  readonly requests: readonly {
    readonly description: string
    readonly principal: EntityRef
    readonly action: EntityRef
    readonly resource: EntityRef
    readonly context: Readonly<Record<string, unknown>>
    readonly decision: 'allow' | 'deny'
    readonly reason: readonly string[]
    readonly errors: readonly string[]
  }[]
}

const exact = (text: string): ExactValue => {
  const read = readJson('vector', text)
  assert.ok(read.ok, text)
  return exactOf(read.value.root)
}

test('every request of Cedar\'s own tests gets the answer that Cedar\'s project expects, with its reasons', { skip }, (t) => {
  const vectors = JSON.parse(readFileSync(file, 'utf8')) as readonly Vector[]
  let requests = 0
  for (const vector of vectors) {
    const read = schemaToJsonWithResolvedTypes(vector.schema)
    assert.equal(read.type, 'success')
    const types = readTypes(read.json)
    const parts = policySetTextToParts(vector.policies)
    assert.equal(parts.type, 'success')
    const kept = { schema: keepSchema(vector.schema), policies: keepPolicies([vector.policies]) }
    const entities = (exact(vector.entities_json_text) as readonly CedarEntity[])
      .filter(({ uid }) => !types.actions.has(keyOf(uid.__entity ?? uid))).map((one) => entityOf(one, types))
    for (const request of vector.requests) {
      const action = types.actions.get(keyOf(request.action))!
      const mapping = startMapping()
      const members = action.context
      const said = fromCedar(exact(JSON.stringify(request.context)), { kind: 'Record', members }) as Readonly<Record<string, ExactValue>>
      const context = mapRecord(said, action.context, '', mapping)
      assert.deepEqual(mapping.errors, [])
      const asked: CedarRequest = { principal: request.principal, action: request.action, resource: request.resource, context, entities }
      const found = evaluate(kept.policies, asked, kept.schema)
      assert.deepEqual(
        { decision: found.answer, reason: found.reasons.map((i) => `policy${i}`).toSorted(), errors: found.errors },
        { decision: request.decision, reason: request.reason.toSorted(), errors: request.errors }, `${vector._file}: ${request.description}`,
      )
      requests += 1
    }
  }
  assert.equal(requests, 74)
  t.diagnostic(`${vectors.length} files, ${requests} requests`)
})

test('a bundle of the same policies, sliced, gives each request the same answer for the same reasons', { skip }, () => {
  const vectors = JSON.parse(readFileSync(file, 'utf8')) as readonly Vector[]
  for (const vector of vectors) {
    const parts = policySetTextToParts(vector.policies)
    assert.equal(parts.type, 'success')
    const named = parts.policies.map((text, i) => `@id("policy${i}")\n${text}`).join('\n')
    const read = readCheckedBundle({ 'all.cedar': named, 'schema.cedarschema': vector.schema, 'entities.json': vector.entities_json_text })
    assert.ok(read.ok, read.ok ? '' : JSON.stringify(read.refusal))
    const engine = openEngine(read.value)
    for (const request of vector.requests) {
      const { context: members } = read.value.types.actions.get(keyOf(request.action))!
      const known = fromCedar(exact(JSON.stringify(request.context)), { kind: 'Record', members })
      const question: Question = {
        principal: { uid: request.principal, attributes: {}, parents: [] }, action: request.action.id,
        resource: { uid: request.resource, attributes: {}, parents: [] }, arguments: {}, claimed: {}, known: known as Question['known'],
      }
      const found = engine.decide(question)
      assert.deepEqual({ answer: found.answer, by: found.by.map((one) => one.policy).toSorted(), errors: found.errors },
        { answer: request.decision, by: request.reason.toSorted(), errors: [] }, `${vector._file}: ${request.description}`)
    }
    engine.close()
  }
})

type CedarEntity = {
  readonly uid: { readonly type: string; readonly id: string } & { readonly __entity?: EntityRef }
  readonly attrs: Readonly<Record<string, ExactValue>>
  readonly parents: readonly EntityRef[]
}

function entityOf({ uid, attrs, parents }: CedarEntity, types: ReturnType<typeof readTypes>): CedarRequest['entities'][number] {
  const { members } = types.entityTypes.get((uid.__entity ?? uid).type)!
  const mapping = startMapping()
  const attributes = fromCedar(attrs, { kind: 'Record', members }) as Readonly<Record<string, ExactValue>>
  const mapped = mapMembers(attributes, members, '', mapping)
  assert.deepEqual(mapping.errors, [])
  return { uid: uid.__entity ?? { type: uid.type, id: uid.id }, attrs: mapped, parents: parents.map((one) => ({ type: one.type, id: one.id })) }
}
