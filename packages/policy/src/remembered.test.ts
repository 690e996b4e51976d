import assert from 'node:assert/strict'
import { test } from 'node:test'
import { remembered } from './remembered.ts'

function counting(): { readonly asked: string[]; readonly ask: (answer: string) => () => string } {
  const asked: string[] = []
  return { asked, ask: (answer) => () => { asked.push(answer); return answer } }
}

test('what was answered is not asked again, until others have taken its place', () => {
  const { asked, ask } = counting()
  const memory = remembered<string>(2, () => true)
  for (const key of ['a', 'b', 'a', 'c', 'a', 'b']) assert.equal(memory.of(key, ask(key)), key)
  assert.deepEqual(asked, ['a', 'b', 'c', 'b'])
})

test('an answer that may be another one the next time is not kept, and neither is a long question', () => {
  const { asked, ask } = counting()
  const memory = remembered<string>(10, (answer) => answer !== 'error')
  for (const key of ['x', 'x', 'long'.repeat(1000), 'long'.repeat(1000)]) memory.of(key, ask(key === 'x' ? 'error' : 'fine'))
  assert.deepEqual(asked, ['error', 'error', 'fine', 'fine'])
})
