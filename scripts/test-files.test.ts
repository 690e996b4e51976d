import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { findTestFiles } from './test-files.ts'

const root = mkdtempSync(join(tmpdir(), 'writ-test-files-'))
after(() => rmSync(root, { recursive: true }))

const launcher = 'scripts/postgres-cluster.ts'
for (const [path, text] of Object.entries({
  [launcher]: 'export const startCluster = 1',
  'packages/server/test/postgres.ts': `import { ask } from '../../../${launcher}'`,
  'packages/server/test/both-stores.ts': "import { postgres } from './postgres.ts'",
  'packages/server/src/store/lease.test.ts': "import { onBothStores } from '../../test/both-stores.ts'",
  'packages/server/src/keys/seal.test.ts': "import { seal } from './seal.ts'",
  'packages/server/src/keys/seal.ts': `import '../../../../${launcher}'`,
  'packages/cli/test/run.test.ts': "spawn(import.meta.resolve('@writ/server/main'))",
  'packages/cli/test/bin.test.ts': "spawn('../src/main.ts')",
  'packages/server/test/up.test.ts': "spawn('../src/main.ts')",
  'packages/cli/test/lazy.test.ts': "await import('../../server/test/postgres.ts')",
  'packages/domain/src/lease.test.ts': "import { test } from 'node:test'",
  'packages/domain/src/lease.ts': '',
  'packages/domain/src/id.vectors.test.ts': "import './no-such-file.test.ts'",
  'packages/domain/src/measured.test.ts': 'const began = performance.now()',
  'packages/server/test/grows.test.ts': "import { growthOf } from './memory.ts'; spawn('../src/main.ts')",
  'packages/cli/node_modules/x/x.test.ts': '',
  'scripts/cluster.test.ts': "import { startCluster } from './postgres-cluster.ts'",
})) {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

const FAST = [
  'packages/cli/test/bin.test.ts', 'packages/domain/src/id.vectors.test.ts', 'packages/domain/src/lease.test.ts', 'packages/domain/src/measured.test.ts',
  'packages/server/src/keys/seal.test.ts',
]
const SLOW = [
  'packages/cli/test/lazy.test.ts', 'packages/cli/test/run.test.ts', 'packages/server/src/store/lease.test.ts',
  'packages/server/test/grows.test.ts', 'packages/server/test/up.test.ts', 'scripts/cluster.test.ts',
]

for (const { when, selection, expected } of [
  { when: 'nothing is said', selection: {}, expected: [...FAST, ...SLOW].toSorted() },
  { when: 'only the fast ones are asked for', selection: { fast: true }, expected: FAST },
  { when: 'only the vectors are asked for', selection: { vectors: true }, expected: ['packages/domain/src/id.vectors.test.ts'] },
  { when: 'a part of the name is given', selection: { filters: ['src/lease'] }, expected: ['packages/domain/src/lease.test.ts'] },
  {
    when: 'two parts are given', selection: { filters: ['seal', 'run.'] },
    expected: ['packages/cli/test/run.test.ts', 'packages/server/src/keys/seal.test.ts'],
  },
  { when: 'no file has the name', selection: { filters: ['nowhere'] }, expected: [] },
]) {
  test(`the runner finds its files when ${when}`, () => {
    const found = findTestFiles(root, { fast: false, vectors: false, filters: [], ...selection })
    assert.deepEqual(found.map((file) => file.path), expected)
  })
}

test('a test is slow when it reaches a PostgreSQL or starts the server, however many files lie between', () => {
  const found = findTestFiles(root, { fast: false, vectors: false, filters: [] })
  assert.deepEqual(found.filter((file) => file.slow).map((file) => file.path), SLOW)
})

test('what measures time or memory is told from the rest', () => {
  const found = findTestFiles(root, { fast: false, vectors: false, filters: [] })
  assert.deepEqual(found.filter((file) => file.measures).map((file) => file.path), ['packages/domain/src/measured.test.ts', 'packages/server/test/grows.test.ts'])
})
