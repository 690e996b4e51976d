import assert from 'node:assert/strict'
import { test } from 'node:test'
import { docBreaches } from './check-docs.ts'
import { treeOf } from './test-tree.ts'

const HOUSE = {
  'package.json': JSON.stringify({ scripts: { test: 'x', 'test:fast': 'x', demo: 'x' } }),
  'packages/domain/package.json': '{}',
  'packages/domain/src/task.ts': '',
  'packages/server/package.json': '{}',
  'packages/server/src/main.ts': '',
  'packages/server/src/store/tables.ts': '',
  'GLOSSARY.md': '# Glossary\n\n## The words\n\n## The words\n\n## `writ` & more\n',
}

for (const { when, text, says } of [
  {
    when: 'a link leads to a file, a folder or a heading',
    text: '[a](GLOSSARY.md) [b](packages/) [c](./GLOSSARY.md#the-words-1) [d](#here)\n\n# Here',
  },
  { when: 'a heading holds code and signs', text: '[a](GLOSSARY.md#writ--more)' },
  { when: 'a link leaves the project', text: '[a](https://example.org/x) [b](mailto:a@example.org)' },
  {
    when: 'a path is there',
    text: '`packages/domain/src/task.ts`, `packages/domain/`, `server/store`, `domain/task.ts`, `@writ/domain/task`, `@writ/domain`',
  },
  {
    when: 'a word with a slash is no path',
    text: '`application/json`, `and/or`, `/v1/tasks`, `packages/*/src`, `packages/<name>`, `writ.yaml`, `X.md.bak`',
  },
  { when: 'its commands exist', text: '`npm ci && npm run demo -- --once`, `npm test`, `npm run test:fast`.' },
  { when: 'only an example in a fence is wrong', text: '```md\n[a](nowhere.md) `packages/no`\n```\n' },

  { when: 'a link leads nowhere', text: '\n[a](docs/nowhere.md)', says: [':2: the link `docs/nowhere.md` leads nowhere'] },
  { when: 'a heading is not there', text: '[a](GLOSSARY.md#no-words)', says: [':1: `GLOSSARY.md` has no heading `#no-words`'] },
  { when: 'a file is gone', text: 'see `packages/domain/src/lease.ts`', says: [':1: `packages/domain/src/lease.ts` is not there'] },
  { when: 'a document is gone', text: 'see `SECURITY.md`', says: [':1: `SECURITY.md` is not there'] },
  { when: 'a module is gone', text: 'import `@writ/domain/lease`', says: [':1: `@writ/domain/lease` is not there'] },
  { when: 'a room is gone', text: 'in `server/gateway`', says: [':1: `server/gateway` is not there'] },
  { when: 'a command is gone', text: '```sh\nnpm run bench\n```', says: [':2: `npm run bench` is not among the scripts of package.json'] },
] as readonly { when: string; text: string; says?: readonly string[] }[]) {
  test(`the documents ${says === undefined ? 'are right' : 'are wrong'} when ${when}`, (t) => {
    const found = docBreaches(treeOf(t, { ...HOUSE, 'README.md': text }))
    assert.deepEqual(found.map((one) => `${one.file}:${one.line}: ${one.what}`), (says ?? []).map((one) => `README.md${one}`))
  })
}

const ROOMS = '| room | is |\n|---|---|\n| `domain` | words |\n| **`server`** | doors |\n| `server/store` | tables |\n'
for (const { when, text, says } of [
  { when: 'every room has its row', text: ROOMS, says: [] },
  {
    when: 'a row names a room that was never built', text: `${ROOMS}| \`server/gateway\` | later |\n`,
    says: [':6: `server/gateway` is not there', ':6: the room `server/gateway` is not in the tree'],
  },
  { when: 'a room has no row', text: ROOMS.replace('`server/store`', 'store'), says: [':1: the room `server/store` has no row in a table'] },
]) {
  test(`ARCHITECTURE.md ${says.length === 0 ? 'is' : 'is not'} the tree when ${when}`, (t) => {
    const found = docBreaches(treeOf(t, { ...HOUSE, 'ARCHITECTURE.md': text }))
    assert.deepEqual(found.map((one) => `${one.file}:${one.line}: ${one.what}`), says.map((one) => `ARCHITECTURE.md${one}`))
  })
}

test('a project without ARCHITECTURE.md is not asked for its rooms', (t) => {
  assert.deepEqual(docBreaches(treeOf(t, HOUSE)), [])
})
