import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { floorBreaches } from './check-floors.ts'
import { treeOf } from './test-tree.ts'

const manifest = (...dependencies: readonly string[]): string =>
  JSON.stringify({ dependencies: Object.fromEntries(dependencies.map((name) => [name, '1.0.0'])) }, null, 2)

const HOUSE = {
  'packages/domain/package.json': manifest(),
  'packages/ledger/package.json': manifest(),
  'packages/contract/package.json': manifest('@writ/domain', 'zod'),
  'packages/server/package.json': manifest('@writ/domain', '@writ/ledger', '@writ/contract', 'pg'),
  'packages/cli/package.json': manifest('@writ/contract', '@writ/server'),
  'packages/domain/src/task.ts': 'export const task = 1',
  'packages/ledger/src/tree.ts': 'export const tree = 1',
}

for (const { when, path, text, says } of [
  { when: 'a room imports a lower one', path: 'packages/server/src/tasks/open.ts', text: "import '../store/tables.ts'" },
  { when: 'a room imports its own', path: 'packages/server/src/tasks/open.ts', text: "import './close.ts'" },
  {
    when: 'the roof imports anything', path: 'packages/server/src/main.ts',
    text: "import './http/app.ts'; import './changes.ts'; import 'pg'",
  },
  { when: 'the server imports the ground', path: 'packages/server/src/config/config.ts', text: "import '@writ/domain/task'" },
  {
    when: 'a test imports anything', path: 'packages/domain/src/task.test.ts',
    text: "import 'node:fs'; import '../../server/src/main.ts'",
  },
  {
    when: 'the command line only starts the server', path: 'packages/cli/src/up.ts',
    text: "spawn(import.meta.resolve('@writ/server/main'))",
  },
  {
    when: 'a comment or a text speaks of it', path: 'packages/domain/src/a.ts',
    text: "// Date.now() and fetch(x)\nexport const a = 'process.env'",
  },
  { when: 'an instant is shown', path: 'packages/domain/src/a.ts', text: 'export const iso = (at: number) => new Date(at).toISOString()' },
  {
    when: 'a word is only a part', path: 'packages/domain/src/a.ts',
    text: 'export const a = (o: { crypto: 1 }) => o.crypto; prefetch(1); DateTime.now()',
  },
  { when: 'the clock reads the time', path: 'packages/server/src/platform/clock.ts', text: 'export const now = () => Date.now()' },
  {
    when: 'a barrel brings something of its own', path: 'packages/domain/src/index.ts',
    text: "export * from './task.ts'\nexport const a = 1",
  },
  {
    when: 'the command line reads its version', path: 'packages/cli/src/version.ts',
    text: "import own from '../package.json' with { type: 'json' }",
  },

  {
    when: 'an import goes up', path: 'packages/server/src/store/a.ts', text: "\nimport type { B } from '../tasks/b.ts'",
    says: ':2: import goes up: `server/store` (floor 3) imports `server/tasks` (floor 6)',
  },
  {
    when: 'an import goes sideways', path: 'packages/server/src/keys/a.ts', text: "import '../store/b.ts'",
    says: ':1: import goes sideways: `server/keys` (floor 3) imports `server/store` (floor 3)',
  },
  {
    when: 'a room imports the roof', path: 'packages/server/src/http/a.ts', text: "await import('../changes.ts')",
    says: ':1: import goes up: `server/http` (floor 7) imports `server roof` (floor 8)',
  },
  {
    when: 'the ledger imports the domain', path: 'packages/ledger/src/a.ts', text: "import '@writ/domain/task'",
    says: ':1: `ledger` may not import `@writ/domain`',
  },
  {
    when: 'the command line imports the server', path: 'packages/cli/src/a.ts', text: "await import('@writ/server/main')",
    says: ':1: `cli` imports `@writ/server/main`',
  },
  {
    when: 'a path leaves the package', path: 'packages/server/src/http/a.ts', text: "import '../../../domain/src/task.ts'",
    says: ':1: `../../../domain/src/task.ts` leaves the package',
  },
  {
    when: 'a package imports itself by name', path: 'packages/domain/src/a.ts', text: "import '@writ/domain/task'",
    says: ":1: `@writ/domain/task` is this package's own",
  },
  {
    when: 'a source imports what is for tests', path: 'packages/server/src/http/a.ts', text: "import '../../test/postgres.ts'",
    says: ':1: a source imports `packages/server/test/postgres.ts`, which is for tests and tools',
  },
  {
    when: 'a source imports a test', path: 'packages/domain/src/a.ts', text: "import './task.test.ts'",
    says: ':1: a source imports `packages/domain/src/task.test.ts`, which is for tests and tools',
  },
  {
    when: 'a dependency is not declared', path: 'packages/contract/src/a.ts', text: "import '@scope/name/deep'",
    says: ':1: `@scope/name` is not among the dependencies of this package',
  },
  {
    when: 'a room is not in the drawing', path: 'packages/server/src/utils/a.ts', text: 'export const a = 1',
    says: ':1: `server/utils` is on no floor of the drawing',
  },
  {
    when: 'a package is not in the drawing', path: 'packages/common/src/a.ts', text: 'export const a = 1',
    says: ':1: `common` is on no floor of the drawing',
  },
  {
    when: 'a file stands on the roof', path: 'packages/server/src/helpers.ts', text: 'export const a = 1',
    says: ':1: `helpers.ts` is on no floor of the drawing',
  },
  {
    when: 'the ground imports Node', path: 'packages/domain/src/a.ts', text: "import { createHash } from 'node:crypto'",
    says: ':1: `domain` is pure and imports `node:crypto`',
  },
  {
    when: 'the ground asks for the time', path: 'packages/ledger/src/a.ts', text: '\n\nexport const a = new Date()',
    says: ':3: `ledger` is pure and touches `new Date()`',
  },
  {
    when: 'the surface reads its surroundings', path: 'packages/contract/src/a.ts', text: "export const a = process.env['A']",
    says: ':1: `contract` is pure and touches `process`',
  },
  {
    when: 'the ground calls out', path: 'packages/domain/src/a.ts', text: 'export const a = () => fetch(b)',
    says: ':1: `domain` is pure and touches `fetch`',
  },
  {
    when: 'a room reads the time itself', path: 'packages/server/src/store/a.ts', text: 'const a = Date.now()',
    says: ':1: `Date.now` reads the time outside of platform/clock.ts',
  },
  {
    when: 'a room draws randomness itself', path: 'packages/server/src/keys/a.ts', text: "import { randomBytes } from 'node:crypto'",
    says: ':1: `randomBytes` draws randomness outside of platform/entropy.ts',
  },
  {
    when: 'a room calls out itself', path: 'packages/server/src/revoke/a.ts', text: 'await fetch(url)',
    says: ':1: `fetch` calls out outside of platform/outbound.ts',
  },
  {
    when: 'a room calls out by the way of Node', path: 'packages/server/src/revoke/a.ts', text: 'https.request(url)',
    says: ':1: `https.request` calls out outside of platform/outbound.ts',
  },
  {
    when: 'a room takes the way of Node', path: 'packages/server/src/revoke/a.ts', text: "import { request as ask } from 'node:https'",
    says: ':1: `import { request as ask } from` calls out outside of platform/outbound.ts',
  },
  {
    when: 'a file is a barrel', path: 'packages/domain/src/index.ts',
    text: "// all of it\nexport * from './task.ts'\nexport { type A, b as c } from './a.ts'",
    says: ':1: this file only passes on what other files export',
  },
  { when: 'a file has a default export', path: 'packages/domain/src/a.ts', text: '\nexport default 1', says: ':2: default export' },
] as readonly { when: string; path: string; text: string; says?: string }[]) {
  test(`the floors ${says === undefined ? 'hold' : 'do not hold'} when ${when}`, (t) => {
    const found = floorBreaches(treeOf(t, { ...HOUSE, [path]: text }))
    assert.deepEqual(found.map((one) => `${one.file}:${one.line}: ${one.what}`), says === undefined ? [] : [`${path}${says}`])
    assert.ok(found.every((one) => one.wayOut !== ''))
  })
}

test('a package that depends on one outside of its column is found in its package.json, at the line', (t) => {
  const found = floorBreaches(treeOf(t, { ...HOUSE, 'packages/ledger/package.json': manifest('zod', '@writ/contract') }))
  assert.deepEqual(found.map((one) => `${one.file}:${one.line}: ${one.what}`), [
    'packages/ledger/package.json:4: `ledger` may not depend on `@writ/contract`',
  ])
})

test('the script says what is wrong and how to get out of it, and exits with 1', (t) => {
  const root = treeOf(t, { ...HOUSE, 'packages/domain/src/a.ts': 'export const a = Date.now()' })
  const source = `import { floorBreaches } from '${import.meta.resolve('./check-floors.ts')}'
    import { report } from '${import.meta.resolve('./breach.ts')}'
    process.exitCode = report('floors', floorBreaches(${JSON.stringify(root)}))`
  const run = spawnSync(process.execPath, ['--input-type=module', '-e', source], { encoding: 'utf8' })
  assert.equal(run.status, 1)
  assert.equal(run.stderr, [
    'packages/domain/src/a.ts:1: `domain` is pure and touches `Date.now`',
    '    way out: take it as an argument; the server hands it in',
    'floors: 1 breach', '',
  ].join('\n'))
})
