import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cpSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { smallServer } from './small-server.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc')
const README = readFileSync(join(ROOT, 'packages/sdk/README.md'), 'utf8')
const PACKAGES = ['domain', 'contract', 'sdk'] as const

const CONSUMER = `
import { Killed, Writ, type Credential, type SecretValue, type Task, type TaskOptions, type ToolResult } from '@writ/sdk'
import * as ai from '@writ/sdk/ai-sdk'
import * as langchain from '@writ/sdk/langchain'
import * as openai from '@writ/sdk/openai-agents'
const work: TaskOptions = { purpose: 'counts the tickets', grants: ['tickets:queue:read', { type: 'postgres', locations: ['shop'], actions: ['read'] }], ttl: '10m' }
const writ: Writ = new Writ({ patience: 5 })
export const count: number = await writ.withTask(work, async (task: Task) => task.purpose.length)
export const found = async (task: Task): Promise<ToolResult> => task.call('docs/search', { query: 'x' }, { onInput: { 'roots/list': () => ({ roots: [] }) } })
export const own = (task: Task) => [ai.governTools({ a: { execute: async () => 1 } }, task, { server: 'x' }), langchain.governTools([], task, { server: 'x' }), openai.governTools([], task, { server: 'x' })]
export const login = async (task: Task): Promise<Credential> => task.credential('postgres:shop:read')
{
  await using task = await writ.task(work)
  task.called()
  if (task.signal.aborted) throw new Killed('over', { code: 'over' })
  const secret: SecretValue = (await task.token()).value
  console.log(JSON.stringify([task.purpose, count, await task.token(), secret]), String(secret.reveal().length))
}
`

/** Compiles; fails with what the compiler says. */
async function tsc(folder: string, ...options: readonly string[]): Promise<void> {
  await promisify(execFile)(process.execPath, [TSC, ...options], { cwd: folder }).catch((failure: { readonly stdout: string }) => assert.fail(failure.stdout))
}

/** The packages as they are published: built by tsc, and nothing of the source beside. */
async function publish(folder: string): Promise<void> {
  const out = join(folder, 'built')
  const sources = ['sdk/src/writ.ts', ...globSync('sdk/src/adapters/*.ts', { cwd: join(ROOT, 'packages') }), 'contract/src/authzen.ts', 'contract/src/decisions.ts', 'contract/src/tasks.ts',
    ...globSync('domain/src/*.ts', { cwd: join(ROOT, 'packages') }).filter((file) => !file.endsWith('.test.ts'))]
  await tsc(ROOT, ...sources.map((file) => join('packages', file)), '--ignoreConfig', '--rootDir', join(ROOT, 'packages'), '--outDir', out, '--declaration', '--rewriteRelativeImportExtensions',
    '--module', 'nodenext', '--target', 'es2024', '--lib', 'esnext', '--types', 'node', '--strict', '--skipLibCheck')
  for (const name of PACKAGES) {
    const room = join(folder, 'node_modules/@writ', name)
    mkdirSync(room, { recursive: true })
    cpSync(join(out, name, 'src'), join(room, 'src'), { recursive: true })
    writeFileSync(join(room, 'package.json'), readFileSync(join(ROOT, 'packages', name, 'package.json'), 'utf8').replaceAll('.ts"', '.js"'))
  }
  for (const name of ['@types', 'zod', 'undici-types']) if (existsSync(join(ROOT, 'node_modules', name))) symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name))
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
}

describe('whoever installs the SDK', { concurrency: 1 }, () => {
  let folder: string
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'writ-consumer-'))
    await publish(folder)
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  test('compiles against it with the strictest flags and with few, and runs what came out, which needs nothing else', async (t) => {
    const base = ['--module', 'nodenext', '--target', 'es2022', '--lib', 'es2022,esnext.disposable', '--types', 'node']
    writeFileSync(join(folder, 'consumer.ts'), CONSUMER)
    await tsc(folder, 'consumer.ts', ...base, '--noEmit', '--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--verbatimModuleSyntax', '--isolatedModules')
    await tsc(folder, 'consumer.ts', ...base)
    // Types alone come from these.
    for (const name of ['@writ/domain', '@writ/contract', 'zod', '@types']) rmSync(join(folder, 'node_modules', name), { recursive: true, force: true })
    const { url } = await smallServer(t)
    const { stdout } = await promisify(execFile)(process.execPath, [join(folder, 'consumer.js')], { env: { PATH: process.env['PATH'], WRIT_URL: url, WRIT_ID_TOKEN: 'a.small.token' } })
    assert.match(stdout, /^\["answers a ticket",16,\{"task":"tsk_\w+","value":"\[secret\]",/)
    assert.ok(!/token\.number/.test(stdout))
  })

  test('gets a package that imports nothing but itself and Node', () => {
    const files = globSync(join(folder, 'node_modules/@writ/sdk/src/**/*.js'))
    assert.ok(files.length > 10)
    const imported = files.flatMap((file) => [...readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?'([^']+)'/g)].map((found) => found[1]!))
    assert.deepEqual(imported.filter((name) => !/^(\.{1,2}\/|node:)/.test(name)), [])
  })
})

describe('the README of the SDK', () => {
  test('has examples that compile as they stand', async (t) => {
    const blocks = [...README.matchAll(/```ts\n(.*?)```/gs)].map((found) => found[1]!)
    assert.ok(blocks.length >= 2)
    const folder = mkdtempSync(join(tmpdir(), 'writ-readme-'))
    t.after(() => rmSync(folder, { recursive: true, force: true }))
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
    const files = blocks.map((block, at) => {
      writeFileSync(join(folder, `${at}.ts`), block)
      return `${at}.ts`
    })
    await tsc(folder, ...files, '--noEmit', '--strict', '--module', 'nodenext', '--target', 'esnext', '--types', 'node', '--allowImportingTsExtensions', '--skipLibCheck')
  })

  test('names every variable that is read, and every error that is thrown', () => {
    const sources = globSync(join(ROOT, 'packages/sdk/src/**/*.ts')).filter((file) => !file.endsWith('.test.ts')).map((file) => readFileSync(file, 'utf8')).join('\n')
    const variables = new Set(sources.match(/\b(?:WRIT|ACTIONS|K)_[A-Z_]+\b/g))
    const errors = [...sources.matchAll(/^export class (\w+) extends WritError/gm)].map((found) => found[1]!)
    for (const name of [...variables, ...errors]) assert.ok(README.includes(`\`${name}\``), name)
    assert.ok(variables.size > 5 && errors.length === 6)
  })
})
