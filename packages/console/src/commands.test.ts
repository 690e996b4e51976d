import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { commandOf, curlOf, shellWord } from './commands.ts'
import { retireIdentity } from './endpoints.ts'

const said = (command: string): string => execFileSync('bash', ['-c', `printf %s ${command}`], { encoding: 'utf8' })

for (const { what, text } of [
  { what: 'plain', text: 'tsk_01kxyz' }, { what: 'with blanks and a quote', text: 'it\'s over $(id) `id`' }, { what: 'with what nobody sees', text: 'a\u202eb\'c\\d\n0' },
  { what: 'empty', text: '' }, { what: 'with a mark before digits', text: '\u200b77' },
]) test(`a word ${what} comes to the command as it is`, () => { assert.equal(said(shellWord(text)), text) })

test('what is copied shows everything that it holds', () => {
  assert.doesNotMatch(shellWord('a\u202eb\u200bc\n'), /[\p{C}\p{Default_Ignorable_Code_Point}]/u)
})

test('an action is copied as the command and as the request that it is', () => {
  assert.equal(commandOf('writ', 'identity', 'retire', 'nhi_1', '--reason', 'it is over'), 'writ identity retire nhi_1 --reason \'it is over\'')
  const curl = curlOf(retireIdentity, { parameters: { id: 'nhi_1' }, body: { reason: 'it is over' } }, 'https://writ.example')
  assert.equal(curl, [
    'curl -sS -X POST https://writ.example/v1/identities/nhi_1/retire \\', '  -H "Authorization: Bearer $WRIT_TOKEN" \\', '  -H \'content-type: application/json\' \\', '  -d \'{"reason":"it is over"}\'',
  ].join('\n'))
})
