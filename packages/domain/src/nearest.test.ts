import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nearestOf } from './nearest.ts'

for (const { word, words, near } of [
  { word: 'refund-agnet', words: ['refund-agent', 'deploy-bot'], near: 'refund-agent' },
  { word: 'dce', words: ['dec', 'nhi'], near: 'dec' },
  { word: 'bot', words: ['bat', 'bt', 'robot'], near: 'bat' },
  { word: 'refund-agent', words: ['deploy-bot'], near: undefined },
  { word: 'ab', words: ['xy'], near: undefined },
  { word: 'x', words: [], near: undefined },
]) {
  test(`by \`${word}\` among ${words.join(', ') || 'none'} ${near === undefined ? 'nothing was meant' : `\`${near}\` was meant`}`, () => assert.equal(nearestOf(word, words), near))
}
