import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wordBreaches } from './check-words.ts'
import { treeOf } from './test-tree.ts'

const SOURCE = 'packages/server/src/store/tables.ts'

for (const { when, path, text, says } of [
  {
    when: 'its words are the glossary\'s', path: SOURCE,
    text: 'export type LeaseRow = 1\nexport function openTask() {}\nexport const ID_PREFIX = 1',
  },
  {
    when: 'a word only contains another', path: SOURCE,
    text: 'export const dataset = 1\nexport const informed = 2\nexport type TaskInput = 1\nexport type IoFault = 2',
  },
  { when: 'a local name, a comment or a text has it', path: SOURCE, text: "// the session manager\nconst account = 'export const data'" },
  {
    when: 'PostgreSQL itself calls it so', path: 'packages/server/src/connectors/postgres/sessions.ts',
    text: 'export const endSessions = 1',
  },

  { when: 'it says session', path: SOURCE, text: '\nexport async function openSession() {}', says: [':2: `openSession` says `session`'] },
  { when: 'it says accounts', path: SOURCE, text: 'export const ACCOUNTS = []', says: [':1: `ACCOUNTS` says `accounts`'] },
  {
    when: 'it passes on a principal', path: SOURCE, text: 'export { a as principalOf, type b } from "./b.ts"',
    says: [':1: `principalOf` says `principal`'],
  },
  { when: 'a class is a manager', path: SOURCE, text: 'export abstract class HTTPManager {}', says: [':1: `HTTPManager` says `manager`'] },
  { when: 'a type wears an I', path: SOURCE, text: 'export interface IStore {}', says: [':1: `IStore` wears its sort as a prefix'] },
  {
    when: 'it is the second of its name', path: SOURCE, text: 'export const readLeafV2 = 1',
    says: [':1: `readLeafV2` is a twin by number'],
  },
  { when: 'its file is for helpers', path: 'packages/server/src/store/sql-helpers.ts', text: '', says: [':1: the path says `helpers`'] },
  { when: 'its folder is for utilities', path: 'packages/server/src/utils/time.test.ts', text: '', says: [':1: the path says `utils`'] },
  {
    when: 'its file is named in capitals', path: 'packages/domain/src/SpiffeId.ts', text: '',
    says: [':1: `SpiffeId.ts` is not in kebab-case'],
  },
] as readonly { when: string; path: string; text: string; says?: readonly string[] }[]) {
  test(`the words are ${says === undefined ? 'kept' : 'not kept'} when ${when}`, (t) => {
    const found = wordBreaches(treeOf(t, { [path]: text }))
    assert.deepEqual(found.map((one) => `${one.file}:${one.line}: ${one.what}`), (says ?? []).map((one) => path + one))
  })
}
