import assert from 'node:assert/strict'
import { chmod, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { configPath, bearerFor, parseConfig, readConfig, serverOf, writeConfig, writePrivateFile } from './config.ts'
import { CommandFailure, EXIT } from './exit.ts'

async function environmentIn(t: TestContext): Promise<{ readonly XDG_CONFIG_HOME: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'writ-config-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return { XDG_CONFIG_HOME: folder }
}

const isBroken = (says: RegExp) => (fault: unknown): boolean => fault instanceof CommandFailure && fault.exit === EXIT.bad_configuration && says.test(fault.message)

test('what is written is read again, and only its owner may read it', async (t) => {
  const environment = await environmentIn(t)
  const config = { url: 'http://127.0.0.1:7400', operator: { id: 'opr_1', key: 'k' }, identities: { 'spiffe://a.example/b': { key_file: '/k' } } }
  await writeConfig(environment, config)
  assert.deepEqual(await readConfig(environment), config)
  assert.equal((await stat(configPath(environment))).mode & 0o777, 0o600)
  assert.equal((await stat(join(environment.XDG_CONFIG_HOME, 'writ'))).mode & 0o777, 0o700)
  assert.deepEqual(await readdir(join(environment.XDG_CONFIG_HOME, 'writ')), ['config.json'])
})

test('no configuration is an empty one', async (t) => {
  assert.deepEqual(await readConfig(await environmentIn(t)), { identities: {} })
})

test('a configuration that others can read is refused, with the way out', async (t) => {
  const environment = await environmentIn(t)
  await writeConfig(environment, { identities: {} })
  await chmod(configPath(environment), 0o640)
  await assert.rejects(readConfig(environment), (fault) => isBroken(/mode 0640/)(fault) && (fault as CommandFailure).hints[0]!.startsWith('chmod 600'))
})

test('a configuration that is not JSON is refused without quoting it', async (t) => {
  const environment = await environmentIn(t)
  await writeConfig(environment, { identities: {} })
  await writeFile(configPath(environment), '{"operator": {"key": "writ_op_canary"')
  await assert.rejects(readConfig(environment), (fault) => isBroken(/is not JSON/)(fault) && !String((fault as Error).stack).includes('canary'))
})

for (const { what, value, key } of [
  { what: 'a list', value: [], key: /whole file/ },
  { what: 'an unknown key', value: { urll: 'x' }, key: /`urll`/ },
  { what: 'a url that is no url', value: { url: 'localhost' }, key: /`url`/ },
  { what: 'a url with a password', value: { url: 'http://a:b@c' }, key: /`url`/ },
  { what: 'an operator without a key', value: { operator: { id: 'a' } }, key: /`operator\.key`/ },
  { what: 'an identity without a key file', value: { identities: { x: {} } }, key: /`identities\.x\.key_file`/ },
  { what: 'a default identity that is a number', value: { default_identity: 1 }, key: /`default_identity`/ },
]) {
  test(`a configuration with ${what} is refused by the name of the key`, () => {
    assert.throws(() => parseConfig(value, 'config.json'), isBroken(key))
  })
}

test('a private file is never written over one that is there', async (t) => {
  const { XDG_CONFIG_HOME: folder } = await environmentIn(t)
  await writePrivateFile(join(folder, 'k'), 'one', { over: false })
  await assert.rejects(writePrivateFile(join(folder, 'k'), 'two', { over: false }), { code: 'EEXIST' })
})

test('the operator key goes to the server that it was made for and to no other', () => {
  const config = { url: 'http://127.0.0.1:7400', operator: { id: 'o', key: 'k' }, identities: {} }
  assert.equal(bearerFor('http://127.0.0.1:7400', config, {}), 'k')
  assert.equal(bearerFor('http://evil.example', config, {}), undefined)
})

for (const { asked, server } of [{ asked: 'http://127.0.0.1:7400/', server: 'http://127.0.0.1:7400' }, { asked: 'HTTPS://Writ.Example:443', server: 'https://writ.example' }]) {
  test(`the server of ${asked} is ${server}`, () => assert.equal(serverOf({ url: asked }, { identities: {} }), server))
}

for (const asked of ['ftp://a', 'a', 'http://a/b', 'http://a?b', 'http://u@a']) {
  test(`${asked} is not taken for a server`, () => assert.throws(() => serverOf({ url: asked }, { identities: {} }), { exit: EXIT.usage }))
}
