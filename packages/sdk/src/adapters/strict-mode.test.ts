import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withoutNulls } from './strict-mode.ts'

const NULLABLE = { type: ['string', 'null'] }
const CHOICE = { anyOf: [{ type: 'string' }, { type: 'null' }] }
const object = (properties: object, required: readonly string[] = Object.keys(properties)) => ({ type: 'object', properties, required })

for (const { what, args, schema, left } of [
  { what: 'may be null by its type', args: { a: 1, b: null }, schema: object({ a: { type: 'number' }, b: NULLABLE }), left: { a: 1 } },
  { what: 'may be null by a choice', args: { b: null }, schema: object({ b: CHOICE }), left: {} },
  { what: 'is not required', args: { b: null }, schema: object({ b: { type: 'string' } }, []), left: {} },
  { what: 'is required and no null', args: { b: null }, schema: object({ b: { type: 'string' } }), left: { b: null } },
  { what: 'is one of some values and not null', args: { b: null }, schema: object({ b: { type: ['string', 'null'], enum: ['x'] } }), left: { b: null } },
  { what: 'is one of some values and may be null', args: { b: null }, schema: object({ b: { enum: ['x', null] } }), left: {} },
  { what: 'is in an object', args: { o: { x: null, y: 1 } }, schema: object({ o: object({ x: CHOICE, y: { type: 'number' } }) }), left: { o: { y: 1 } } },
  { what: 'is in an object that may be null', args: { o: { x: null } }, schema: object({ o: { anyOf: [object({ x: NULLABLE }), { type: 'null' }] } }), left: { o: {} } },
  { what: 'is in an object of a list', args: { l: [{ x: null }, { x: '1' }] }, schema: object({ l: { type: 'array', items: object({ x: NULLABLE }) } }), left: { l: [{}, { x: '1' }] } },
  { what: 'is an element of a list', args: { l: [null] }, schema: object({ l: { type: 'array', items: NULLABLE } }), left: { l: [null] } },
  { what: 'is one that the schema does not know', args: { b: null }, schema: object({}), left: { b: null } },
  { what: 'has the name of what every object has', args: { toString: null }, schema: object({}), left: { toString: null } },
  { what: 'has no schema', args: { b: null }, schema: undefined, left: { b: null } },
] as readonly { readonly what: string; readonly args: unknown; readonly schema: unknown; readonly left: unknown }[]) {
  test(`a null ${JSON.stringify(args) === JSON.stringify(left) ? 'stays' : 'goes'} where the argument ${what}`, () => { assert.deepEqual(withoutNulls(args, schema), left) })
}

test('arguments without any such null are the very same', () => {
  const args = { o: { x: 'y' }, l: [{ x: '1' }] }
  assert.equal(withoutNulls(args, object({ o: object({ x: NULLABLE }), l: { type: 'array', items: object({ x: NULLABLE }) } })), args)
})
